/*
 * The small text file that says that a generation is ours, since when its key is, and how its files
 * are called. It stays the same across renewals with a kept key, so that it can be one hard link
 * through all of them.
 *
 *   # made by pgcertd
 *   certificate server
 *   key-made 2026-01-31T12:00:00Z
 *   key server.key
 *   chain server.crt
 *   trust root.crt
 *
 * `adopted yes` says that the files are a copy of what somebody else made. Where the policy gave a
 * file another name, `former-key` and the like tell the one before: a link in the generation keeps
 * that name working for a reader that was not told yet.
 */
#pragma once

#include "common/fdio.h"
#include "common/policy.h"
#include "common/text.h"

#include <stdbool.h>

#define MANIFEST_NAME "manifest"
#define MANIFEST_FIRST_LINE "# made by pgcertd"
#define MANIFEST_ADOPTED "adopted yes" /* a line of its own */

enum { MANIFEST_MAX = 4096, MANIFEST_LINES_MAX = 32 };

typedef struct Manifest {
        int64_t key_made_usec;     /* whole seconds; 0 where it is not told */
        char *files[POLICY_FILES]; /* plain names; NULL where not told */
        char *former[POLICY_FILES];
        bool is_adopted; /* the files are somebody else's, copied */
} Manifest;

void manifest_done(Manifest *manifest);

/* The name that a file had before, by the manifest of the generation before; NULL for none, and
 * where a file of the policy has that name now. */
const char *manifest_former(const Manifest *before, const PolicyCertificate *certificate,
                            PolicyFile file);

/* before is that of the published generation; empty for a first one. */
void manifest_format(const PolicyCertificate *certificate, const Manifest *before,
                     int64_t key_made_usec, Text *text);

/* -EINVAL where the first line is not ours. Later lines that are malformed or unknown are passed
 * over: a manifest only tells, and is never believed about anything but our own files. */
int manifest_parse(const void *data, size_t size, Manifest *ret, Error *reterr);

/* Reads and parses that of an open generation. bytes may be NULL. */
int manifest_load(int generation_fd, Manifest *ret, FileBytes *ret_bytes, Error *reterr);
