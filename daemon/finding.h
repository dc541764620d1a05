/*
 * What is wrong, why it matters and what to do, one finding for each cause: drawn from a report,
 * and shown by `status` (what), `check` (all of it) and the JSON of both.
 */
#pragma once

#include "daemon/report.h"

typedef struct Finding {
        const char *kind; /* "certificate" "cluster" "authority" "policy" "clock" */
        const char *name; /* of the object; the policy's file; "" for the clock */
        size_t object;    /* index into the policy's objects of that kind */
        Health health;    /* what it alone would make of the health */
        char *what;       /* a sentence; may end in a HINT */
        const char *why;
        char *todo;
} Finding;

typedef struct Findings {
        Finding *items; /* the policy and authorities first, then certificates, clusters,
                         * directories that are unmanaged, clock */
        size_t n;
        bool failed; /* memory ran out */
} Findings;

void findings_make(const Report *report, Findings *ret);
void findings_done(Findings *findings);
