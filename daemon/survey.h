/*
 * Looking at everything: asks the worker of each owner for its sets and clusters, and the signer
 * for its authorities, which it tells when the leaves that were seen of each CA end, and puts the
 * answers into one observation. What is known already is told by its digest, so that nothing
 * unchanged is parsed or sent again.
 */
#pragma once

#include "common/observation.h"
#include "daemon/peer.h"

/* Refreshes an observation that was made with this policy (see observation_new()). An owner or
 * signer that cannot be asked makes its objects unknown, with the reason as their problem: that is
 * no failure. */
int survey_run(Peers *peers, const Policy *policy, Observation *observation, Error *reterr);
