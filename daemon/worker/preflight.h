/*
 * Whether PostgreSQL and libpq would accept a set, judged by their own rules before it is switched
 * to, by the user who will read it. Sources: PostgreSQL's be-secure-common.c
 * (check_ssl_key_file_permissions), be-secure-openssl.c, fe-secure-openssl.c; RFC 5280 section 6.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

#include <sys/stat.h>

/* Judges the files of one generation below an open directory: the first certificate belongs to the
 * key; the chain verifies to the bundle alone (no trust store, no partial chain, given time) for
 * the use wanted; dates fit with nothing to spare; owner and mode of the key pass, ACL mask
 * included; every file can be opened by this user, and the directories above can be searched.
 * 0 and the leaf's facts, or a negative errno and a sentence; -EKEYEXPIRED where the leaf expired.
 */
int preflight_check(const PolicyCertificate *certificate, int generation_fd, int64_t now_usec,
                    CertFacts *ret_leaf, Error *reterr);

/* The key file's rule alone, on what stat says; for observation too. */
int preflight_key_mode(const struct stat *stat, mode_t wanted, const char *name, Error *reterr);
