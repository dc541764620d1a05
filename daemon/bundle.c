#include "daemon/bundle.h"

#include <errno.h>
#include <string.h>

void bundle_done(Bundle *bundle)
{
        free(bundle->items);
        *bundle = (Bundle){0};
}

static bool has(const Bundle *bundle, const CertFacts *facts)
{
        for (size_t i = 0; i < bundle->n; i++)
                if (memcmp(bundle->items[i].facts->sha256, facts->sha256, CERT_FINGERPRINT) == 0)
                        return true;
        return false;
}

static int add(Bundle *bundle, const BundlePart *part, Error *reterr)
{
        if (has(bundle, part->facts))
                return 0;
        if (bundle->n == BUNDLE_PARTS_MAX)
                return error_set(reterr, E2BIG, "more than %d certificates in a trust bundle",
                                 BUNDLE_PARTS_MAX);
        if (!bundle->items) {
                bundle->items = calloc(BUNDLE_PARTS_MAX, sizeof *bundle->items);
                if (!bundle->items)
                        return error_oom(reterr);
        }
        bundle->items[bundle->n++] = *part;
        return 0;
}

bool bundle_is_stolen(const ObservedGeneration *generation)
{
        return generation->is_stolen && generation->phase == AUTHORITY_RETIRING;
}

bool bundle_needs_stolen(const Policy *policy, const Observation *observation, size_t authority)
{
        const ObservedAuthority *observed = &observation->authorities[authority];
        bool has_stolen = false;

        for (size_t g = 0; g < observed->n_generations; g++)
                has_stolen |= bundle_is_stolen(&observed->generations[g]);
        for (size_t i = 0; has_stolen && i < policy->n_certificates; i++) {
                const ObservedSet *set = &observation->sets[i];
                const ObservedGeneration *issuer;

                if (policy->certificates[i].use != POLICY_CLIENT ||
                    policy->certificates[i].authority != &policy->authorities[authority] ||
                    !observed_set_has_leaf(set))
                        continue;
                issuer = authority_find_key(observed, set->leaf.issuer_key_id);
                if (issuer && bundle_is_stolen(issuer))
                        return true;
        }
        return false;
}

/* A client that trusts a stolen CA may be led to anybody's server; a server that does still serves
 * those whose leaves are not replaced yet. */
bool bundle_wants(const ObservedGeneration *generation, PolicyUse use, bool needs_stolen)
{
        return !bundle_is_stolen(generation) || (use == POLICY_SERVER && needs_stolen);
}

static const ObservedAuthority *authority_of(const Policy *policy, const Observation *observation,
                                             const PolicyAuthority *authority)
{
        return &observation->authorities[authority - policy->authorities];
}

static int add_authority(const ObservedAuthority *authority, PolicyUse use, bool needs_stolen,
                         Bundle *bundle, Error *reterr)
{
        int r = 0;

        for (size_t i = 0; i < authority->n_generations && r >= 0; i++) {
                const ObservedGeneration *generation = &authority->generations[i];

                if (!bundle_wants(generation, use, needs_stolen))
                        continue;
                r = add(bundle,
                        &(BundlePart){.der = generation->der,
                                      .size = generation->der_size,
                                      .facts = &generation->facts,
                                      .subject = generation->subject},
                        reterr);
        }
        for (size_t i = 0; i < authority->n_trust && r >= 0; i++)
                r = add(bundle,
                        &(BundlePart){.der = authority->trust[i].der,
                                      .size = authority->trust[i].der_size,
                                      .facts = &authority->trust[i].facts,
                                      .subject = authority->trust[i].subject},
                        reterr);
        return r;
}

int bundle_anchors(const Policy *policy, const Observation *observation, size_t index, Bundle *ret,
                   Error *reterr)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        int r = 0;

        *ret = (Bundle){0};
        for (size_t i = 0; i < certificate->n_bundle && r >= 0; i++) {
                size_t authority = (size_t)(certificate->bundle[i] - policy->authorities);

                r = add_authority(&observation->authorities[authority], certificate->use,
                                  bundle_needs_stolen(policy, observation, authority), ret, reterr);
        }
        if (r < 0)
                bundle_done(ret);
        return r;
}

int bundle_chain(const Policy *policy, const Observation *observation, size_t index,
                 const uint8_t issuer_key_id[CERT_KEY_ID], int64_t now_usec, Bundle *ret,
                 Error *reterr)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedAuthority *authority =
                authority_of(policy, observation, certificate->authority);
        const ObservedGeneration *generation = authority_find_key(authority, issuer_key_id);
        int r = 0;

        *ret = (Bundle){0};
        if (certificate->use != POLICY_SERVER)
                return 0;
        /* Each cross leads to an older generation, so the walk ends. */
        for (size_t i = 0; i < authority->n_generations && generation && r >= 0; i++) {
                if (!generation->cross || generation->cross_facts.not_after_usec <= now_usec)
                        break;
                r = add(ret,
                        &(BundlePart){.der = generation->cross,
                                      .size = generation->cross_size,
                                      .facts = &generation->cross_facts,
                                      .subject = generation->subject},
                        reterr);
                generation = authority_find_key(authority, generation->cross_facts.issuer_key_id);
        }
        if (r < 0)
                bundle_done(ret);
        return r;
}
