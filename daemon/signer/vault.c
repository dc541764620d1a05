#include "daemon/signer/vault.h"

#include "common/lock.h"

static void forget(Vault *vault)
{
        ca_close(&vault->ca);
        vault->ledger = ledger_close(vault->ledger);
        vault->mint = mint_free(vault->mint);
        state_close(&vault->state);
        vault->is_open = false;
}

int vault_open(Vault *vault, const char *directory, bool make, Error *reterr)
{
        int r;

        if (vault->is_open)
                return 0;
        r = state_open(directory, make, LOCK_WAIT_USEC, &vault->state, reterr);
        if (r >= 0)
                r = mint_new(&vault->mint, reterr);
        if (r >= 0)
                r = ledger_open(vault->state.fd, &vault->ledger, reterr);
        if (r >= 0)
                r = ca_open(vault->state.fd, vault->ledger, vault->mint, &vault->ca, reterr);
        vault->ca.notes = &vault->notes;
        vault->is_open = r >= 0;
        if (r < 0)
                forget(vault);
        return r;
}

void vault_close(Vault *vault)
{
        forget(vault);
        text_done(&vault->notes);
}
