/*
 * What comes next for the CA of an authority, when, why, and whose evidence is missing.
 *
 * The next generation is prepared early, put into every trust bundle, and announced once it is in
 * all of them; after `distribute` it signs, and the former one is retired when its last leaf has
 * ended. All of it is derived from what the signer, the sets and the clusters show, so that it goes
 * on wherever it was interrupted.
 *
 * T is the end of the generation that signs, rmax the largest renew_before of its leaves, D
 * distribute, s backdate. The next one signs at the first of:
 * - announced + D, when every server was proved to serve a set that holds it;
 * - the latest moment, max(T - rmax, prepared + D): from then on leaves would outlive the old one,
 *   so nobody is waited for any more, and those without evidence are named;
 * - the last call, T - D - s: D is waived too, and what breaks is named.
 * Where no generation signs yet, because readers trust a CA whose key nobody here has, T is the
 * first end of a leaf of that CA.
 *
 * Pure.
 */
#pragma once

#include "daemon/emergency.h"
#include "daemon/issuer.h"
#include "daemon/step.h"

typedef struct ProspectInput {
        const Policy *policy;
        const Observation *observation;
        const Memory *memory;
        const Issuers *issuers;
        const Evidence *evidence;
        const Emergency *emergencies; /* NULL where no key was stolen */
        int64_t now_usec;
        int64_t boot_usec;
        const char *held;  /* NULL, or why no step may be done */
        const char *doubt; /* NULL, or why the clock is not believed */
} ProspectInput;

/* One authority, and the instants that count for it. */
typedef struct Prospect {
        const ProspectInput *input;
        const PolicyAuthority *policy;
        const ObservedAuthority *authority;
        const MemoryAuthority *memory;
        const Evidence *evidence;
        const Emergency *emergency; /* NULL where its key was not stolen */
        const ObservedGeneration *current, *next;
        int64_t end_usec;    /* T */
        int64_t latest_usec; /* the latest moment; of a next one that is there */
        int64_t last_usec;   /* the last call */
} Prospect;

/* What is being put together: the texts become the rollover's at the end. */
typedef struct ProspectStep {
        StepVerb verb;
        const ObservedGeneration *generation;
        int64_t at_usec;
        bool is_due;
        Text reason;
        Text waits_for;
} ProspectStep;

void prospect_init(const ProspectInput *input, size_t index, Prospect *ret);

/* What comes next, without asking whether it may be done; and the next instant at which that
 * changes by itself, USEC_INFINITY for none. */
void prospect_find(const Prospect *prospect, ProspectStep *ret, int64_t *ret_wake_usec);
void prospect_step_done(ProspectStep *step);

/* The subject of a generation with that number and key identifier as one line, as the signer makes
 * it: both are added to the CN ("CN=root G2 3f0d3aec"). Values are not escaped. */
void prospect_add_subject(const PolicySubject *subject, const ObservedGeneration *generation,
                          Text *text);
