/*
 * The real signer's own functions, on files, for lives that are to try them: slower than the
 * memory's by far, so a few lives do. The program around them is left out.
 */
#pragma once

#include "common/observation.h"
#include "daemon/signer/ca.h"

typedef struct RealSigner {
        int state_fd;
        Ledger *ledger;
        Mint *mint;
        Ca ca;
        int64_t now_usec; /* of the last step: a look alone needs no better one */
} RealSigner;

/* A state of its own below the directory, on a file system in memory where the test says so. */
RealSigner *realsigner_new(const char *directory);
RealSigner *realsigner_free(RealSigner *signer);

int realsigner_observe(RealSigner *signer, const PolicyAuthority *authority, ObservedAuthority *ret,
                       Error *reterr);
int realsigner_make(RealSigner *signer, const Policy *policy, const PolicyAuthority *authority,
                    int64_t now_usec, Error *reterr);
int realsigner_issue(RealSigner *signer, const Policy *policy, const PolicyCertificate *wanted,
                     const Key *key, int64_t now_usec, Minted *ret, Error *reterr);
