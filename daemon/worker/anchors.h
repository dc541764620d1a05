/*
 * The anchors of a trust bundle, by their subjectKeyIdentifier: what an observation tells of it.
 */
#pragma once

#include "common/cert.h"
#include "common/fdio.h"

/* The caller frees ret. -EINVAL where the file is no list of certificates. */
int anchors_parse(const FileBytes *file, uint8_t (**ret)[CERT_KEY_ID], size_t *ret_n,
                  Error *reterr);
