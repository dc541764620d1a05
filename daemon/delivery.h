/*
 * Having PostgreSQL serve what was published: configuration, one load for each cluster, the proof,
 * the logins that the policy asks for.
 */
#pragma once

#include "daemon/issuance.h"

/* Does the plan's steps for clusters, and notes in work->old what it wants pruned. A step whose set
 * failed in this pass is left out; one that fails is told and remembered with its back-off. */
int delivery_run(Work *work, const Plan *plan, const Issuance *issuances, Error *reterr);

/* Removes the old generations of the sets that were published and of which no proof is open: of
 * work->old. What cannot be removed is told. */
void delivery_tidy(Work *work);

/* The leaf that the cluster is to serve: what was published in this pass, else what is on disk. */
const CertFacts *delivery_leaf(const Work *work, size_t cluster, const Issuance *issuances);

/* Single steps of a cluster. The configuration is written where wanted, and removed otherwise. */
int delivery_configure(Work *work, size_t cluster, bool wanted, Error *reterr);
int delivery_load(Work *work, size_t cluster, const CertFacts *leaf, Error *reterr);

/* Sees what is served; remembers the verdict and tells it. False where it is not the leaf: what
 * builds on it makes no sense then. True also where there is nothing to see it by. */
bool delivery_prove(Work *work, size_t cluster, const CertFacts *leaf);

/* The cluster was seen to serve the leaf: remembered, recorded and told. */
void delivery_proven(Work *work, size_t cluster, const CertFacts *leaf);

/* The logins and refusals of one cluster, now. */
void delivery_login(Work *work, size_t cluster, const uint8_t leaf[CERT_FINGERPRINT]);
