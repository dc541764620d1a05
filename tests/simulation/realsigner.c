#include "tests/simulation/realsigner.h"

#include "daemon/signer/making.h"
#include "daemon/signer/statement.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

RealSigner *realsigner_new(const char *directory)
{
        RealSigner *signer = calloc(1, sizeof *signer);
        int r;

        assert(signer);
        signer->state_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert(signer->state_fd >= 0);
        r = mint_new(&signer->mint, NULL);
        if (r >= 0)
                r = ledger_open(signer->state_fd, &signer->ledger, NULL);
        if (r >= 0)
                r = ca_open(signer->state_fd, signer->ledger, signer->mint, &signer->ca, NULL);
        assert(r >= 0);
        return signer;
}

RealSigner *realsigner_free(RealSigner *signer)
{
        if (!signer)
                return NULL;
        ca_close(&signer->ca);
        ledger_close(signer->ledger);
        mint_free(signer->mint);
        close(signer->state_fd);
        free(signer);
        return NULL;
}

int realsigner_observe(RealSigner *signer, const PolicyAuthority *authority, ObservedAuthority *ret,
                       Error *reterr)
{
        int r = statement_make(&signer->ca, authority, signer->now_usec, ret, reterr);

        if (r >= 0)
                ret->known = true;
        return r;
}

int realsigner_make(RealSigner *signer, const Policy *policy, const PolicyAuthority *authority,
                    int64_t now_usec, Error *reterr)
{
        return making_first(&signer->ca, authority, MAKING_CURRENT, now_usec, policy->backdate_usec,
                            reterr);
}

/* As issue.h has it, without the CSR. */
int realsigner_issue(RealSigner *signer, const Policy *policy, const PolicyCertificate *wanted,
                     const Key *key, int64_t now_usec, Minted *ret, Error *reterr)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        LedgerEntry entry = {.event = LEDGER_ISSUED,
                             .authority = wanted->authority->name,
                             .certificate = wanted->name,
                             .use = wanted->use};
        int r = ca_issuer(&signer->ca, wanted->authority->name, now_usec, &issuer,
                          &entry.generation, reterr);

        if (r >= 0)
                r = mint_leaf(signer->mint, issuer, wanted, key, now_usec, policy->backdate_usec,
                              ret, reterr);
        if (r < 0)
                return r;
        entry.facts = &ret->facts;
        r = ledger_add(signer->ledger, &entry, 1, now_usec, reterr);
        if (r < 0)
                minted_done(ret);
        return r;
}
