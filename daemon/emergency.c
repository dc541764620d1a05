#include "daemon/emergency.h"

#include "common/clock.h"
#include "daemon/bundle.h"
#include "daemon/proof.h"

#include <stdlib.h>
#include <string.h>

/* Whether it was tried to move the set, in vain, or nobody can. */
static bool is_stuck(const ObservedSet *set, const MemoryCertificate *memory, bool is_overridden)
{
        return set->state == SET_UNKNOWN || memory->attempt.failures > 0 ||
               set->refused > set->generation || is_overridden;
}

/* The sets that are not published while somebody else makes a cluster's settings; the caller frees.
 */
static bool *find_overridden(const Policy *policy, const Observation *observation)
{
        bool *overridden = calloc(policy->n_certificates + 1, sizeof *overridden);

        for (size_t c = 0; overridden && c < policy->n_clusters; c++)
                if (observation->clusters[c].override)
                        overridden[policy->clusters[c].certificate - policy->certificates] = true;
        return overridden;
}

static bool trusts_stolen(const Observation *observation, const ObservedAuthority *authority,
                          const ObservedSet *set)
{
        for (size_t g = 0; g < authority->n_generations; g++)
                if (bundle_is_stolen(&authority->generations[g]) &&
                    evidence_has_anchor(observation, set, authority->generations[g].facts.key_id))
                        return true;
        return false;
}

static void count_set(const Policy *policy, const Observation *observation, const Memory *memory,
                      size_t index, size_t a, bool is_overridden, Emergency *emergency)
{
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];
        const ObservedAuthority *authority = &observation->authorities[a];
        const ObservedGeneration *current = authority_current(authority);
        const ObservedGeneration *issuer =
                set->has_leaf ? authority_find_key(authority, set->leaf.issuer_key_id) : NULL;
        bool has_leaf = issuer && bundle_is_stolen(issuer);
        bool is_moved = !has_leaf && current &&
                        evidence_has_anchor(observation, set, current->facts.key_id);
        bool is_holding = has_leaf || trusts_stolen(observation, authority, set);

        if (set->state != SET_UNKNOWN &&
            (!observed_set_is_published(set) || (is_moved && !is_holding)))
                return;
        if (is_stuck(set, &memory->certificates[index], is_overridden)) {
                evidence_add(&emergency->stuck, "certificate", certificate->name);
                emergency->n_keepers += set->state == SET_UNKNOWN || is_holding;
        } else if (certificate->use == POLICY_SERVER && !is_moved) {
                evidence_add(&emergency->servers, "certificate", certificate->name);
        } else {
                evidence_add(&emergency->holders, "certificate", certificate->name);
        }
}

/* A server that runs with other files than those on disk. */
static void count_cluster(const Policy *policy, const Observation *observation,
                          const Memory *memory, size_t index, Emergency *emergencies)
{
        const PolicyCluster *cluster = &policy->clusters[index];
        const ObservedCluster *observed = &observation->clusters[index];
        const ObservedSet *set = &observation->sets[cluster->certificate - policy->certificates];
        bool stuck = observed->state != CLUSTER_RUNNING || observed->override ||
                     observed->served.outcome == HANDSHAKE_NOT_TRIED ||
                     memory->clusters[index].attempt.failures > 0;

        if (!observed_set_is_published(set) || observed->state == CLUSTER_ABSENT ||
            observed->state == CLUSTER_DOWN || proof_is_served(observed, set))
                return;
        for (size_t b = 0; b < cluster->certificate->n_bundle; b++) {
                Emergency *of = &emergencies[cluster->certificate->bundle[b] - policy->authorities];

                if (of->stolen)
                        evidence_add(stuck ? &of->stuck : &of->servers, "cluster", cluster->name);
        }
}

static const ObservedGeneration *find_stolen(const ObservedAuthority *authority)
{
        for (size_t g = 0; g < authority->n_generations; g++)
                if (bundle_is_stolen(&authority->generations[g]))
                        return &authority->generations[g];
        return NULL;
}

int emergency_collect(const Policy *policy, const Observation *observation, const Memory *memory,
                      Emergency **ret, Error *reterr)
{
        _cleanup_(freep) bool *overridden = NULL;
        size_t first = 0;

        *ret = NULL;
        while (first < policy->n_authorities && !find_stolen(&observation->authorities[first]))
                first++;
        if (first == policy->n_authorities)
                return 0;
        *ret = calloc(policy->n_authorities, sizeof **ret);
        overridden = find_overridden(policy, observation);
        if (!*ret || !overridden)
                return error_oom(reterr);
        for (size_t a = first; a < policy->n_authorities; a++) {
                (*ret)[a].stolen = find_stolen(&observation->authorities[a]);
                (*ret)[a].is_needed = bundle_needs_stolen(policy, observation, a);
        }
        for (size_t i = 0; i < policy->n_certificates; i++)
                for (size_t b = 0; b < policy->certificates[i].n_bundle; b++) {
                        size_t a =
                                (size_t)(policy->certificates[i].bundle[b] - policy->authorities);

                        if ((*ret)[a].stolen)
                                count_set(policy, observation, memory, i, a, overridden[i],
                                          &(*ret)[a]);
                }
        for (size_t c = 0; c < policy->n_clusters; c++)
                count_cluster(policy, observation, memory, c, *ret);
        return 0;
}

void emergency_free(Emergency *emergencies, size_t n)
{
        for (size_t a = 0; emergencies && a < n; a++) {
                text_done(&emergencies[a].servers.text);
                text_done(&emergencies[a].holders.text);
                text_done(&emergencies[a].stuck.text);
        }
        free(emergencies);
}

/* Servers that could not be told now: the clients that move without them cannot reach them. */
static void name_stuck(const Policy *policy, const Observation *observation, const Memory *memory,
                       const PolicyAuthority *authority, EvidenceNames *ret)
{
        for (size_t i = 0; i < policy->n_certificates; i++)
                if (policy->certificates[i].authority == authority &&
                    is_stuck(&observation->sets[i], &memory->certificates[i], false))
                        evidence_add(ret, "certificate", policy->certificates[i].name);
        for (size_t c = 0; c < policy->n_clusters; c++) {
                const ObservedCluster *observed = &observation->clusters[c];

                if (policy->clusters[c].certificate->authority == authority &&
                    (observed->state == CLUSTER_UNKNOWN || observed->override ||
                     memory->clusters[c].attempt.failures > 0))
                        evidence_add(ret, "cluster", policy->clusters[c].name);
        }
}

void emergency_describe(const Policy *policy, const Observation *observation, const Memory *memory,
                        size_t index, Text *text)
{
        const PolicyAuthority *authority = &policy->authorities[index];
        const ObservedGeneration *current = authority_current(&observation->authorities[index]);
        EvidenceNames stuck = {0};
        char end[CLOCK_TEXT_MAX];

        text_addf(
                text,
                "The CA %s is replaced at once, without waiting for distribute. Certificates that "
                "this host keeps are moved now. What breaks: client certificates of it on other "
                "hosts are refused as soon as the servers here trust it no longer; servers on "
                "other hosts with certificates of it are refused by the clients here. Copies of "
                "its trust bundle on other hosts still find the servers here trustworthy until "
                "%s, and whoever has the stolen key as well: replace them now (pgcertctl bundle "
                "%s).",
                current ? current->subject : authority->name,
                current ? clock_format(current->facts.not_after_usec, end) : "its end",
                authority->name);
        name_stuck(policy, observation, memory, authority, &stuck);
        if (stuck.n > 0) {
                text_add(text, " These cannot be told now and are not waited for, the clients here "
                               "will not reach them until they are mended: ");
                evidence_describe(&stuck, text);
                text_add(text, ".");
        }
        text_done(&stuck.text);
}
