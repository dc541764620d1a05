/*
 * A generation before it is published: the directory, the key, then the certificate and the trust
 * bundle. Readers do not see it, a crash costs nothing: what was left is removed by the next try.
 * What stays the same as in the published generation is a hard link into it.
 */
#pragma once

#include "daemon/worker/store.h"

/* Removes what earlier tries left above current, refused generations excepted, and the link that a
 * crash left under a temporary name. */
int staging_discard(const Store *store, Error *reterr);

/* Makes the next generation with its manifest and key, and a request for that key, which the caller
 * frees. The published key is kept where it can be read, is of the type, and no new one is asked
 * for. */
int staging_begin(const Store *store, bool rekey, int64_t now_usec, uint32_t *ret_number,
                  uint8_t **ret_csr, size_t *ret_csr_size, Error *reterr);

/* Writes the certificates and the bundle; what an earlier fill wrote is replaced. With an empty
 * chain the published certificate and its key stay as they are, byte for byte, whoever made them.
 * -EINVAL where the leaf is not of the staged key, -ENOENT where that generation is not staged, or
 * nothing is published that could stay. */
int staging_fill(const Store *store, uint32_t number, const CertList *chain, const CertList *bundle,
                 Error *reterr);
