/*
 * Having PostgreSQL serve what was published: configuration, one load for each cluster, the proof,
 * the logins that the policy asks for; and putting the old set back where a PostgreSQL refused.
 */
#pragma once

#include "daemon/issuance.h"

/* Does the plan's steps for clusters, and its pruning. A step whose set failed in this pass is left
 * out; one that fails is told and remembered with its back-off. */
int delivery_run(Work *work, const Plan *plan, const Issuance *issuances, Error *reterr);

/* The cluster was seen to serve the leaf: remembered, recorded and told. */
void delivery_proven(Work *work, size_t cluster, const CertFacts *leaf);

/* The logins and refusals of one cluster, now. */
void delivery_login(Work *work, size_t cluster, const uint8_t leaf[CERT_FINGERPRINT]);
