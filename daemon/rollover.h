/*
 * What an authority's row of a plan says of the rollover of its CA: the step that is due or comes
 * next (`prospect`), whether it may be done now, how late it is, and whose evidence is missing.
 * Pure.
 */
#pragma once

#include "common/health.h"
#include "daemon/prospect.h"

typedef struct Rollover {
        StepVerb verb; /* STEP_PREPARE to STEP_RETIRE, or STEP_EMERGENCY; STEP_VERBS for nothing */
        uint32_t generation;
        int64_t at_usec;   /* when, if nothing stands in the way */
        int64_t wake_usec; /* the next instant at which this changes by itself; USEC_INFINITY */
        bool is_due;
        bool is_waiting; /* due, but in back-off until retry_boot_usec */
        int64_t retry_boot_usec;
        char *reason;    /* of a step that is due */
        char *waits_for; /* NULL, or the readers without evidence */
        Health health;
        char *error; /* NULL, or a sentence */
} Rollover;

/* For the authority at index. One step at a time: what follows is seen at the next look. */
int rollover_find(const ProspectInput *input, size_t index, Rollover *ret, Error *reterr);
void rollover_done(Rollover *rollover);

/* Whether a rollover may be asked for now; otherwise a sentence: one is under way, or there is no
 * CA to follow. */
bool rollover_may_rotate(const Policy *policy, const Observation *observation, size_t index,
                         Text *why);
