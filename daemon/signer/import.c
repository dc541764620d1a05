#include "daemon/signer/import.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
        IMPORT_KEY_MAX = 64 * 1024,
        IMPORT_RSA_MIN = 2048, /* libcrypto's default security level refuses less */
        IMPORT_EC_MIN = 224,
};

static int read_certificate(const char *path, Cert **ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList list = {0};
        int r = fdio_read_followed(path, CERT_FILE_MAX, &bytes, reterr);

        if (r < 0)
                return r;
        r = cert_list_parse(bytes.data, bytes.size, &list, reterr);
        if (r < 0)
                return error_prefix(reterr, "%s", path);
        if (list.n != 1)
                return error_set(reterr, EINVAL,
                                 "%s: %zu certificates HINT: Give the file of the root CA alone.",
                                 path, list.n);
        *ret = TAKE_PTR(list.items[0]);
        return 0;
}

/* PKCS#8 says so in its boundary, the older form in a header. */
static bool is_encrypted(const FileBytes *bytes)
{
        return memmem(bytes->data, bytes->size, "ENCRYPTED", strlen("ENCRYPTED"));
}

static int read_key(const char *path, Key **ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        int r = fdio_read_followed(path, IMPORT_KEY_MAX, &bytes, reterr);

        /* The likeliest failure: an openssl key is root's, 0600. */
        if (r == -EACCES)
                return error_set(reterr, EACCES,
                                 "the signer's user cannot read the key %s: %s HINT: Copy it to "
                                 "where the user pgcertd-signer alone can read it.",
                                 path, strerror(EACCES));
        if (r < 0)
                return r;
        if (is_encrypted(&bytes))
                return error_set(
                        reterr, EINVAL,
                        "%s: the key has a passphrase HINT: Write it without one, to where "
                        "the signer's user alone can read it: openssl pkey -in %s -out "
                        "NEW.",
                        path, path);
        r = key_parse(bytes.data, bytes.size, ret, reterr);
        return r < 0 ? error_prefix(reterr, "%s", path) : 0;
}

/* By what would fail later, at every reader at once, and with an error that names none of this. */
static int check_algorithm(const Key *key, const char *path, Error *reterr)
{
        int bits = EVP_PKEY_get_bits(key);

        if (EVP_PKEY_is_a(key, "RSA")) {
                if (bits >= IMPORT_RSA_MIN)
                        return 0;
                return error_set(reterr, EINVAL,
                                 "%s: an RSA key of %d bits is refused by today's TLS libraries "
                                 "HINT: Put its certificate into trust instead of adopt.",
                                 path, bits);
        }
        if (EVP_PKEY_is_a(key, "EC") && bits >= IMPORT_EC_MIN)
                return 0;
        return error_set(
                reterr, EINVAL,
                "%s: a CA with a key of type %s cannot sign for PostgreSQL: SCRAM binds to "
                "the digest of the certificate's signature, which RSA and ECDSA have HINT: "
                "Put its certificate into trust instead of adopt.",
                path, EVP_PKEY_get0_type_name(key));
}

static int check_certificate(Cert *certificate, const char *path, Error *reterr)
{
        if (X509_check_ca(certificate) != 1)
                return error_set(reterr, EINVAL,
                                 "%s: not the certificate of a CA HINT: Name the certificate that "
                                 "signed the others, often ca-cert.pem or root.crt.",
                                 path);
        if (X509_self_signed(certificate, 1) != 1)
                return error_set(reterr, EINVAL,
                                 "%s: the CA is not self-signed: PostgreSQL and libpq trust roots "
                                 "alone HINT: Name the root CA.",
                                 path);
        return 0;
}

/* To sign with it now, and to certify the next one. */
static int check_time(const Cert *certificate, const char *path, int64_t now_usec, Error *reterr)
{
        char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
        CertFacts facts;
        int r = cert_facts(certificate, &facts, reterr);

        if (r < 0)
                return error_prefix(reterr, "%s", path);
        if (now_usec >= facts.not_before_usec && now_usec < facts.not_after_usec)
                return 0;
        return error_set(reterr, EKEYEXPIRED,
                         "%s: the CA is valid from %s until %s, now it is %s HINT: %s", path,
                         clock_format(facts.not_before_usec, from),
                         clock_format(facts.not_after_usec, until), clock_format(now_usec, now),
                         now_usec < facts.not_before_usec
                                 ? "Look at this machine's clock."
                                 : "Remove adopt; no reader accepts an expired CA any more.");
}

int import_read(const PolicyAuthority *authority, int64_t now_usec, Cert **ret_certificate,
                Key **ret_key, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        _cleanup_(key_freep) Key *key = NULL;
        int r = read_certificate(authority->adopt_certificate, &certificate, reterr);

        if (r >= 0)
                r = check_certificate(certificate, authority->adopt_certificate, reterr);
        if (r >= 0)
                r = check_time(certificate, authority->adopt_certificate, now_usec, reterr);
        if (r >= 0)
                r = read_key(authority->adopt_key, &key, reterr);
        if (r >= 0 && !cert_has_key(certificate, key))
                r = error_set(reterr, EINVAL, "%s: not the key of the certificate %s",
                              authority->adopt_key, authority->adopt_certificate);
        if (r >= 0)
                r = check_algorithm(key, authority->adopt_key, reterr);
        if (r < 0)
                return r;
        *ret_certificate = TAKE_PTR(certificate);
        *ret_key = TAKE_PTR(key);
        return 0;
}
