#include "common/cert.h"

#include "common/clock.h"
#include "common/crypto.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(BIO *, BIO_free);

static const char begin_line[] = "-----BEGIN CERTIFICATE-----";
static const char end_line[] = "-----END CERTIFICATE-----";

Cert *cert_free(Cert *cert)
{
        X509_free(cert);
        return NULL;
}

void cert_list_done(CertList *list)
{
        for (size_t i = 0; i < list->n; i++)
                cert_free(list->items[i]);
        free(list->items);
        *list = (CertList){0};
}

int cert_list_add(CertList *list, Cert *cert, Error *reterr)
{
        _cleanup_(cert_freep) Cert *owned = cert;
        Cert **items;

        if (list->n >= CERT_CHAIN_MAX)
                return error_set(reterr, E2BIG, "more than %d certificates", CERT_CHAIN_MAX);
        items = reallocarray(list->items, list->n + 1, sizeof *items);
        if (!items)
                return error_oom(reterr);
        list->items = items;
        list->items[list->n++] = TAKE_PTR(owned);
        return 0;
}

/* Where certificates that were parsed are kept, by the digest of their bytes: d2i_X509() decodes
 * the public key by scanning all providers, and the same CA stands in every bundle. Of two in one
 * place the newer is kept. */
typedef struct Parsed {
        uint8_t sha256[CERT_FINGERPRINT];
        Cert *cert;
} Parsed;

enum { PARSED_PLACES = 4096 }; /* so many that the leaves of 1,000 sets seldom meet */

static Parsed parsed[PARSED_PLACES];

static Parsed *parsed_place(const uint8_t sha256[CERT_FINGERPRINT])
{
        uint32_t hash;

        memcpy(&hash, sha256, sizeof hash);
        return &parsed[hash % PARSED_PLACES];
}

static void parsed_keep(Parsed *place, const uint8_t sha256[CERT_FINGERPRINT], Cert *cert)
{
        X509_up_ref(cert);
        cert_free(place->cert);
        place->cert = cert;
        memcpy(place->sha256, sha256, CERT_FINGERPRINT);
}

int cert_parse(const void *der, size_t size, Cert **ret, Error *reterr)
{
        _cleanup_(cert_freep) Cert *cert = NULL;
        const unsigned char *position = der;
        uint8_t sha256[CERT_FINGERPRINT];
        Parsed *place;

        if (size > CERT_FILE_MAX)
                return error_set(reterr, EINVAL, "not a certificate: %zu bytes", size);
        cert_digest(der, size, sha256);
        place = parsed_place(sha256);
        if (place->cert && memcmp(place->sha256, sha256, sizeof sha256) == 0) {
                X509_up_ref(place->cert);
                *ret = place->cert;
                return 0;
        }
        cert = d2i_X509(NULL, &position, (long)size);
        if (!cert)
                return crypto_error(reterr, EINVAL, "not a certificate");
        if (position != (const unsigned char *)der + size)
                return error_set(reterr, EINVAL, "bytes follow the certificate");
        ERR_clear_error();
        parsed_keep(place, sha256, cert);
        *ret = TAKE_PTR(cert);
        return 0;
}

int cert_format(const Cert *cert, uint8_t **ret_der, size_t *ret_size, Error *reterr)
{
        int size = i2d_X509(cert, NULL);
        unsigned char *position;
        uint8_t *der;

        if (size < 0)
                return crypto_error(reterr, EIO, "cannot write the certificate");
        der = malloc((size_t)size);
        if (!der)
                return error_oom(reterr);
        position = der;
        i2d_X509(cert, &position);
        *ret_der = der;
        *ret_size = (size_t)size;
        return 0;
}

/* A line without its end; position moves to the next. */
typedef struct Line {
        const char *start;
        size_t size;
} Line;

static bool next_line(const char **position, const char *end, Line *ret)
{
        const char *start = *position, *newline;

        if (start >= end)
                return false;
        newline = memchr(start, '\n', (size_t)(end - start));
        *position = newline ? newline + 1 : end;
        ret->start = start;
        ret->size = (size_t)((newline ? newline : end) - start);
        while (ret->size > 0 && strchr(" \t\r", start[ret->size - 1]) && start[ret->size - 1])
                ret->size--;
        return true;
}

static bool line_is(const Line *line, const char *text)
{
        return line->size == strlen(text) && memcmp(line->start, text, line->size) == 0;
}

/* One block, boundaries included. */
static int list_add_block(CertList *list, const char *block, size_t size, Error *reterr)
{
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(block, (int)size);
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        Cert *cert = NULL;
        long der_size;
        int r;

        if (!bio)
                return error_oom(reterr);
        if (!PEM_read_bio(bio, &name, &header, &der, &der_size))
                return crypto_error(reterr, EINVAL, "not a certificate in PEM");
        if (header[0] != '\0')
                r = error_set(reterr, EINVAL, "a certificate in PEM has no header");
        else
                r = cert_parse(der, (size_t)der_size, &cert, reterr);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
        return r < 0 ? r : cert_list_add(list, cert, reterr);
}

static int list_parse(const char *pem, size_t size, CertList *list, Error *reterr)
{
        const char *position = pem, *end = pem + size, *block = NULL;
        unsigned number = 0, block_number = 0;
        Line line;
        int r;

        while (next_line(&position, end, &line)) {
                number++;
                if (block && line_is(&line, end_line)) {
                        r = list_add_block(list, block, (size_t)(position - block), reterr);
                        if (r < 0)
                                return error_prefix(reterr, "line %u", block_number), r;
                        block = NULL;
                } else if (!block && line_is(&line, begin_line)) {
                        block = line.start;
                        block_number = number;
                } else if (memmem(line.start, line.size, "-----", 5)) {
                        return error_set(reterr, EINVAL, "line %u: not a boundary of certificates",
                                         number);
                }
        }
        if (block)
                return error_set(reterr, EINVAL, "line %u: the certificate has no end",
                                 block_number);
        return 0;
}

int cert_list_parse(const void *pem, size_t size, CertList *ret, Error *reterr)
{
        _cleanup_(cert_list_done) CertList list = {0};
        int r;

        if (size > CERT_FILE_MAX)
                return error_set(reterr, EINVAL, "%zu bytes are too many for certificates", size);
        r = list_parse(pem, size, &list, reterr);
        if (r < 0)
                return r;
        if (list.n == 0)
                return error_set(reterr, EINVAL, "no certificate in PEM");
        *ret = list;
        list = (CertList){0};
        return 0;
}

void cert_add_pem(Text *text, const void *der, size_t size)
{
        const unsigned char *bytes = der;
        unsigned char line[64 + 1];

        text_addf(text, "%s\n", begin_line);
        for (size_t at = 0; at < size; at += 48) {
                size_t n = size - at < 48 ? size - at : 48;
                int written = EVP_EncodeBlock(line, bytes + at, (int)n);

                text_add_bytes(text, line, (size_t)written);
                text_add(text, "\n");
        }
        text_addf(text, "%s\n", end_line);
}

static int instant_parse(const ASN1_TIME *time, int64_t *ret_usec, Error *reterr)
{
        struct tm tm;

        if (!ASN1_TIME_to_tm(time, &tm))
                return crypto_error(reterr, EINVAL, "the certificate's validity is malformed");
        *ret_usec = (int64_t)timegm(&tm) * USEC_PER_SEC;
        return 0;
}

/* As `openssl x509 -serial` prints it, in lower case. */
static int serial_format(const ASN1_INTEGER *serial, char ret[CERT_SERIAL_MAX], Error *reterr)
{
        const unsigned char *bytes = ASN1_STRING_get0_data(serial);
        size_t size = (size_t)ASN1_STRING_length(serial), at = 0;
        bool is_negative = ASN1_STRING_type(serial) & V_ASN1_NEG;

        if (is_negative + 2 * size + 1 > CERT_SERIAL_MAX)
                return error_set(reterr, EINVAL, "the certificate's serial number is too long");
        if (is_negative)
                ret[at++] = '-';
        for (size_t i = 0; i < size; i++) {
                ret[at++] = "0123456789abcdef"[bytes[i] >> 4];
                ret[at++] = "0123456789abcdef"[bytes[i] & 15];
        }
        ret[at] = '\0';
        if (at == 0)
                strcpy(ret, "00");
        return 0;
}

/* Where a CA has none, as openssl of before 3.2 made them without being asked, the one that RFC
 * 5280 section 4.2.1.2 proposes: CAs are told apart by it, and all of our programs see the same. */
static void key_id_derive(const X509 *cert, uint8_t ret[CERT_KEY_ID])
{
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;

        if (X509_pubkey_digest(cert, EVP_sha1(), digest, &size) && size >= CERT_KEY_ID)
                memcpy(ret, digest, CERT_KEY_ID);
}

static void key_id_copy(const ASN1_OCTET_STRING *from, uint8_t ret[CERT_KEY_ID])
{
        size_t size = from ? (size_t)ASN1_STRING_length(from) : 0;

        memset(ret, 0, CERT_KEY_ID);
        if (size > 0)
                memcpy(ret, ASN1_STRING_get0_data(from), size < CERT_KEY_ID ? size : CERT_KEY_ID);
}

int cert_facts(const Cert *cert, CertFacts *ret, Error *reterr)
{
        _cleanup_(freep) uint8_t *der = NULL;
        X509 *x509 = (X509 *)cert; /* the getters of extensions fill a cache in it */
        CertFacts facts = {0};
        size_t size;
        int r;

        r = instant_parse(X509_get0_notBefore(cert), &facts.not_before_usec, reterr);
        if (r < 0)
                return r;
        r = instant_parse(X509_get0_notAfter(cert), &facts.not_after_usec, reterr);
        if (r < 0)
                return r;
        r = serial_format(X509_get0_serialNumber(cert), facts.serial, reterr);
        if (r < 0)
                return r;
        r = cert_format(cert, &der, &size, reterr);
        if (r < 0)
                return r;
        cert_digest(der, size, facts.sha256);
        key_id_copy(X509_get0_subject_key_id(x509), facts.key_id);
        if (!X509_get0_subject_key_id(x509))
                key_id_derive(cert, facts.key_id);
        key_id_copy(X509_get0_authority_key_id(x509), facts.issuer_key_id);
        ERR_clear_error();
        *ret = facts;
        return 0;
}

int cert_name(const X509_NAME *name, char *buffer, size_t size, Error *reterr)
{
        /* RFC 2253's escapes, but UTF-8 is left as it is, and the order is the certificate's. */
        const unsigned long flags = (ASN1_STRFLGS_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) |
                                    XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN;
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        long length;

        if (!bio || X509_NAME_print_ex(bio, name, 0, flags) < 0)
                return crypto_error(reterr, EINVAL, "cannot write a certificate's name");
        length = BIO_get_mem_data(bio, &text);
        if ((size_t)length >= size)
                return error_set(reterr, ENOBUFS, "a certificate's name has %ld bytes", length);
        if (length > 0)
                memcpy(buffer, text, (size_t)length);
        buffer[length] = '\0';
        return 0;
}

int cert_subject(const Cert *cert, char *buffer, size_t size, Error *reterr)
{
        return cert_name(X509_get_subject_name(cert), buffer, size, reterr);
}

bool cert_has_key(const Cert *cert, const Key *key)
{
        EVP_PKEY *public_key = X509_get0_pubkey(cert);
        bool is_same = public_key && EVP_PKEY_eq(public_key, key) == 1;

        ERR_clear_error();
        return is_same;
}

void cert_digest(const void *data, size_t size, uint8_t ret[CERT_FINGERPRINT])
{
        int r = EVP_Digest(data, size, ret, NULL, crypto_sha256(), NULL);

        assert(r == 1);
}
