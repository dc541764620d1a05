/*
 * Makes generations of a CA, each as one transaction.
 *
 * The first one is written whole in a directory with a name of its own, which then gets the
 * authority's. A later one is written beside the others under a mark that it is being made; what a
 * crash leaves is removed by the next look. Either way a file Gn.new says that the ledger may not
 * know it yet; the look enters it there before anybody is told of it.
 */
#pragma once

#include "daemon/signer/ca.h"

/* How a first generation is made. */
typedef enum MakingFirst {
        MAKING_CURRENT, /* it signs at once: no reader knows another */
        MAKING_NEXT,    /* it is to be trusted first: readers have foreign anchors */
} MakingFirst;

/* Makes generation 1 where there is none: 1 then, 0 where there is one. With `adopt:` the foreign
 * CA becomes the current one in its place. -ENOKEY where the ledger knows of a CA whose files are
 * gone. */
int making_first(const Ca *ca, const PolicyAuthority *authority, MakingFirst how, int64_t now_usec,
                 int64_t backdate_usec, Error *reterr);

/* Makes the generation after all that ever were. The issuer certifies it; NULL where there is none
 * that could. With is_active it signs at once. */
int making_next(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                const MintIssuer *issuer, bool is_active, int64_t now_usec, int64_t backdate_usec,
                Error *reterr);
