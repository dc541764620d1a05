/*
 * Who verifies what in a simulated life: the property of the rollover. Every reader whose bundle
 * is at most `distribute` old verifies every published certificate, in both directions, and so does
 * a holder of a copy that old; a reader that is later still verifies servers, through the
 * cross-certificate, until its CA's own end.
 */
#pragma once

#include "tests/simulation/site.h"

enum { READERS_OLD_MAX = 256, READERS_WHY_MAX = 512 };

/* A bundle that was published once. */
typedef struct OldBundle {
        uint32_t bundle;
        int64_t until_usec; /* the end of its last anchor of the authority */
} OldBundle;

typedef struct Readers {
        OldBundle old[SPEC_AUTHORITIES_MAX][READERS_OLD_MAX];
        size_t n_old[SPEC_AUTHORITIES_MAX];
        /* From when on the property is asked for again, of certificates of an authority: something
         * happened that it does not hold through. INT64_MIN: always. */
        int64_t judged_from[SPEC_AUTHORITIES_MAX];
        /* What a copy may be younger than `distribute` for: a clock that was set in between. */
        int64_t slack_usec;
} Readers;

void readers_init(Readers *readers);

/* Nothing is asked of the authority before until_usec, nor of bundles from before then. */
void readers_excuse(Readers *readers, size_t authority, int64_t until_usec);

/* Remembers a bundle that is published now. */
void readers_note(Readers *readers, const Site *site, const Policy *policy, const Version *version);

/* Asks all of it at an instant. False with a sentence where somebody is let down. */
bool readers_judge(Readers *readers, const Site *site, const Spec *spec, const Policy *policy,
                   int64_t at_usec, char ret_why[READERS_WHY_MAX]);
