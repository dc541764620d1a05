/*
 * The signer's state, opened as a whole: its directory and lock, the ledger, and the CAs.
 */
#pragma once

#include "daemon/signer/ca.h"
#include "daemon/signer/state.h"

typedef struct Vault {
        bool is_open; /* it is not before a first CA was made */
        State state;
        Mint *mint;
        Ledger *ledger;
        Ca ca;
        Text notes; /* of `ca`: a line for each thing that somebody ought to know */
} Vault;

/* A vault that is closed. */
#define VAULT_CLOSED                                                                               \
        {                                                                                          \
                .state = {.fd = -1, .lock_fd = -1}, .ca.fd = -1                                    \
        }

/* Opens it where it is not open yet. -ENOENT where it is missing and not to be made: to look
 * changes nothing. After a failure it is closed, and the next call tries again. */
int vault_open(Vault *vault, const char *directory, bool make, Error *reterr);
void vault_close(Vault *vault);
