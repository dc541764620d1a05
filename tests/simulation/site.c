#include "tests/simulation/site.h"

#include <assert.h>
#include <string.h>

void site_take_spec(Site *site, const Spec *spec)
{
        for (size_t i = 0; i < SPEC_CERTIFICATES_MAX; i++)
                if (i >= spec->n_certificates || site->disks[i].name != spec->certificates[i].name)
                        site->disks[i] = (Disk){
                                .name = i < spec->n_certificates ? spec->certificates[i].name : 0};
}

/* The break that leaves the next CA out lies about it, or nothing else would be done. */
static void add_hidden(const Site *site, const Observation *observation, unsigned authorities,
                       uint8_t anchors[][CERT_KEY_ID], size_t *n)
{
        if (site->broken != BREAK_NEXT_MISSING)
                return;
        for (size_t a = 0; a < observation->n_authorities; a++) {
                const ObservedGeneration *next =
                        authority_find(&observation->authorities[a], AUTHORITY_NEXT);

                if (next && (authorities & (1u << a)))
                        memcpy(anchors[(*n)++], next->facts.key_id, CERT_KEY_ID);
        }
}

static void observe_set(const Site *site, const Spec *spec, size_t index, Observation *observation)
{
        const Disk *disk = &site->disks[index];
        ObservedSet *set = &observation->sets[index];
        uint8_t anchors[PAPERS_ANCHORS_MAX + SPEC_AUTHORITIES_MAX][CERT_KEY_ID];
        const Paper *const *papers;
        size_t n;
        int r;

        *set = (ObservedSet){.state = site->has_workers ? SET_ABSENT : SET_UNKNOWN};
        if (!site->has_workers || !disk->exists)
                return;
        papers = papers_anchors(site->papers, disk->now.bundle, &n);
        for (size_t i = 0; i < n; i++)
                memcpy(anchors[i], papers[i]->facts.key_id, CERT_KEY_ID);
        add_hidden(site, observation, disk->now.authorities, anchors, &n);
        r = observation_bundle(observation, anchors, n, &set->bundle, NULL);
        assert(r >= 0);
        set->state = SET_OURS;
        set->has_leaf = true;
        set->leaf = disk->now.leaf->facts;
        set->key_made_usec = disk->now.key_made;
        set->generation = disk->now.generation;
        if (disk->now.names != spec->certificates[index].names)
                set->defects |= SET_NAMES;
        if (disk->refused.leaf) {
                set->refused = disk->refused.generation;
                set->refused_until_usec = disk->refused.leaf->facts.not_after_usec;
        }
}

static void observe_cluster(const Site *site, size_t index, Observation *observation)
{
        const Server *server = &site->servers[index];
        ObservedCluster *cluster = &observation->clusters[index];

        *cluster = (ObservedCluster){.state = CLUSTER_UNKNOWN};
        if (!site->has_workers)
                return;
        cluster->state = server->runs ? CLUSTER_RUNNING : CLUSTER_DOWN;
        if (!server->runs)
                return;
        cluster->pid = server->pid;
        cluster->started_sec = server->started_sec;
        cluster->served.outcome = server->served.leaf ? HANDSHAKE_TLS : HANDSHAKE_PLAIN;
        if (server->served.leaf)
                cluster->served.leaf = server->served.leaf->facts;
}

void site_observe(const Site *site, const Spec *spec, const Policy *policy, CaSigner *signer,
                  Observation *observation)
{
        for (size_t a = 0; a < policy->n_authorities; a++) {
                authority_done(&observation->authorities[a]);
                if (site->has_signer)
                        casigner_observe(signer, policy, a, &observation->authorities[a]);
        }
        for (size_t i = 0; i < policy->n_certificates; i++)
                observe_set(site, spec, i, observation);
        for (size_t c = 0; c < policy->n_clusters; c++)
                observe_cluster(site, c, observation);
}

/* What is replaced goes into the history: somebody may have copied it a moment ago. */
static void replace(Disk *disk, const Version *version, int64_t now_usec)
{
        if (disk->exists) {
                disk->now.until = now_usec;
                if (disk->n_history == SITE_HISTORY_MAX) {
                        memmove(disk->history, disk->history + 1,
                                (SITE_HISTORY_MAX - 1) * sizeof *disk->history);
                        disk->n_history--;
                }
                disk->history[disk->n_history++] = disk->now;
        }
        disk->exists = true;
        disk->now = *version;
        disk->now.from = now_usec;
        disk->now.until = USEC_INFINITY;
}

void site_publish(Site *site, size_t index, const Version *version, int64_t now_usec)
{
        Disk *disk = &site->disks[index];

        replace(disk, version, now_usec);
        disk->now.generation = ++disk->newest;
        disk->refused = (Version){0};
}

void site_put_back(Site *site, size_t index, const Version *served, int64_t now_usec)
{
        Disk *disk = &site->disks[index];
        Version refused = disk->now;

        replace(disk, served, now_usec);
        disk->refused = refused;
}

void site_load(Site *site, const Spec *spec, size_t cluster)
{
        const Disk *disk = &site->disks[spec->clusters[cluster].certificate];

        if (disk->exists)
                site->servers[cluster].served = disk->now;
}
