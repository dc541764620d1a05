/*
 * Somebody else's CA, from the files of an authority's `adopt:`: read, and judged whether it can
 * sign for PostgreSQL's readers until it is replaced.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

/* Reads certificate and key. -EINVAL with a sentence and a hint where they are not those of a root
 * CA that can be used: RSA of 2048 bits or more, or an elliptic curve; self-signed; with the key
 * its own and not encrypted. -EKEYEXPIRED where it is not valid now. */
int import_read(const PolicyAuthority *authority, int64_t now_usec, Cert **ret_certificate,
                Key **ret_key, Error *reterr);
