/*
 * What a pass does with the user's consents: it keeps them until they are used, has the worker take
 * foreign sets over, and ends those that are done or that nobody could act upon.
 */
#pragma once

#include "daemon/work.h"

/* Takes over what the plan says. Returns 1 where anything was: then the plan is old. A set that
 * fails is told; only what ends the whole pass is a failure. */
int handover_run(Work *work, const Plan *plan, Error *reterr);

/* After the last look: a consent whose object is ours, or must not be taken over as it is, is
 * over. The latter is not kept: what the user saw is not what may lie there one day. */
void handover_settle(Work *work);
