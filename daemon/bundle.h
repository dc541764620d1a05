/*
 * What a set is published with beside its leaf: the anchors of its trust bundle, and the
 * certificates that follow the leaf in the chain. A function of the policy and of what the signer
 * and the workers tell, so that the plan, which looks whether a set lacks an anchor, and the pass,
 * which writes it, cannot differ. Pure.
 */
#pragma once

#include "common/observation.h"

/* One certificate; borrowed from the observation. */
typedef struct BundlePart {
        const uint8_t *der;
        size_t size;
        const CertFacts *facts;
        const char *subject;
} BundlePart;

enum { BUNDLE_PARTS_MAX = 255 }; /* a count is one byte on the wire */

typedef struct Bundle {
        BundlePart *items;
        size_t n;
} Bundle;

void bundle_done(Bundle *bundle);

/* The anchors that the set at index is to hold: of each authority of its bundle every generation
 * that is not retired, and `trust:`; after an emergency the stolen generation is held by servers
 * alone, as long as a local client has a leaf of it. Each once, in a fixed order. -E2BIG for more
 * than BUNDLE_PARTS_MAX. */
int bundle_anchors(const Policy *policy, const Observation *observation, size_t index, Bundle *ret,
                   Error *reterr);

/* What follows a leaf of that issuer: in a server's chain every cross-certificate that is valid at
 * now_usec and leads to the issuer, the issuer's own first; in a client's nothing, for pgjdbc then
 * finds no certificate to send once a server knows the newer CA alone. */
int bundle_chain(const Policy *policy, const Observation *observation, size_t index,
                 const uint8_t issuer_key_id[CERT_KEY_ID], int64_t now_usec, Bundle *ret,
                 Error *reterr);

/* Whether the generation's key was stolen and another one signs in its place. */
bool bundle_is_stolen(const ObservedGeneration *generation);

/* Whether a local client of the authority still has a leaf of a stolen generation. Linear in the
 * certificates, where there is such a generation. */
bool bundle_needs_stolen(const Policy *policy, const Observation *observation, size_t authority);

/* Whether a bundle for that use is to hold the generation; needs_stolen as above. */
bool bundle_wants(const ObservedGeneration *generation, PolicyUse use, bool needs_stolen);
