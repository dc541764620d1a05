#include "daemon/evidence.h"

#include "common/clock.h"
#include "daemon/proof.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 8 }; /* told by name; a sentence that nobody can read helps nobody */

void evidence_add(EvidenceNames *names, const char *kind, const char *name)
{
        if (names->n++ < NAMES_MAX)
                text_addf(&names->text, "%s%s %s", names->n > 1 ? ", " : "", kind, name);
}

void evidence_describe(const EvidenceNames *names, Text *text)
{
        text_add(text, text_content(&names->text));
        if (names->n > NAMES_MAX)
                text_addf(text, " and %zu more", names->n - NAMES_MAX);
}

bool evidence_has_anchor(const Observation *observation, const ObservedSet *set,
                         const uint8_t key_id[CERT_KEY_ID])
{
        const ObservedBundle *bundle;

        if (set->bundle >= observation->n_bundles)
                return false;
        bundle = &observation->bundles[set->bundle];
        for (size_t i = 0; i < bundle->n; i++)
                if (memcmp(bundle->anchors[i], key_id, CERT_KEY_ID) == 0)
                        return true;
        return false;
}

bool evidence_is_alien(const Policy *policy, const Observation *observation, size_t index)
{
        static const uint8_t absent[CERT_KEY_ID];
        const ObservedSet *set = &observation->sets[index];
        const ObservedAuthority *authority =
                &observation
                         ->authorities[policy->certificates[index].authority - policy->authorities];

        if (authority->n_trust == 0 || !observed_set_has_leaf(set) ||
            authority_find_key(authority, set->leaf.issuer_key_id))
                return false;
        for (size_t i = 0; i < authority->n_trust; i++)
                if (memcmp(authority->trust[i].facts.key_id, set->leaf.issuer_key_id,
                           CERT_KEY_ID) == 0)
                        return true;
        return memcmp(set->leaf.issuer_key_id, absent, CERT_KEY_ID) == 0;
}

/* What one set says of one authority of its bundle. */
static void count_set(const Policy *policy, const Observation *observation, size_t index,
                      bool is_foreign, Evidence *evidence)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];

        if (is_foreign) {
                evidence_add(&evidence->foreign, "certificate", certificate->name);
                return;
        }
        if (!evidence->next || (set->state != SET_UNKNOWN && !observed_set_is_published(set)) ||
            (set->state != SET_UNKNOWN &&
             evidence_has_anchor(observation, set, evidence->next->facts.key_id)))
                return;
        evidence_add(&evidence->without, "certificate", certificate->name);
        evidence_add(&evidence->missing, "certificate", certificate->name);
        if (certificate->use == POLICY_SERVER)
                evidence_add(&evidence->unproved, "certificate", certificate->name);
}

static void count_leaf(const Policy *policy, const Observation *observation, size_t index,
                       Evidence *evidence)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];

        if (certificate->lifetime_usec > evidence->longest_usec)
                evidence->longest_usec = certificate->lifetime_usec;
        if (certificate->renew_before_usec > evidence->renew_most_usec)
                evidence->renew_most_usec = certificate->renew_before_usec;
        if (!evidence_is_alien(policy, observation, index))
                return;
        if (set->leaf.not_after_usec < evidence->alien_end_usec)
                evidence->alien_end_usec = set->leaf.not_after_usec;
        if (certificate->use == POLICY_SERVER)
                evidence_add(&evidence->alien_servers, "certificate", certificate->name);
}

/* What it serves still would take the place of what is on disk where that is refused: whoever
 * copied the trust bundle then has one without the next generation, long after it was announced. */
static bool may_be_put_back(const ObservedCluster *observed)
{
        return observed->state == CLUSTER_RUNNING && observed->served.outcome == HANDSHAKE_TLS;
}

static void count_cluster(const Policy *policy, const Observation *observation, size_t index,
                          Evidence *evidence)
{
        const PolicyCluster *cluster = &policy->clusters[index];
        const ObservedCluster *observed = &observation->clusters[index];
        size_t i = (size_t)(cluster->certificate - policy->certificates);
        const ObservedSet *set = &observation->sets[i];

        if (!observed_set_is_published(set) || observed->state == CLUSTER_ABSENT ||
            observed->state == CLUSTER_DOWN || proof_is_served(observed, set))
                return;
        for (size_t b = 0; b < cluster->certificate->n_bundle; b++) {
                Evidence *of = &evidence[cluster->certificate->bundle[b] - policy->authorities];

                if (!of->next)
                        continue;
                evidence_add(&of->unproved, "cluster", cluster->name);
                evidence_add(&of->missing, "cluster", cluster->name);
                if (may_be_put_back(observed))
                        evidence_add(&of->without, "cluster", cluster->name);
        }
        if (observation->authorities[cluster->certificate->authority - policy->authorities].n_trust)
                evidence_add(&evidence[cluster->certificate->authority - policy->authorities]
                                      .alien_servers,
                             "cluster", cluster->name);
}

Evidence *evidence_collect(const Policy *policy, const Observation *observation,
                           const bool *is_foreign)
{
        Evidence *evidence = calloc(policy->n_authorities + 1, sizeof *evidence);

        if (!evidence)
                return NULL;
        for (size_t a = 0; a < policy->n_authorities; a++) {
                evidence[a].alien_end_usec = USEC_INFINITY;
                evidence[a].next = authority_find(&observation->authorities[a], AUTHORITY_NEXT);
        }
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &policy->certificates[i];

                for (size_t b = 0; b < certificate->n_bundle; b++)
                        count_set(policy, observation, i, is_foreign[i],
                                  &evidence[certificate->bundle[b] - policy->authorities]);
                count_leaf(policy, observation, i,
                           &evidence[certificate->authority - policy->authorities]);
        }
        for (size_t c = 0; c < policy->n_clusters; c++)
                count_cluster(policy, observation, c, evidence);
        return evidence;
}

void evidence_free(Evidence *evidence, size_t n)
{
        for (size_t a = 0; evidence && a < n; a++) {
                text_done(&evidence[a].without.text);
                text_done(&evidence[a].unproved.text);
                text_done(&evidence[a].missing.text);
                text_done(&evidence[a].foreign.text);
                text_done(&evidence[a].alien_servers.text);
        }
        free(evidence);
}
