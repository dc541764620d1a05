/*
 * The files of one certificate: generations, `current`, and the names that readers know.
 * Acts as the owner of the files and on what the policy gives to that owner, by
 * directory descriptor, never through a link, never changing an existing file.
 *
 *   DIRECTORY/generation-7/{server.crt,server.key,root.crt,manifest}
 *   DIRECTORY/current -> generation-7
 *   DIRECTORY/server.crt -> current/server.crt
 *
 * Every function locks the directory (flock) where it writes, waiting at most 5 s.
 */
#pragma once

#include "common/cert.h"
#include "common/observation.h"
#include "common/policy.h"
#include "daemon/worker/look.h"
#include "daemon/worker/publication.h"

/* Judges what was looked at: all of ret; anchors are the bundle's key ids (the caller frees). What
 * is wrong with the files is a state and a problem in ret, never a failure. One thread alone. */
int generation_judge(const Look *look, ObservedSet *ret, uint8_t (**ret_anchors)[CERT_KEY_ID],
                     size_t *ret_n_anchors, Error *reterr);

/* Begins the next generation: makes the directory, puts the key there (the published one where its
 * type fits and rekey is not asked; a new one otherwise) and returns a CSR. What an earlier try
 * left unpublished, and is not marked refused, is removed first. -EEXIST with a sentence where a
 * name is foreign. */
int generation_stage(const PolicyCertificate *certificate, bool rekey, int64_t now_usec,
                     uint32_t *ret_generation, uint8_t **ret_csr, size_t *ret_csr_size,
                     Error *reterr);

/* Writes certificate (leaf, then chain), trust bundle and manifest of the staged generation.
 * The leaf must have the staged key. Nothing is synced yet. */
int generation_fill(const PolicyCertificate *certificate, uint32_t generation,
                    const CertList *chain, const CertList *bundle, Error *reterr);

/* Publishes filled generations (the highest unpublished one of each): sync, preflight, switch,
 * fixed names and service file, sync. Each has its own outcome in ret (code 0 for done); one that
 * fails preflight does not hold up the others. A set with nothing staged only gets its missing
 * names and its service file. For many sets each file system is synced once, for few each file. */
int generation_publish(PublishItem *items, size_t n, Error *reterr);

/* Switches back to the previous generation, whose leaf must be the one that is served, and marks
 * the present one refused with the reason. -ENOENT where there is none to go back to, -ENXIO where
 * another one is served, -EKEYEXPIRED where it has expired, -EINVAL where it fails preflight: then
 * nothing is changed. */
int generation_back(const PolicyCertificate *certificate, const uint8_t served[CERT_FINGERPRINT],
                    const char *reason, int64_t now_usec, uint32_t *ret_generation, Error *reterr);

/* Removes generations older than the previous one, keys first. Returns 1 where any was removed. */
int generation_prune(const PolicyCertificate *certificate, Error *reterr);
