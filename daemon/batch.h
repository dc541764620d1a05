/*
 * Some sets on their way to a new generation: staged by their workers, signed by the signer, filled
 * in by their workers. Each step is asked for all of them before the first answer is waited for,
 * and while the signer signs one batch the workers can be at another.
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

typedef struct BatchItem {
        size_t set; /* in the policy */
        bool rekey;
        Peer *asked; /* the worker that owes an answer for it; NULL otherwise */
} BatchItem;

typedef struct Batch {
        BatchItem items[WIRE_BATCH_MAX];
        size_t n;
        Peer *signer; /* where it owes an answer; NULL otherwise */
} Batch;

/* Adds a set; there is room for WIRE_BATCH_MAX. */
void batch_add(Batch *batch, size_t set, bool rekey);

/* Has new generations made, with a key and a request each: ISSUANCE_STAGED. */
void batch_stage(Work *work, Batch *batch, Issuance *issuances);

/* Asks the signer for the leaves of those that are staged; and takes them: ISSUANCE_ISSUED. */
void batch_ask_leaves(Work *work, Batch *batch, Issuance *issuances);
void batch_take_leaves(Work *work, Batch *batch, Issuance *issuances);

/* Has those in the state `from` filled in: ISSUANCE_FILLED. ISSUANCE_STAGED keeps the published
 * leaf. What no set of the batch needs any more is freed. */
void batch_fill(Work *work, Batch *batch, IssuanceState from, Issuance *issuances);

/* A set for which one of these failed: told, and tried again later. */
void batch_set_failed(Work *work, Issuance *issuances, size_t set, const Error *error);
