/*
 * How a chain is verified here: by a trust bundle alone, without any trust store, to a root in it,
 * with the chain's own certificates as a help, at a given time: as PostgreSQL and libpq do. What
 * purpose is asked, and how strictly, is the caller's.
 */
#pragma once

#include "common/cert.h"

#include <openssl/x509_vfy.h>

typedef struct Verification {
        X509_STORE_CTX *context; /* to set purpose and flags */
        X509_STORE *store;
        STACK_OF(X509) * helpers;
} Verification;

/* The leaf stands first in the chain. Both lists must outlive it. now_usec is realtime. */
int verification_init(Verification *verification, const CertList *chain, const CertList *bundle,
                      int64_t now_usec, Error *reterr);
/* NULL where it verifies; otherwise why not, in OpenSSL's words. */
const char *verification_run(Verification *verification);
void verification_done(Verification *verification);
