/*
 * What the signer tells of an authority: the generations that are trusted, the foreign anchors, and
 * what no bundle needs any more; and what it is told in turn of leaves that were seen.
 */
#pragma once

#include "daemon/signer/ca.h"

/* The latest end of a leaf that was seen of a generation. */
typedef struct StatementEnd {
        uint8_t key_id[CERT_KEY_ID];
        int64_t not_after_usec;
} StatementEnd;

/* The key of the current generation is read, to know that it is its key; the ledger only where a
 * generation is retiring. ca is NULL where nothing was ever made. */
int statement_make(const Ca *ca, const PolicyAuthority *authority, int64_t now_usec,
                   ObservedAuthority *ret, Error *reterr);

/* Where a leaf ends later than the ledger knows of its generation, the generation is incomplete
 * from then on: it signed what is not in the ledger, by hand or before the signer's state was
 * restored. Noted once. 1 where something changed. */
int statement_hear(const Ca *ca, const PolicyAuthority *authority, const StatementEnd *ends,
                   size_t n, int64_t now_usec, Error *reterr);
