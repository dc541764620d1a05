/*
 * A CA whose key was stolen, and how far its readers are from trusting it no longer. A fresh
 * generation signs already; the stolen one is RETIRING. The order in which readers move is that in
 * which the fewest of them fail: servers get both roots, a new leaf and the cross-certificate, and
 * are proved; then local clients get new leaves and the new root alone; then servers the new root
 * alone; then the stolen one is retired.
 *
 * All of it is derived from what is on disk and served, so that it goes on after any interruption.
 * A reader that cannot be moved (refused, failed, nobody can look) is stuck: named, not awaited.
 * Pure.
 */
#pragma once

#include "daemon/evidence.h"
#include "daemon/memory.h"

typedef struct Emergency {
        const ObservedGeneration *stolen; /* of this authority; NULL for none: no emergency */
        bool is_needed;        /* a local client still has a leaf of it: see bundle_anchors() */
        EvidenceNames servers; /* awaited: not yet proved with a set of the new generation */
        EvidenceNames holders; /* awaited: sets that still trust it or have a leaf of it */
        EvidenceNames stuck;
        size_t n_keepers; /* of the stuck: sets that still trust it, or that nobody could look at */
} Emergency;

/* One for each authority, in the order of the policy; *ret is NULL where no key was stolen. -ENOMEM
 * alone. */
int emergency_collect(const Policy *policy, const Observation *observation, const Memory *memory,
                      Emergency **ret, Error *reterr);
void emergency_free(Emergency *emergencies, size_t n);

/* What `rotate --emergency` of the authority at index would break, in sentences, for the user to
 * confirm. */
void emergency_describe(const Policy *policy, const Observation *observation, const Memory *memory,
                        size_t index, Text *text);
