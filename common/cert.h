/*
 * A certificate (RFC 5280): parsed once, from PEM or DER, and told as plain facts that programs
 * without libcrypto can use. Nothing here reads a clock.
 */
#pragma once

#include "common/error.h"
#include "common/key.h"
#include "common/text.h"

#include <stdint.h>

typedef struct x509_st Cert; /* OpenSSL's X509, opaque to callers */
struct X509_name_st;         /* OpenSSL's X509_NAME */

enum {
        CERT_SERIAL_MAX = 41,    /* 20 bytes in hex, and the NUL */
        CERT_FINGERPRINT = 32,   /* SHA-256 of the DER */
        CERT_KEY_ID = 20,        /* keyIdentifier; longer ones are cut, shorter ones zero-filled */
        CERT_CHAIN_MAX = 64,     /* certificates in one file of ours */
        CERT_FILE_MAX = 1 << 20, /* bytes of a file with certificates */
};

/* What pgcertd knows of a certificate. Instants are microseconds of the Unix epoch. */
typedef struct CertFacts {
        int64_t not_before_usec;
        int64_t not_after_usec;
        char serial[CERT_SERIAL_MAX]; /* lower-case hex, whole bytes: as openssl x509 -serial */
        uint8_t sha256[CERT_FINGERPRINT];
        uint8_t key_id[CERT_KEY_ID]; /* subjectKeyIdentifier; SHA-1 of the key where absent */
        uint8_t issuer_key_id[CERT_KEY_ID]; /* authorityKeyIdentifier; zeros where absent */
} CertFacts;

/* A list of certificates, in the order of their file. */
typedef struct CertList {
        Cert **items;
        size_t n;
} CertList;

Cert *cert_free(Cert *cert);
DEFINE_CLEANUP(Cert *, cert_free);
void cert_list_done(CertList *list);
int cert_list_add(CertList *list, Cert *cert,
                  Error *reterr); /* takes the certificate, also on failure */

/* DER. Trailing bytes are an error. The same bytes may give the same certificate again: it is not
 * to be changed. One thread alone. */
int cert_parse(const void *der, size_t size, Cert **ret, Error *reterr);
int cert_format(const Cert *cert, uint8_t **ret_der, size_t *ret_size, Error *reterr);

/* PEM (RFC 7468): one or more CERTIFICATE blocks. Text between them is skipped, as every reader
 * does, but any other boundary is an error: another kind of block, or one that lost its begin or
 * its end. -EINVAL for none at all; at most CERT_CHAIN_MAX. On failure ret is left alone. */
int cert_list_parse(const void *pem, size_t size, CertList *ret, Error *reterr);

/* Writes one certificate's DER as PEM without parsing it, appended to text. */
void cert_add_pem(Text *text, const void *der, size_t size);

int cert_facts(const Cert *cert, CertFacts *ret, Error *reterr);

/* A name as one line, RFC 2253 but in the order written: "C=CN, ST=GD, O=Bytebase, CN=root".
 * -ENOBUFS where it does not fit. */
int cert_name(const struct X509_name_st *name, char *buffer, size_t size, Error *reterr);
int cert_subject(const Cert *cert, char *buffer, size_t size, Error *reterr);

/* Whether the certificate's public key belongs to the private key. */
bool cert_has_key(const Cert *cert, const Key *key);

/* SHA-256 of any bytes, for known digests. */
void cert_digest(const void *data, size_t size, uint8_t ret[CERT_FINGERPRINT]);
