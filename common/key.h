/*
 * Private keys: made, read and written as PKCS#8 PEM (RFC 5208, RFC 7468). The only module that
 * holds key bytes in text form; every buffer that did is wiped. No function writes a key to a
 * descriptor: the caller does, with the mode it wants.
 */
#pragma once

#include "common/error.h"
#include "common/keytype.h"

#include <stdint.h>

typedef struct evp_pkey_st Key; /* OpenSSL's EVP_PKEY, opaque to callers */
struct X509_pubkey_st;          /* OpenSSL's X509_PUBKEY: a SubjectPublicKeyInfo */
struct evp_md_st;               /* OpenSSL's EVP_MD */

/* Makes a new key. RSA takes up to some seconds. Like key_parse() and key_get_public() it keeps
 * what libcrypto looks up for the first key: one thread alone. */
int key_new(KeyType type, Key **ret, Error *reterr);
Key *key_free(Key *key);
DEFINE_CLEANUP(Key *, key_free);

/* A key's PEM text; wiped when freed. */
typedef struct KeyText {
        char *data;
        size_t size;
} KeyText;
void key_text_done(KeyText *text);
int key_format(Key *key, KeyText *ret, Error *reterr);

/* Reads an unencrypted PEM key. -EINVAL where it is none. Never asks for a passphrase. */
int key_parse(const void *data, size_t size, Key **ret, Error *reterr);

/* The same with a passphrase: encrypted PKCS#8 (RFC 5958), AES-256. */
int key_format_locked(Key *key, const char *passphrase, KeyText *ret, Error *reterr);
int key_parse_locked(const void *data, size_t size, const char *passphrase, Key **ret,
                     Error *reterr);

/* Whether the key is of that type (RSA: of that many bits). */
bool key_is_type(const Key *key, KeyType type);

/* Writes the public half into a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), in its one
 * canonical form: named curve, uncompressed point. -EINVAL for a key of no type of ours. */
int key_put_public(const Key *key, struct X509_pubkey_st *spki, Error *reterr);

/* The public key in a SubjectPublicKeyInfo, which must be of the type: -EINVAL otherwise, before
 * anything is computed with it. */
int key_get_public(const struct X509_pubkey_st *spki, KeyType type, Key **ret, Error *reterr);

/* The digest that a signature by this key uses; NULL where the algorithm has its own (Ed25519). */
const struct evp_md_st *key_digest(const Key *key);
