/*
 * Issuing and publishing what a plan says: the worker stages a generation and gives a CSR, the
 * signer gives a leaf for it, the worker fills the generation in and switches to it. The leaves of
 * many sets are asked for together, since the signer syncs its ledger once for each question.
 */
#pragma once

#include "daemon/batch.h"

/* issuances has one for each certificate of the policy, all zero at first. A set that fails is
 * marked and told; only what ends the whole pass is a failure. */
int issuance_run(Work *work, const Plan *plan, Issuance *issuances, Error *reterr);
void issuance_done(Issuance *issuance);
