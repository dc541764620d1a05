/*
 * Tells on the log what passes find and do: the events of a pass as they happen, and what changed
 * from one pass to the next (a set that is foreign now, an owner without a worker, a recovery),
 * once.
 */
#pragma once

#include "daemon/state.h"

/* For WorkInput.tell. */
void news_event(void *userdata, const WorkEvent *event);

/* What differs between the plan before and the state's plan now; before is NULL for the first. Both
 * are of the same policy. */
void news_compare(const State *state, const Plan *before);

/* What will happen to a CA within the `notice` of its policy, once each: that the next one signs,
 * and that a former one is trusted no longer; with the readers of which there is no evidence that
 * they are ready for it. A restart tells it again. */
void news_notices(State *state);

/* That the clock is doubted, or believed again, once each. */
void news_clock(const ClockStep *before, const ClockStep *now);

/* How things stand and what comes next, for `systemctl status`. */
void news_status(const State *state);

/* All that is wrong with a policy, a line each. */
void news_policy_errors(const Errors *errors);
