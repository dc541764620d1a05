/*
 * Whether a certificate is of the private key in a file. Reading a key has libcrypto build a
 * decoder and scan all providers, ten times the cost of making the key; so a process remembers, by
 * the SHA-256 of a file's bytes, the SHA-256 of the public key that belongs to them. It remembers
 * no key, and the file is read at every look: other bytes are another key.
 */
#pragma once

#include "common/cert.h"

/* Remembers what key_format() made. Where it cannot, pair_check() takes longer. */
void pair_remember(const void *pem, size_t size, const Key *key);

/* Tells whether the certificate is of the key in these bytes. -EINVAL where they are no key, in the
 * words of key_parse(). */
int pair_check(const void *pem, size_t size, const Cert *certificate, bool *ret, Error *reterr);
