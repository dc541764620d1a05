#include "daemon/signer/mint.h"

#include "common/clock.h"
#include "common/crypto.h"
#include "common/extension.h"
#include "common/profile.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

struct Mint {
        X509_EXTENSION *ca, *ca_usage;
        X509_EXTENSION *leaf;
        X509_EXTENSION *usage[KEY_TYPE_COUNT];
        X509_EXTENSION *purpose[2]; /* by PolicyUse */
};

struct MintIssuer {
        Cert *certificate;
        Key *key;
        CertFacts facts;
        X509_EXTENSION *key_id; /* authorityKeyIdentifier of what it issues */
};

DEFINE_CLEANUP(X509_NAME *, X509_NAME_free);
DEFINE_CLEANUP(ASN1_TIME *, ASN1_TIME_free);

void minted_done(Minted *minted)
{
        free(minted->der);
        *minted = (Minted){0};
}

int mint_new(Mint **ret, Error *reterr)
{
        _cleanup_(mint_freep) Mint *mint = calloc(1, sizeof *mint);
        bool is_whole;

        if (!mint)
                return error_oom(reterr);
        is_whole = (mint->ca = extension_ca(true)) && (mint->ca_usage = extension_ca_usage()) &&
                   (mint->leaf = extension_ca(false)) &&
                   (mint->purpose[POLICY_SERVER] = extension_purpose(POLICY_SERVER)) &&
                   (mint->purpose[POLICY_CLIENT] = extension_purpose(POLICY_CLIENT));
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                is_whole = (mint->usage[type] = extension_key_usage(type)) && is_whole;
        if (!is_whole)
                return crypto_error(reterr, ENOMEM, "cannot prepare the extensions");
        *ret = TAKE_PTR(mint);
        return 0;
}

Mint *mint_free(Mint *mint)
{
        if (!mint)
                return NULL;
        X509_EXTENSION_free(mint->ca);
        X509_EXTENSION_free(mint->ca_usage);
        X509_EXTENSION_free(mint->leaf);
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                X509_EXTENSION_free(mint->usage[type]);
        for (unsigned use = 0; use < ELEMENTSOF(mint->purpose); use++)
                X509_EXTENSION_free(mint->purpose[use]);
        free(mint);
        return NULL;
}

int mint_issuer_new(Cert *certificate, Key *key, MintIssuer **ret, Error *reterr)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        int r;

        if (!cert_has_key(certificate, key))
                return error_set(reterr, EINVAL, "the key is not the one of the certificate");
        /* 1 is a CA by basicConstraints and keyUsage; the others are guesses for old forms. */
        if (X509_check_ca(certificate) != 1)
                return error_set(reterr, EINVAL, "the certificate is not that of a CA");
        issuer = calloc(1, sizeof *issuer);
        if (!issuer)
                return error_oom(reterr);
        r = cert_facts(certificate, &issuer->facts, reterr);
        if (r < 0)
                return r;
        issuer->key_id = extension_issuer_key_id(issuer->facts.key_id, CERT_KEY_ID);
        if (!issuer->key_id)
                return error_oom(reterr);
        X509_up_ref(certificate);
        issuer->certificate = certificate;
        EVP_PKEY_up_ref(key);
        issuer->key = key;
        *ret = TAKE_PTR(issuer);
        return 0;
}

MintIssuer *mint_issuer_free(MintIssuer *issuer)
{
        if (!issuer)
                return NULL;
        cert_free(issuer->certificate);
        key_free(issuer->key);
        X509_EXTENSION_free(issuer->key_id);
        free(issuer);
        return NULL;
}

/* 63 random bits, never zero: positive, and a number to every tool that reads it. */
static int set_serial(X509 *certificate, Error *reterr)
{
        uint64_t serial = 0;

        if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1)
                return crypto_error(reterr, EIO, "no random serial number");
        serial &= INT64_MAX;
        if (serial == 0)
                serial = 1;
        if (!ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial))
                return error_oom(reterr);
        return 0;
}

/* Whole seconds, rounded down also before 1970. */
static time_t instant_seconds(int64_t usec)
{
        return usec / USEC_PER_SEC - (usec % USEC_PER_SEC < 0);
}

/* ASN1_TIME_adj() with a time of ours reads no clock; UTCTime through 2049 (RFC 5280 section
 * 4.1.2.5). */
static int set_validity(X509 *certificate, int64_t not_before_usec, int64_t not_after_usec,
                        Error *reterr)
{
        _cleanup_(ASN1_TIME_freep) ASN1_TIME *from =
                ASN1_TIME_adj(NULL, instant_seconds(not_before_usec), 0, 0);
        _cleanup_(ASN1_TIME_freep) ASN1_TIME *until =
                ASN1_TIME_adj(NULL, instant_seconds(not_after_usec), 0, 0);
        char a[CLOCK_TEXT_MAX], b[CLOCK_TEXT_MAX];

        if (!from || !until || !X509_set1_notBefore(certificate, from) ||
            !X509_set1_notAfter(certificate, until))
                return crypto_error(reterr, EINVAL, "no certificate can be valid from %s to %s",
                                    clock_format(not_before_usec, a),
                                    clock_format(not_after_usec, b));
        return 0;
}

/* The first 160 bits of the SHA-256 of the public key's bits: RFC 7093 section 2, method 1. */
static void public_key_id(X509 *certificate, uint8_t ret[CERT_KEY_ID])
{
        const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(certificate);
        uint8_t digest[CERT_FINGERPRINT];

        cert_digest(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits), digest);
        memcpy(ret, digest, CERT_KEY_ID);
}

static int begin(const Key *public_key, int64_t not_before_usec, int64_t not_after_usec, X509 **ret,
                 uint8_t ret_key_id[CERT_KEY_ID], Error *reterr)
{
        _cleanup_(cert_freep) X509 *certificate = X509_new();
        int r;

        if (!certificate || !X509_set_version(certificate, X509_VERSION_3))
                return error_oom(reterr);
        r = set_serial(certificate, reterr);
        if (r < 0)
                return r;
        r = set_validity(certificate, not_before_usec, not_after_usec, reterr);
        if (r < 0)
                return r;
        r = key_put_public(public_key, X509_get_X509_PUBKEY(certificate), reterr);
        if (r < 0)
                return r;
        public_key_id(certificate, ret_key_id);
        *ret = TAKE_PTR(certificate);
        return 0;
}

/* Adds the extensions that are there, signs, and takes the bytes. */
static int finish(X509 *certificate, X509_EXTENSION *const *extensions, size_t n, Key *key,
                  Minted *ret, Error *reterr)
{
        Minted minted = {0};
        int r;

        /* One that is NULL is not wanted: whether it could be made was looked at before. */
        for (size_t i = 0; i < n; i++)
                if (extensions[i] && !X509_add_ext(certificate, extensions[i], -1))
                        return error_oom(reterr);
        if (!X509_sign(certificate, key, key_digest(key)))
                return crypto_error(reterr, EIO, "cannot sign the certificate");
        /* The facts are read from what was made, not from what was asked for: instants there are
         * whole seconds, and the ledger tells what is in the certificate. */
        r = cert_facts(certificate, &minted.facts, reterr);
        if (r < 0)
                return r;
        r = cert_format(certificate, &minted.der, &minted.size, reterr);
        if (r < 0)
                return r;
        *ret = minted;
        return 0;
}

int mint_authority(const Mint *mint, const PolicyAuthority *authority, uint32_t number, Key *key,
                   int64_t now_usec, int64_t backdate_usec, Minted *ret, Error *reterr)
{
        _cleanup_(cert_freep) X509 *certificate = NULL;
        _cleanup_(X509_NAME_freep) X509_NAME *subject = NULL;
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *own_id = NULL, *issuer_id = NULL;
        uint8_t key_id[CERT_KEY_ID];
        int r;

        r = begin(key, now_usec - backdate_usec, usec_add(now_usec, authority->lifetime_usec),
                  &certificate, key_id, reterr);
        if (r < 0)
                return r;
        r = profile_authority_subject(authority, number, key_id, &subject, reterr);
        if (r < 0)
                return r;
        /* RFC 5280 section 4.2.1.1 lets a self-signed certificate be without the issuer's
         * identifier; with it all of ours have one shape. */
        own_id = extension_key_id(key_id, sizeof key_id);
        issuer_id = extension_issuer_key_id(key_id, sizeof key_id);
        if (!own_id || !issuer_id || !X509_set_subject_name(certificate, subject) ||
            !X509_set_issuer_name(certificate, subject))
                return error_oom(reterr);
        return finish(certificate,
                      (X509_EXTENSION *const[]){mint->ca, mint->ca_usage, own_id, issuer_id}, 4,
                      key, ret, reterr);
}

/* By the caller's clock: nothing is signed that no reader with the same clock would accept. */
static int check_issuer(const MintIssuer *issuer, int64_t now_usec, Error *reterr)
{
        char a[CLOCK_TEXT_MAX], b[CLOCK_TEXT_MAX];

        if (now_usec >= issuer->facts.not_after_usec)
                return error_set(reterr, EKEYEXPIRED, "the CA expired at %s, now it is %s",
                                 clock_format(issuer->facts.not_after_usec, a),
                                 clock_format(now_usec, b));
        if (now_usec < issuer->facts.not_before_usec)
                return error_set(reterr, EKEYEXPIRED,
                                 "the CA is not valid before %s, now it is %s HINT: Look at this "
                                 "machine's clock.",
                                 clock_format(issuer->facts.not_before_usec, a),
                                 clock_format(now_usec, b));
        return 0;
}

int mint_cross(const Mint *mint, const MintIssuer *issuer, const Cert *subject, int64_t now_usec,
               int64_t backdate_usec, Minted *ret, Error *reterr)
{
        _cleanup_(cert_freep) X509 *certificate = NULL;
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *own_id = NULL;
        int64_t not_after = issuer->facts.not_after_usec;
        uint8_t key_id[CERT_KEY_ID];
        CertFacts facts;
        int r = check_issuer(issuer, now_usec, reterr);

        if (r >= 0)
                r = cert_facts(subject, &facts, reterr);
        if (r < 0)
                return r;
        if (X509_get_pathlen(issuer->certificate) == 0)
                return error_set(reterr, EOPNOTSUPP,
                                 "the CA may not certify another CA: its pathLenConstraint is 0");
        if (not_after > facts.not_after_usec)
                not_after = facts.not_after_usec;
        r = begin(X509_get0_pubkey(subject), now_usec - backdate_usec, not_after, &certificate,
                  key_id, reterr);
        if (r < 0)
                return r;
        own_id = extension_key_id(key_id, sizeof key_id);
        if (!own_id || !X509_set_subject_name(certificate, X509_get_subject_name(subject)) ||
            !X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)))
                return error_oom(reterr);
        return finish(certificate,
                      (X509_EXTENSION *const[]){mint->ca, mint->ca_usage, own_id, issuer->key_id},
                      4, issuer->key, ret, reterr);
}

int mint_leaf(const Mint *mint, const MintIssuer *issuer, const PolicyCertificate *wanted,
              const Key *public_key, int64_t now_usec, int64_t backdate_usec, Minted *ret,
              Error *reterr)
{
        _cleanup_(cert_freep) X509 *certificate = NULL;
        _cleanup_(X509_NAME_freep) X509_NAME *subject = NULL;
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *names = NULL, *own_id = NULL;
        int64_t not_after = usec_add(now_usec, wanted->lifetime_usec);
        uint8_t key_id[CERT_KEY_ID];
        int r = check_issuer(issuer, now_usec, reterr);

        if (r < 0)
                return r;
        /* A leaf that outlives its CA would be refused before its own end, and nobody would know
         * from looking at it. */
        if (not_after > issuer->facts.not_after_usec)
                not_after = issuer->facts.not_after_usec;
        r = begin(public_key, now_usec - backdate_usec, not_after, &certificate, key_id, reterr);
        if (r < 0)
                return r;
        r = profile_subject(&wanted->subject, NULL, &subject, reterr);
        if (r < 0)
                return r;
        own_id = extension_key_id(key_id, sizeof key_id);
        if (wanted->n_names > 0)
                names = extension_names(wanted->names, wanted->n_names);
        if (!own_id || (wanted->n_names > 0 && !names) ||
            !X509_set_subject_name(certificate, subject) ||
            !X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)))
                return error_oom(reterr);
        return finish(certificate,
                      (X509_EXTENSION *const[]){mint->leaf, mint->usage[wanted->key],
                                                mint->purpose[wanted->use], names, own_id,
                                                issuer->key_id},
                      6, issuer->key, ret, reterr);
}
