#include "common/observation.h"

#include "common/utf8.h"

#include <errno.h>
#include <string.h>

void observed_set_done(ObservedSet *set)
{
        free(set->problem);
        *set = (ObservedSet){0};
}

bool observed_set_is_published(const ObservedSet *set)
{
        return set->state == SET_OURS || set->state == SET_DAMAGED;
}

bool observed_set_has_leaf(const ObservedSet *set)
{
        return set->has_leaf && observed_set_is_published(set);
}

void observed_cluster_done(ObservedCluster *cluster)
{
        free(cluster->override);
        free(cluster->problem);
        *cluster = (ObservedCluster){0};
}

/* All zeros is "not looked at" for every kind of thing, so that what no worker answered for is
 * unknown, and not absent. */
static int allocate(uint64_t tag, size_t sets, size_t clusters, size_t authorities,
                    Observation **ret, Error *reterr)
{
        _cleanup_(observation_freep) Observation *observation = calloc(1, sizeof *observation);

        if (!observation)
                return error_oom(reterr);
        /* One more than needed, since calloc(0) may be NULL. */
        observation->tag = tag;
        observation->sets = calloc(sets + 1, sizeof *observation->sets);
        observation->clusters = calloc(clusters + 1, sizeof *observation->clusters);
        observation->authorities = calloc(authorities + 1, sizeof *observation->authorities);
        if (!observation->sets || !observation->clusters || !observation->authorities)
                return error_oom(reterr);
        observation->n_sets = sets;
        observation->n_clusters = clusters;
        observation->n_authorities = authorities;
        *ret = TAKE_PTR(observation);
        return 0;
}

int observation_new(const Policy *policy, Observation **ret, Error *reterr)
{
        return allocate(policy->tag, policy->n_certificates, policy->n_clusters,
                        policy->n_authorities, ret, reterr);
}

Observation *observation_free(Observation *observation)
{
        if (!observation)
                return NULL;
        for (size_t i = 0; observation->sets && i < observation->n_sets; i++)
                observed_set_done(&observation->sets[i]);
        for (size_t i = 0; observation->clusters && i < observation->n_clusters; i++)
                observed_cluster_done(&observation->clusters[i]);
        for (size_t i = 0; observation->authorities && i < observation->n_authorities; i++)
                authority_done(&observation->authorities[i]);
        for (size_t i = 0; i < observation->n_bundles; i++)
                free(observation->bundles[i].anchors);
        free(observation->sets);
        free(observation->clusters);
        free(observation->authorities);
        free(observation->bundles);
        free(observation);
        return NULL;
}

/* Copies a sentence that may be NULL; false where memory ran out. */
static bool copy_text(const char *from, char **ret)
{
        *ret = from ? strdup(from) : NULL;
        return !from || *ret;
}

int observation_copy(const Observation *from, Observation **ret, Error *reterr)
{
        _cleanup_(observation_freep) Observation *to = NULL;
        bool whole = true;
        uint32_t index;
        int r = allocate(from->tag, from->n_sets, from->n_clusters, from->n_authorities, &to,
                         reterr);

        for (size_t i = 0; r >= 0 && i < from->n_bundles; i++)
                r = observation_bundle(to, (const uint8_t(*)[CERT_KEY_ID])from->bundles[i].anchors,
                                       from->bundles[i].n, &index, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < from->n_sets; i++) {
                to->sets[i] = from->sets[i];
                whole &= copy_text(from->sets[i].problem, &to->sets[i].problem);
        }
        for (size_t i = 0; i < from->n_clusters; i++) {
                to->clusters[i] = from->clusters[i];
                to->clusters[i].problem = NULL;
                whole &= copy_text(from->clusters[i].override, &to->clusters[i].override);
                whole &= copy_text(from->clusters[i].problem, &to->clusters[i].problem);
        }
        for (size_t i = 0; i < from->n_authorities; i++)
                whole &= authority_copy(&from->authorities[i], &to->authorities[i], NULL) >= 0;
        if (!whole)
                return error_oom(reterr);
        *ret = TAKE_PTR(to);
        return 0;
}

int observation_bundle(Observation *observation, const uint8_t (*anchors)[CERT_KEY_ID], size_t n,
                       uint32_t *ret, Error *reterr)
{
        ObservedBundle *bundles;
        uint8_t(*copy)[CERT_KEY_ID];

        /* Few bundles are shared by all sets: one for each group of authorities. */
        for (size_t i = 0; i < observation->n_bundles; i++) {
                const ObservedBundle *b = &observation->bundles[i];

                if (b->n == n && (n == 0 || memcmp(b->anchors, anchors, n * CERT_KEY_ID) == 0)) {
                        *ret = (uint32_t)i;
                        return 0;
                }
        }
        bundles = reallocarray(observation->bundles, observation->n_bundles + 1, sizeof *bundles);
        if (!bundles)
                return error_oom(reterr);
        observation->bundles = bundles;
        copy = calloc(n + 1, sizeof *copy);
        if (!copy)
                return error_oom(reterr);
        if (n > 0)
                memcpy(copy, anchors, n * CERT_KEY_ID);
        *ret = (uint32_t)observation->n_bundles;
        bundles[observation->n_bundles++] = (ObservedBundle){.n = n, .anchors = copy};
        return 0;
}

/* A value below limit; anything else marks the message bad. */
static uint8_t get_enum(Message *message, unsigned limit)
{
        uint8_t value = wire_get_u8(message);

        if (value >= limit) {
                message->bad = true;
                return 0;
        }
        return value;
}

/* A sentence, cut to what the wire allows; "" stands for none. What it quotes may be of any length:
 * a server's own words, a link's text. */
static void put_problem(Message *message, const char *problem)
{
        char cut[OBSERVED_PROBLEM_MAX + 1] = "";

        if (problem)
                strncat(cut, problem, utf8_cut(problem, OBSERVED_PROBLEM_MAX));
        wire_put_text(message, cut);
}

static int get_problem(Message *message, char **ret, Error *reterr)
{
        const char *text = wire_get_text(message, OBSERVED_PROBLEM_MAX);

        return copy_text(text[0] ? text : NULL, ret) ? 0 : error_oom(reterr);
}

void observation_put_set(Message *message, const ObservedSet *set,
                         const uint8_t (*anchors)[CERT_KEY_ID], size_t n_anchors)
{
        wire_put_u8(message, set->state);
        wire_put_u8(message, set->has_leaf);
        authority_put_facts(message, &set->leaf);
        wire_put_i64(message, set->key_made_usec);
        wire_put_i64(message, set->refused_until_usec);
        wire_put_raw(message, set->digest, sizeof set->digest);
        wire_put_u32(message, set->generation);
        wire_put_u32(message, set->refused);
        wire_put_u32(message, set->defects);
        wire_put_bytes(message, anchors, n_anchors * CERT_KEY_ID);
        put_problem(message, set->problem);
}

/* Every field is read whatever the earlier ones say, and the bundle is entered only from a good
 * message: a peer that lies must not leave half of its words behind. */
int observation_get_set(Message *message, Observation *observation, ObservedSet *ret, Error *reterr)
{
        const uint8_t *anchors;
        size_t size;
        int r;

        *ret = (ObservedSet){0};
        ret->state = get_enum(message, SET_STATES);
        ret->has_leaf = wire_get_flag(message);
        authority_get_facts(message, &ret->leaf);
        ret->key_made_usec = wire_get_i64(message);
        ret->refused_until_usec = wire_get_i64(message);
        wire_get_raw(message, ret->digest, sizeof ret->digest);
        ret->generation = wire_get_u32(message);
        ret->refused = wire_get_u32(message);
        ret->defects = wire_get_u32(message);
        anchors = wire_get_bytes(message, OBSERVED_ANCHORS_MAX * CERT_KEY_ID, &size);
        if (size % CERT_KEY_ID)
                message->bad = true;
        r = get_problem(message, &ret->problem, reterr);
        if (r < 0 || message->bad)
                return r;
        return observation_bundle(observation, (const uint8_t(*)[CERT_KEY_ID])anchors,
                                  size / CERT_KEY_ID, &ret->bundle, reterr);
}

void observation_put_served(Message *message, const Served *served)
{
        wire_put_u8(message, served->outcome);
        wire_put_u32(message, served->chain);
        authority_put_facts(message, &served->leaf);
        wire_put_text(message, served->protocol);
}

void observation_get_served(Message *message, Served *ret)
{
        *ret = (Served){0};
        ret->outcome = get_enum(message, HANDSHAKE_OUTCOMES);
        ret->chain = wire_get_u32(message);
        authority_get_facts(message, &ret->leaf);
        strcpy(ret->protocol, wire_get_text(message, OBSERVED_PROTOCOL_MAX - 1));
}

void observation_put_cluster(Message *message, const ObservedCluster *cluster)
{
        wire_put_u8(message, cluster->state);
        wire_put_u8(message, cluster->configuration);
        wire_put_i64(message, cluster->pid);
        wire_put_i64(message, cluster->started_sec);
        observation_put_served(message, &cluster->served);
        wire_put_u8(message, cluster->in_force_known);
        put_problem(message, cluster->override);
        put_problem(message, cluster->problem);
}

int observation_get_cluster(Message *message, ObservedCluster *ret, Error *reterr)
{
        int r;

        *ret = (ObservedCluster){0};
        ret->state = get_enum(message, CLUSTER_STATES);
        ret->configuration = get_enum(message, CONFIGURATION_STATES);
        ret->pid = wire_get_i64(message);
        ret->started_sec = wire_get_i64(message);
        observation_get_served(message, &ret->served);
        ret->in_force_known = wire_get_flag(message);
        r = get_problem(message, &ret->override, reterr);
        if (r < 0)
                return r;
        return get_problem(message, &ret->problem, reterr);
}
