#include "daemon/takeover.h"

#include <string.h>

bool takeover_is_foreign(const ObservedSet *set)
{
        return set->state == SET_FOREIGN || (set->defects & SET_SERVICE_FOREIGN);
}

/* Whether the authority's bundle will hold that CA: one of its own, or one of `trust:`. */
static bool has_key(const Observation *observation, size_t authority,
                    const uint8_t key_id[CERT_KEY_ID])
{
        const ObservedAuthority *observed = &observation->authorities[authority];

        for (size_t t = 0; t < observed->n_trust; t++)
                if (memcmp(observed->trust[t].facts.key_id, key_id, CERT_KEY_ID) == 0)
                        return true;
        return authority_find_key(observed, key_id) != NULL;
}

/* Whether a CA that the new bundle will hold has that key. */
static bool is_kept(const Policy *policy, const Observation *observation,
                    const PolicyCertificate *certificate, const uint8_t anchor[CERT_KEY_ID])
{
        for (size_t i = 0; i < certificate->n_bundle; i++)
                if (has_key(observation, (size_t)(certificate->bundle[i] - policy->authorities),
                            anchor))
                        return true;
        return false;
}

static bool keeps_anchors(const Policy *policy, const Observation *observation, size_t index)
{
        const ObservedSet *set = &observation->sets[index];
        const ObservedBundle *bundle =
                set->bundle < observation->n_bundles ? &observation->bundles[set->bundle] : NULL;

        for (size_t i = 0; bundle && i < bundle->n; i++)
                if (!is_kept(policy, observation, &policy->certificates[index], bundle->anchors[i]))
                        return false;
        return true;
}

/* The signer's silence about a CA; NULL where all were heard. */
static const char *find_silence(const Policy *policy, const Observation *observation, size_t index)
{
        const PolicyCertificate *certificate = &policy->certificates[index];

        for (size_t i = 0; i < certificate->n_bundle; i++) {
                const ObservedAuthority *authority =
                        &observation->authorities[certificate->bundle[i] - policy->authorities];

                if (!authority->known)
                        return authority->problem ? authority->problem
                                                  : "the signer did not answer";
        }
        return NULL;
}

/* Whether the authority has a CA that somebody else made, with its key or without: then it was
 * named for readers like these. */
static bool names_other(const ObservedAuthority *authority)
{
        for (size_t g = 0; g < authority->n_generations; g++)
                if (authority->generations[g].is_imported)
                        return true;
        return authority->n_trust > 0;
}

/* A leaf need not tell its issuer, and the tutorial's does not. The worker verifies what it
 * publishes, so that a CA named by mistake is found before anything changes. */
static bool knows_issuer(const Observation *observation, size_t authority, const ObservedSet *set)
{
        static const uint8_t absent[CERT_KEY_ID];

        if (!set->has_leaf || has_key(observation, authority, set->leaf.issuer_key_id))
                return true;
        return memcmp(set->leaf.issuer_key_id, absent, CERT_KEY_ID) == 0 &&
               names_other(&observation->authorities[authority]);
}

/* Who would be shut out; NULL for nobody. */
static const char *find_victims(const Policy *policy, const Observation *observation, size_t index)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        size_t authority = (size_t)(certificate->authority - policy->authorities);
        bool is_server = certificate->use == POLICY_SERVER;

        if (!knows_issuer(observation, authority, &observation->sets[index]))
                return is_server ? "its certificate was issued by another CA: clients that trust "
                                   "that one alone could not connect any more"
                                 : "its certificate was issued by another CA: a server that trusts "
                                   "that one alone would refuse this client";
        if (!keeps_anchors(policy, observation, index))
                return is_server ? "its trust bundle holds another CA: clients whose certificates "
                                   "that one issued could not connect any more"
                                 : "its trust bundle holds another CA: this client could not "
                                   "connect to servers that use that one";
        return NULL;
}

/* Readers of a CA whose key nobody here has are moved by a CA that is announced to them before it
 * signs. One that signs already was announced to others. */
static bool is_too_late(const Policy *policy, const Observation *observation, size_t index)
{
        const ObservedSet *set = &observation->sets[index];
        const ObservedAuthority *authority =
                &observation
                         ->authorities[policy->certificates[index].authority - policy->authorities];

        if (!set->has_leaf || !authority_current(authority) ||
            authority_find_key(authority, set->leaf.issuer_key_id))
                return false;
        for (size_t g = 0; g < authority->n_generations; g++)
                if (authority->generations[g].is_imported)
                        return false;
        return true;
}

TakeoverVerdict takeover_judge(const Policy *policy, const Observation *observation, size_t index,
                               Text *why)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];
        const char *sentence;

        if (set->state == SET_UNKNOWN || !takeover_is_foreign(set))
                return TAKEOVER_NOTHING;
        if (set->defects & SET_UNJUDGED) {
                text_addf(why,
                          "what is in %s cannot be taken over: each name must be a file that %s "
                          "can read, certificates in PEM without anything else, and `current` must "
                          "not be taken HINT: Move what lies there away, or name another directory "
                          "in the policy.",
                          certificate->directory, certificate->owner);
                return TAKEOVER_REFUSED;
        }
        if (set->defects & SET_SERVICE_OTHER) {
                text_addf(why,
                          "the service file of %s holds lines that pgcertd would not write, and "
                          "they would be lost HINT: Move them to another file, or give `service` "
                          "another one.",
                          certificate->name);
                return TAKEOVER_REFUSED;
        }
        sentence = find_silence(policy, observation, index);
        if (sentence) {
                text_add(why, sentence);
                return TAKEOVER_UNHEARD;
        }
        sentence = find_victims(policy, observation, index);
        if (sentence) {
                text_addf(why,
                          "%s is not taken over: %s HINT: Name that CA in authorities.%s: in "
                          "`adopt` with its key, or in `trust` without. Readers are then moved "
                          "without a failed connection.",
                          certificate->name, sentence, certificate->authority->name);
                return TAKEOVER_REFUSED;
        }
        if (!is_too_late(policy, observation, index))
                return TAKEOVER_READY;
        text_addf(why,
                  "%s is not taken over: its certificate was issued by another CA, and authority "
                  "%s signs already, so that its readers would get no time to trust it HINT: Give "
                  "it an authority of its own with the same `trust`.",
                  certificate->name, certificate->authority->name);
        return TAKEOVER_REFUSED;
}

TakeoverVerdict takeover_judge_cluster(const Policy *policy, const Observation *observation,
                                       size_t index, Text *why)
{
        const ObservedCluster *observed = &observation->clusters[index];

        switch ((ConfigurationState)observed->configuration) {
        case CONFIGURATION_FOREIGN_SAME:
                return TAKEOVER_READY;
        case CONFIGURATION_FOREIGN:
                text_add(why, observed->problem ? observed->problem
                                                : "its configuration file cannot be judged");
                return TAKEOVER_REFUSED;
        case CONFIGURATION_NONE:
        case CONFIGURATION_ABSENT:
        case CONFIGURATION_WANTED:
        case CONFIGURATION_STALE:
        case CONFIGURATION_STATES:
                break;
        }
        return TAKEOVER_NOTHING;
}
