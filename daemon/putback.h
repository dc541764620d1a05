/*
 * After a refusal: what is on disk must be what a restart would load. Where a PostgreSQL answered
 * with another leaf, the set that it serves is put back, and every cluster of that set loads and is
 * proved again, so that none is left with files that it would not load. Where it had no TLS before
 * this pass, our configuration is removed again.
 *
 * The worker judges whether the old set is good, unexpired and the one that is served; where not,
 * nothing is put back, which is told.
 */
#pragma once

#include "daemon/issuance.h"

/* Looks at the clusters that were proved in this pass, and undoes what was refused. */
int putback_run(Work *work, const Plan *plan, const Issuance *issuances, Error *reterr);
