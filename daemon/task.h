/*
 * A plan in the making: every authority, set and cluster judged, in an order in which each finds
 * what it depends on. Pure.
 */
#pragma once

#include "daemon/draft.h"
#include "daemon/proof.h"
#include "daemon/rollover.h"

typedef struct PlanInput {
        const Policy *policy;
        const Observation *observation;
        const Memory *memory;
        int64_t now_usec;  /* realtime */
        int64_t boot_usec; /* boottime */
        const char *host;  /* seeds the jitter, with the certificate's name */
        const char *held;  /* NULL, or why no step may be done now: every step is held */
        bool check_all;    /* look at the logins now, whenever they were last looked at */
} PlanInput;

typedef struct Task {
        const PlanInput *input;
        DraftInput draft;
        Evidence *evidence;     /* of the authorities */
        Emergency *emergencies; /* of the authorities; NULL where no key was stolen */
        Rollover *rollovers;    /* of the authorities */
        Draft *drafts;          /* of the certificates */
        Proof *proofs;          /* of the clusters */
        bool *makes;            /* the authorities whose first CA is made or imported */
        char *doubt;            /* NULL, or why the clock is not believed */
} Task;

int task_make(const PlanInput *input, Task *ret, Error *reterr);
void task_done(Task *task); /* also after a failure of task_make() */
