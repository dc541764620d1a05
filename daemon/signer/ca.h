/*
 * The generations of the CAs on disk: CA/AUTHORITY/Gn.crt and Gn.key (PKCS#8 PEM, 0600), n counting
 * from 1. The keys never leave this directory but into the memory of this process.
 *
 * A first generation is one transaction: key and certificate are written and synced in a directory
 * with a name of its own, which then gets the authority's. A file Gn.new beside them says that the
 * ledger may not know the generation yet; it is entered there before anybody is told of it. What a
 * crash leaves is either nothing, or a CA that is settled by the next look.
 *
 * A CA is made where nothing is, and nowhere else. Whatever is damaged is told and left alone.
 */
#pragma once

#include "common/observation.h"
#include "daemon/signer/ledger.h"
#include "daemon/signer/mint.h"

/* Where the CAs are, and what makes and remembers their certificates. Nothing is owned but fd. */
typedef struct Ca {
        int fd; /* the directory of all authorities */
        Ledger *ledger;
        const Mint *mint;
} Ca;

/* Opens STATE/ca, made where it is missing, and removes what a crash left half made. */
int ca_open(int state_fd, Ledger *ledger, const Mint *mint, Ca *ret, Error *reterr);
void ca_close(Ca *ca); /* ledger and mint stay: they are the caller's */

/* Reads the generations of an authority, in the order of their numbers; none on a blank slate. The
 * key of the current one is read too, to know that it is its key. */
int ca_observe(const Ca *ca, const char *authority, int64_t now_usec, ObservedAuthority *ret,
               Error *reterr);

/* Makes generation 1 where there is none: 1 then, 0 where there is one. -ENOKEY where the ledger
 * knows of a CA whose files are gone. */
int ca_make(const Ca *ca, const PolicyAuthority *authority, int64_t now_usec, int64_t backdate_usec,
            Error *reterr);

/* The current generation with its key, ready to sign. -ENOENT where there is none. */
int ca_issuer(const Ca *ca, const char *authority, int64_t now_usec, MintIssuer **ret,
              uint32_t *ret_generation, Error *reterr);
