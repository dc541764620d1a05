/*
 * Whether the CAs of a published set are those that it should have: the issuer of its leaf, the
 * anchors of its trust bundle. An anchor too many is no reason to publish, but for one that was
 * stolen: a former CA leaves each bundle at that set's next publication. Pure.
 */
#pragma once

#include "daemon/emergency.h"

/* True with a reason in words where the bundle of the set at index lacks an anchor, or holds a
 * stolen one that it should not. emergencies is NULL where no key was stolen. */
bool lineage_find_bundle(const Policy *policy, const Observation *observation,
                         const Emergency *emergencies, size_t index, Text *reason);

/* True with a reason where the leaf was issued by another authority than the policy's, or by a CA
 * that was stolen, retired, or never ours. A silent signer says nothing. */
bool lineage_find_issuer(const Policy *policy, const Observation *observation, size_t index,
                         Text *reason);
