/*
 * A certificate signing request (PKCS #10, RFC 2986) in DER. It carries nothing but a public key
 * and the proof that the sender has the private one: subject and extensions are the signer's.
 */
#pragma once

#include "common/key.h"

enum { CSR_MAX = 4096 }; /* bytes; one for RSA of 4096 bits has 1,100 */

/* Makes a request for the key: empty subject, no attributes. The caller frees ret_der. */
int csr_format(Key *key, uint8_t **ret_der, size_t *ret_size, Error *reterr);

/* Verifies the request's own signature and returns its public key, which must be of the type.
 * -EINVAL for anything malformed (trailing bytes too) or of another type, -EBADMSG for a wrong
 * signature. */
int csr_parse(const void *der, size_t size, KeyType type, Key **ret_public_key, Error *reterr);
