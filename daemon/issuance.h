/*
 * Issuing and publishing what a plan says: the worker stages a generation and gives a CSR, the
 * signer gives a leaf for it, the worker fills the generation in and switches to it. The leaves of
 * many sets are asked for together, since the signer syncs its ledger once for each question.
 */
#pragma once

#include "daemon/work.h"

/* How far a set came in this pass. */
typedef enum IssuanceState {
        ISSUANCE_NONE,
        ISSUANCE_STAGED,
        ISSUANCE_ISSUED,
        ISSUANCE_FILLED,
        ISSUANCE_PUBLISHED,
        ISSUANCE_FAILED,
} IssuanceState;

typedef struct Issuance {
        IssuanceState state;
        bool to_publish; /* the plan has STEP_PUBLISH or STEP_RETRY for it */
        bool is_retry;
        bool is_new;       /* a new leaf was issued for it */
        bool keeps_leaf;   /* the published leaf, with another trust bundle */
        unsigned failures; /* of the set in a row, before this pass published it */
        uint32_t generation;
        CertFacts leaf; /* of ISSUED and later */
        uint8_t *csr;
        size_t csr_size;
        uint8_t *der; /* the leaf */
        size_t der_size;
} Issuance;

/* issuances has one for each certificate of the policy, all zero at first. A set that fails is
 * marked and told; only what ends the whole pass is a failure. */
int issuance_run(Work *work, const Plan *plan, Issuance *issuances, Error *reterr);
void issuance_done(Issuance *issuance);
