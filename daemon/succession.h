/*
 * What a plan says of the CAs themselves, carried out by the signer: a first generation is made,
 * the next one is prepared, announced, activated, a former one retired, a stolen one replaced. What
 * the signer answers is what the rest of the pass goes by.
 */
#pragma once

#include "daemon/work.h"

/* Before anything is issued. A step that fails is told and tried again with back-off; only what
 * ends the whole pass is a failure. */
int succession_run(Work *work, const Plan *plan, Error *reterr);

/* A rollover that was asked for is one try, however it went. */
void succession_settle(Work *work);

/* Whether the verb is one of these steps. */
bool succession_has(StepVerb verb);
