#include "daemon/lineage.h"

#include "daemon/bundle.h"

#include <string.h>

/* The first anchor of an authority that the set's bundle should hold and does not: its subject;
 * NULL for none. */
static const char *find_missing(const Observation *observation, const ObservedAuthority *authority,
                                const Emergency *emergency, PolicyUse use, const ObservedSet *set)
{
        for (size_t g = 0; g < authority->n_generations; g++)
                if (bundle_wants(&authority->generations[g], use,
                                 emergency && emergency->is_needed) &&
                    !evidence_has_anchor(observation, set, authority->generations[g].facts.key_id))
                        return authority->generations[g].subject;
        for (size_t t = 0; t < authority->n_trust; t++)
                if (!evidence_has_anchor(observation, set, authority->trust[t].facts.key_id))
                        return authority->trust[t].subject;
        return NULL;
}

/* A stolen anchor that the set's bundle holds and should not. */
static const char *find_stolen(const Observation *observation, const ObservedAuthority *authority,
                               const Emergency *emergency, PolicyUse use, const ObservedSet *set)
{
        for (size_t g = 0; emergency && g < authority->n_generations; g++)
                if (!bundle_wants(&authority->generations[g], use, emergency->is_needed) &&
                    evidence_has_anchor(observation, set, authority->generations[g].facts.key_id))
                        return authority->generations[g].subject;
        return NULL;
}

bool lineage_find_bundle(const Policy *policy, const Observation *observation,
                         const Emergency *emergencies, size_t index, Text *reason)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];

        for (size_t i = 0; i < certificate->n_bundle; i++) {
                size_t a = (size_t)(certificate->bundle[i] - policy->authorities);
                const ObservedAuthority *authority = &observation->authorities[a];
                const Emergency *emergency = emergencies ? &emergencies[a] : NULL;
                const char *missing =
                        find_missing(observation, authority, emergency, certificate->use, set);
                const char *stolen =
                        find_stolen(observation, authority, emergency, certificate->use, set);

                if (missing)
                        text_addf(reason, "its trust bundle lacks %s", missing);
                else if (stolen)
                        text_addf(reason, "its trust bundle holds %s, whose key was stolen",
                                  stolen);
                else
                        continue;
                return true;
        }
        return false;
}

bool lineage_find_issuer(const Policy *policy, const Observation *observation, size_t index,
                         Text *reason)
{
        static const uint8_t absent[CERT_KEY_ID];
        const PolicyAuthority *of = policy->certificates[index].authority;
        const ObservedAuthority *authority = &observation->authorities[of - policy->authorities];
        const uint8_t *key_id = observation->sets[index].leaf.issuer_key_id;
        const ObservedGeneration *issuer = authority_find_key(authority, key_id);

        if (!authority->known || (issuer && !bundle_is_stolen(issuer)))
                return false;
        if (issuer)
                text_addf(reason, "the key of its CA %s was stolen", issuer->subject);
        else if (evidence_is_alien(policy, observation, index))
                text_addf(reason, "it moves from another CA to authority %s", of->name);
        else if (memcmp(key_id, absent, CERT_KEY_ID) == 0)
                return false;
        else if (authority_is_retired(authority, key_id))
                text_add(reason, "its CA was retired");
        else
                text_addf(reason, "its authority is now %s", of->name);
        return true;
}
