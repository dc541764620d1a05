/*
 * What happens when, for years ahead: the plan's own steps, applied to a copy of what was observed
 * as if each of them went well, from one deadline to the next. Pure.
 *
 * The whole plan is made where a CA moves on, and at the start. In between nothing but renewals
 * comes, each set by itself, so these are reckoned without it: ten years of a hundred certificates
 * take milliseconds.
 */
#pragma once

#include "daemon/plan.h"

enum { TIMELINE_ROWS_MAX = 100000 };

/* A step, and when it is done. */
typedef struct TimelineRow {
        int64_t at_usec;
        Step step; /* its object is an index into the policy */
} TimelineRow;

typedef struct Timeline {
        TimelineRow *items; /* by time */
        size_t n, allocated;
        int64_t until_usec; /* what was asked for, or the last row's instant where it is cut */
        bool is_cut;        /* there were more than TIMELINE_ROWS_MAX */
} Timeline;

/* From input->now_usec until until_usec. Logins and the removal of old generations are left out.
 * A CA that is not made yet is called by eight zeros in place of the start of its key identifier.
 */
int timeline_make(const PlanInput *input, int64_t until_usec, Timeline *ret, Error *reterr);
void timeline_done(Timeline *timeline);
