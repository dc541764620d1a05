#include "daemon/takeover.h"

#include <string.h>

bool takeover_is_foreign(const ObservedSet *set)
{
        return set->state == SET_FOREIGN || (set->defects & SET_SERVICE_FOREIGN);
}

static bool has_key(const Observation *observation, size_t authority,
                    const uint8_t key_id[CERT_KEY_ID])
{
        const ObservedAuthority *observed = &observation->authorities[authority];

        for (size_t g = 0; g < observed->n_generations; g++)
                if (memcmp(observed->generations[g].facts.key_id, key_id, CERT_KEY_ID) == 0)
                        return true;
        return false;
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

/* Who would be shut out; NULL for nobody. */
static const char *find_victims(const Policy *policy, const Observation *observation, size_t index)
{
        static const uint8_t absent[CERT_KEY_ID];
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];
        size_t authority = (size_t)(certificate->authority - policy->authorities);
        bool is_server = certificate->use == POLICY_SERVER;

        if (set->has_leaf && (memcmp(set->leaf.issuer_key_id, absent, CERT_KEY_ID) == 0 ||
                              !has_key(observation, authority, set->leaf.issuer_key_id)))
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
        if (!sentence)
                return TAKEOVER_READY;
        text_addf(why,
                  "%s is not taken over: %s HINT: This version cannot move readers from one CA to "
                  "another. Where none of them verifies, name another directory in the policy: the "
                  "new set is made there.",
                  certificate->name, sentence);
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
