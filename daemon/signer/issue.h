/*
 * One WIRE_ISSUE request: certificates for (name, CSR). Each item has an outcome of its own. All
 * that are made are entered into the ledger with one sync before the reply exists.
 */
#pragma once

#include "common/wire.h"
#include "daemon/signer/ca.h"

typedef struct IssueItem {
        const char *name; /* as asked; in the request */
        const uint8_t *csr;
        size_t csr_size;
        const PolicyCertificate *certificate; /* NULL where the policy has none of that name */
        uint32_t generation;                  /* of the CA that signed */
        Minted minted;
        Error error; /* code 0 where it was made */
} IssueItem;

/* The CA of an authority, loaded once for all items that need it. */
typedef struct IssueCa {
        const PolicyAuthority *authority;
        MintIssuer *issuer; /* NULL where it cannot sign: error says why */
        uint32_t generation;
        Error error;
} IssueCa;

typedef struct IssueBatch {
        IssueItem items[WIRE_BATCH_MAX];
        size_t n;
        IssueCa cas[WIRE_BATCH_MAX];
        size_t n_cas;
} IssueBatch;

/* Reads the request's fields whole before anything is done. The batch borrows from the request. */
int issue_read(Message *request, IssueBatch **ret, Error *reterr);
IssueBatch *issue_free(IssueBatch *batch); /* the keys of the CAs are wiped */
DEFINE_CLEANUP(IssueBatch *, issue_free);

/* Makes what the policy grants and enters it into the ledger. Fails only as a whole where the
 * ledger cannot be written; then nothing was given to anybody. */
int issue_make(IssueBatch *batch, const Ca *ca, const Policy *policy, int64_t now_usec,
               Error *reterr);

/* Writes the outcomes into the reply. They fit: issue_make() saw to that. */
void issue_put(const IssueBatch *batch, Message *reply);
