/*
 * What happens to a simulated life by chance: outages, restarts, refusals, kills, clock steps,
 * requests, rollovers, emergencies and other policies. What the property is promised for is judged
 * throughout: outages up to what the policy allows, one at a time. What is beyond (a longer outage,
 * a stolen key) is judged apart: the readers are asked again when it is over.
 */
#pragma once

#include "tests/simulation/life.h"

typedef struct Chance {
        Life *life;
        int64_t scale;                       /* about the time between two happenings */
        int64_t quiet_until;                 /* no other outage before */
        int64_t start_at[SPEC_CLUSTERS_MAX]; /* a server that is down; 0 for none */
        int64_t load_at[SPEC_CLUSTERS_MAX];  /* one that does not load */
        int64_t clock_at;                    /* a clock that is far off */
        unsigned happenings;
} Chance;

/* Lives by chance until then. */
bool chance_live(Life *life, int64_t until_usec, int64_t scale_usec);

/* A whole case of a seed: a policy, and a life of at most `years`, shorter where lives are. The
 * life is the caller's, also of one that failed; NULL where a valid policy was refused or a broken
 * one was not. With a directory, which is to be empty, the signer's own files lie there. */
Life *chance_case(uint64_t seed, unsigned years, Break broken, const char *directory, FILE *aloud);
