/*
 * Makes certificates: the one place that builds X.509 (RFC 5280 section 4). Everything in one comes
 * from the policy, the issuer and the given time; from the requester only a public key.
 *
 * The extensions that are the same for all certificates of a kind are made once (a Mint), what
 * depends on the issuer once per issuer.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

typedef struct Mint Mint;

/* A CA generation with its private key, ready to sign. */
typedef struct MintIssuer MintIssuer;

/* A certificate that was made. */
typedef struct Minted {
        uint8_t *der;
        size_t size;
        CertFacts facts;
} Minted;
/* Frees the bytes; the structure is the caller's. */
void minted_done(Minted *minted);

int mint_new(Mint **ret, Error *reterr);
Mint *mint_free(Mint *mint);
DEFINE_CLEANUP(Mint *, mint_free);

/* Makes an issuer of a CA's certificate and key. -EINVAL where the key is not the certificate's or
 * the certificate is no CA's. Holds references to both; the key is wiped when the last one goes. */
int mint_issuer_new(Cert *certificate, Key *key, MintIssuer **ret, Error *reterr);
MintIssuer *mint_issuer_free(MintIssuer *issuer);
DEFINE_CLEANUP(MintIssuer *, mint_issuer_free);

/* The self-signed certificate of a CA generation: valid from now - backdate, for clocks that are
 * behind, until now + the authority's lifetime. key signs it, and stays the caller's. */
int mint_authority(const Mint *mint, const PolicyAuthority *authority, uint32_t number, Key *key,
                   int64_t now_usec, int64_t backdate_usec, Minted *ret, Error *reterr);

/* A cross-certificate: the name and key of the CA subject (one that mint_authority() made), signed
 * by the issuer, so that a reader that trusts the issuer alone can verify what the subject signs.
 * Valid from now - backdate until the issuer's end, or the subject's where that comes first.
 * -EKEYEXPIRED where the issuer is not valid now, -EOPNOTSUPP where its pathLenConstraint of 0
 * forbids it (RFC 5280 section 4.2.1.9). */
int mint_cross(const Mint *mint, const MintIssuer *issuer, const Cert *subject, int64_t now_usec,
               int64_t backdate_usec, Minted *ret, Error *reterr);

/* A leaf as the policy wants it, for the public key: valid from now - backdate until now + its
 * lifetime, or until the issuer's end where that comes first. -EKEYEXPIRED where the issuer is not
 * valid now. */
int mint_leaf(const Mint *mint, const MintIssuer *issuer, const PolicyCertificate *wanted,
              const Key *public_key, int64_t now_usec, int64_t backdate_usec, Minted *ret,
              Error *reterr);
