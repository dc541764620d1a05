/*
 * Foreign anchors: the files of an authority's `trust:`, read at every look, for they are somebody
 * else's to change. Each anchor that was ever told is remembered as a copy in the authority's
 * directory (T-KEYIDENTIFIER.crt), so that after its line has gone from the policy it can be told
 * as retired: only then may a reader's bundle lose it.
 */
#pragma once

#include "common/authority.h"
#include "common/policy.h"

/* Adds `trust` and what is retired of it to observed, whose generations are there already. One that
 * has expired is left out, and noted once. directory_fd is the authority's, or -1: then nothing is
 * remembered. notes may be NULL. An error names the file that cannot be read, or is not of
 * certificates of CAs alone. -E2BIG for more than OBSERVED_TRUST_MAX anchors. */
int trust_tell(int directory_fd, const PolicyAuthority *authority, int64_t now_usec,
               ObservedAuthority *observed, Text *notes, Error *reterr);
