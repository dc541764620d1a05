/*
 * What the modules that use libcrypto share: its error queue as one sentence of ours, and the
 * digests, fetched once. Only modules that own a part of libcrypto include this.
 */
#pragma once

#include "common/error.h"

#include <openssl/evp.h>

/* Makes an error of the sentence and libcrypto's own reason, and empties its error queue. Returns
 * -code; -ENOMEM where libcrypto says that memory ran out. */
int crypto_error(Error *reterr, int code, const char *format, ...) _printf_(3, 4);

/* Digests, fetched at the first use and kept: a lookup at every use costs more than the digest.
 * Never NULL. */
const EVP_MD *crypto_sha256(void);
const EVP_MD *crypto_sha384(void);

/* A library context that knows no algorithm. d2i of anything with a SubjectPublicKeyInfo tries to
 * decode the key at once, which scans every provider and takes 30 times as long as the rest; within
 * this context there is nothing to scan, and the key stays bytes. NULL where memory ran out. */
OSSL_LIB_CTX *crypto_nothing(void);
