#include "tests/simulation/deed.h"

#include "daemon/bundle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *deed_name(const Life *life, const Step *step)
{
        if (step->verb <= STEP_RETIRE)
                return life->policy->authorities[step->object].name;
        if (step->verb >= STEP_CONFIGURE && step->verb <= STEP_LOGIN)
                return life->policy->clusters[step->object].name;
        return life->policy->certificates[step->object].name;
}

static void tell_step(Life *life, const Step *step)
{
        bool is_of_ca = step->verb <= STEP_RETIRE;
        char number[16] = "";

        if (step->verb >= STEP_EMERGENCY && step->verb <= STEP_RETIRE && step->generation)
                snprintf(number, sizeof number, " G%" PRIu32, step->generation);
        if (step->verb != STEP_LOGIN && step->verb != STEP_PRUNE)
                story_tell(&life->story, is_of_ca, life->now, "%s %s%s: %s",
                           step_verb_name(step->verb), deed_name(life, step), number, step->reason);
}

/* What is left of renew_before, for the back-off. */
static int64_t left_of(const Life *life, size_t certificate)
{
        const ObservedSet *set = &life->observation->sets[certificate];
        int64_t left = set->has_leaf ? set->leaf.not_after_usec - life_clock(life) : 0;
        int64_t most = life->policy->certificates[certificate].renew_before_usec;

        return left < most ? left : most;
}

static void authority_failed(Life *life, size_t index, const Error *error)
{
        attempt_failed(&life->memory->authorities[index].attempt, life->policy, life_boot(life), 0,
                       error->text);
        story_tell(&life->story, true, life->now, "a%zu: %s", index, error->text);
}

/* A step of a CA, carried out by the signer. */
static void run_authority(Life *life, const Step *step)
{
        CaSigner *signer = life->signer;
        const Policy *policy = life->policy;
        int64_t now = life_clock(life);
        size_t a = step->object;
        Error error = {0};
        int r = -EIO;

        error_set(&error, EIO, "the signer does not answer");
        if (!life->site.has_signer)
                r = -EIO;
        else if (step->verb == STEP_AUTHORITY)
                r = casigner_make(signer, policy, a, now, &error);
        else if (step->verb == STEP_EMERGENCY)
                r = casigner_emergency(signer, policy, a, step->generation, now, &error);
        else if (step->verb == STEP_PREPARE)
                r = casigner_prepare(signer, policy, a, now, &error);
        else if (step->verb == STEP_ANNOUNCE)
                r = casigner_announce(signer, policy, a, step->generation, now, &error);
        else if (step->verb == STEP_ACTIVATE)
                r = casigner_activate(signer, policy, a, step->generation, now, &error);
        else
                r = casigner_retire(signer, policy, a, step->generation, now, &error);
        if (r < 0) {
                /* A plan that the signer refuses is a defect of one of the two. */
                if (r == -EAGAIN)
                        life_fail(life, "%s of a%zu: the signer says: %s",
                                  step_verb_name(step->verb), a, error.text);
                authority_failed(life, a, &error);
                return;
        }
        attempt_succeeded(&life->memory->authorities[a].attempt);
        life->activations += step->verb == STEP_ACTIVATE;
        /* Leaves that ended with the former one are due from now on. */
        if (step->verb == STEP_ACTIVATE)
                memset(life->is_reloaded, 0, sizeof life->is_reloaded);
        life->retirements += step->verb == STEP_RETIRE;
        authority_done(&life->observation->authorities[a]);
        casigner_observe(signer, policy, a, &life->observation->authorities[a]);
}

/* What the set is published with: bundle.h says it, and it is looked up among the papers. */
static uint32_t bundle_of(Life *life, size_t index, unsigned *ret_authorities)
{
        const PolicyCertificate *certificate = &life->policy->certificates[index];
        const Paper *anchors[PAPERS_ANCHORS_MAX];
        Bundle bundle;
        size_t n = 0;
        int r = bundle_anchors(life->policy, life->observation, index, &bundle, NULL);

        assert(r >= 0);
        for (size_t i = 0; i < bundle.n; i++) {
                const uint8_t *key_id = bundle.items[i].facts->key_id;
                bool is_left_out = false;

                for (size_t a = 0; life->broken == BREAK_NEXT_MISSING && a < SPEC_AUTHORITIES_MAX &&
                                   a < life->policy->n_authorities;
                     a++) {
                        const ObservedGeneration *found =
                                authority_find_key(&life->observation->authorities[a], key_id);

                        is_left_out |= found && found->phase == AUTHORITY_NEXT;
                }
                if (!is_left_out)
                        anchors[n++] = casigner_paper(life->signer, bundle.items[i].facts);
        }
        bundle_done(&bundle);
        *ret_authorities = 0;
        for (size_t i = 0; i < certificate->n_bundle; i++)
                *ret_authorities |= 1u << (certificate->bundle[i] - life->policy->authorities);
        return papers_bundle(life->papers, anchors, n);
}

static void set_chain(Life *life, size_t index, Paper *leaf)
{
        const Paper *chain[PAPER_CHAIN_MAX];
        Bundle bundle;
        size_t n = 0;
        int r = bundle_chain(life->policy, life->observation, index, leaf->facts.issuer_key_id,
                             life_clock(life), &bundle, NULL);

        assert(r >= 0);
        for (size_t i = 0; i < bundle.n && n < PAPER_CHAIN_MAX; i++)
                if (life->broken != BREAK_NO_CROSS)
                        chain[n++] = casigner_paper(life->signer, bundle.items[i].facts);
        bundle_done(&bundle);
        papers_set_chain(life->papers, leaf, life->policy->certificates[index].use, chain, n);
}

static void certificate_failed(Life *life, size_t index, const char *sentence)
{
        MemoryCertificate *memory = &life->memory->certificates[index];

        memory->is_requested = memory->is_rekey_requested = false;
        attempt_failed(&memory->attempt, life->policy, life_boot(life), left_of(life, index),
                       sentence);
        story_tell(&life->story, false, life->now, "%s: %s", life->policy->certificates[index].name,
                   sentence);
}

static void run_issue(Deeds *deeds, const Step *step)
{
        Life *life = deeds->life;
        const Disk *disk = &life->site.disks[step->object];
        Draw *draw = &deeds->draws[step->object];
        unsigned key = disk->now.key + (step->rekey || !disk->exists);
        Error error = {0};
        Paper *leaf;
        int r;

        draw->is_wanted = true;
        error_set(&error, EIO, "somebody does not answer");
        r = life->site.has_signer && life->site.has_workers
                    ? casigner_issue(life->signer, life->policy, step->object, key,
                                     life_clock(life), &leaf, &error)
                    : -EIO;
        if (r < 0) {
                certificate_failed(life, step->object, error.text);
                return;
        }
        life->issued++;
        set_chain(life, step->object, leaf);
        draw->is_filled = true;
        draw->version =
                (Version){.leaf = leaf,
                          .key = key,
                          .names = life->spec.certificates[step->object].names,
                          .key_made = key == disk->now.key ? disk->now.key_made : life_clock(life)};
        draw->version.bundle = bundle_of(life, step->object, &draw->version.authorities);
}

/* The published leaf with another bundle. */
static void run_trust(Deeds *deeds, const Step *step)
{
        Life *life = deeds->life;
        const Disk *disk = &life->site.disks[step->object];
        Draw *draw = &deeds->draws[step->object];

        draw->is_wanted = true;
        if (!life->site.has_workers || !disk->exists) {
                certificate_failed(life, step->object, "the worker does not answer");
                return;
        }
        draw->is_filled = true;
        draw->version = disk->now;
        draw->version.bundle = bundle_of(life, step->object, &draw->version.authorities);
        if (draw->version.bundle == disk->now.bundle)
                life_fail(life, "%s: its bundle is published again without a change",
                          deed_name(life, step));
}

/* Whether there is a reason for another leaf that a reader has something of. */
static bool is_worth_it(const Life *life, size_t index, const Version *version)
{
        const PolicyCertificate *certificate = &life->policy->certificates[index];
        const Disk *disk = &life->site.disks[index];
        const CertFacts *leaf = disk->exists ? &disk->now.leaf->facts : NULL;
        const MemoryCertificate *memory = &life->memory->certificates[index];
        int64_t now = life_clock(life);

        return !disk->exists || memory->is_requested || disk->refused.leaf ||
               disk->now.bundle != version->bundle || disk->now.names != version->names ||
               disk->now.key != version->key || now < leaf->not_before_usec ||
               now >= leaf->not_after_usec ||
               memcmp(leaf->issuer_key_id, version->leaf->facts.issuer_key_id, CERT_KEY_ID) != 0 ||
               (now >= due_renew_at(certificate, leaf->not_after_usec, "db1.example.com") &&
                version->leaf->facts.not_after_usec >= leaf->not_after_usec + USEC_PER_SEC);
}

/* Rule 8: no publication drops an anchor that somebody may need. */
static void check_anchors(Life *life, size_t index, const Version *version)
{
        const Disk *disk = &life->site.disks[index];
        size_t n_old, n_new;
        const Paper *const *old = papers_anchors(life->papers, disk->now.bundle, &n_old);
        const Paper *const *new = papers_anchors(life->papers, version->bundle, &n_new);

        for (size_t i = 0; i < n_old; i++) {
                bool is_kept = old[i]->facts.not_after_usec <= life_clock(life);

                for (size_t j = 0; j < n_new; j++)
                        is_kept |= old[i] == new[j];
                /* What the signer does not tell of any more was retired or discarded. A bundle
                 * without an authority that it had is the policy's wish. */
                for (size_t a = 0; a < life->policy->n_authorities; a++) {
                        const ObservedAuthority *authority = &life->observation->authorities[a];
                        const ObservedGeneration *found =
                                authority_find_key(authority, old[i]->facts.key_id);

                        is_kept |= authority_is_retired(authority, old[i]->facts.key_id) ||
                                   (found && found->is_stolen) ||
                                   (found && !(version->authorities & (1u << a)));
                }
                if (!is_kept)
                        life_fail(life, "%s: its bundle loses %s",
                                  life->policy->certificates[index].name, old[i]->subject);
        }
}

static void publish(Deeds *deeds, size_t index, const Version *version)
{
        Life *life = deeds->life;
        MemoryCertificate *memory = &life->memory->certificates[index];

        if (life->site.disks[index].exists)
                check_anchors(life, index, version);
        site_publish(&life->site, index, version, life->now);
        readers_note(&life->readers, &life->site, life->policy, version);
        deeds->draws[index].is_published = true;
        deeds->draws[index].failures = memory->attempt.failures;
        attempt_succeeded(&memory->attempt);
        memory->is_requested = memory->is_rekey_requested = false;
}

static void run_publish(Deeds *deeds, const Step *step)
{
        Life *life = deeds->life;
        Draw *draw = &deeds->draws[step->object];

        if (step->verb == STEP_RETRY) {
                Version version = life->site.disks[step->object].refused;

                draw->is_wanted = life->is_retried = true;
                if (!life->site.has_workers || !version.leaf)
                        certificate_failed(life, step->object, "nothing to try again");
                else
                        publish(deeds, step->object, &version);
                return;
        }
        if (!draw->is_filled)
                return;
        if (draw->version.leaf != life->site.disks[step->object].now.leaf &&
            !is_worth_it(life, step->object, &draw->version))
                life_fail(life, "%s is issued without a cause", deed_name(life, step));
        publish(deeds, step->object, &draw->version);
}

static void cluster_failed(Deeds *deeds, size_t cluster, const char *sentence)
{
        Life *life = deeds->life;

        deeds->is_broken[cluster] = true;
        attempt_failed(&life->memory->clusters[cluster].attempt, life->policy, life_boot(life),
                       left_of(life, life->spec.clusters[cluster].certificate), sentence);
        story_tell(&life->story, false, life->now, "k%zu: %s", cluster, sentence);
}

static bool has_stolen(const Life *life)
{
        for (size_t a = 0; a < life->policy->n_authorities; a++) {
                const ObservedAuthority *authority = &life->observation->authorities[a];

                for (size_t g = 0; g < authority->n_generations; g++)
                        if (authority->generations[g].is_stolen)
                                return true;
        }
        return false;
}

static void run_load(Deeds *deeds, const Step *step)
{
        Life *life = deeds->life;
        size_t c = step->object;
        Server *server = &life->site.servers[c];
        MemoryCluster *memory = &life->memory->clusters[c];
        const Disk *disk = &life->site.disks[life->spec.clusters[c].certificate];

        memory->tried_pid = server->pid;
        memory->tried_started_sec = server->started_sec;
        memcpy(memory->tried, disk->now.leaf->facts.sha256, CERT_FINGERPRINT);
        if (!life->site.has_workers || server->cannot_load) {
                cluster_failed(deeds, c, "cannot be told to load");
                return;
        }
        /* After a theft servers are to trust both CAs first, and the new one alone then. */
        if (life->is_reloaded[c] && !server->refuses && !life->is_retried && !has_stolen(life))
                life_fail(life, "k%zu is reloaded twice in one pass", c);
        memory->loaded_pid = server->pid;
        memory->loaded_started_sec = server->started_sec;
        memcpy(memory->loaded, disk->now.leaf->facts.sha256, CERT_FINGERPRINT);
        life->is_reloaded[c] = true;
        if (!server->refuses)
                site_load(&life->site, &life->spec, c);
}

void deed_proven(Life *life, size_t cluster)
{
        MemoryCluster *memory = &life->memory->clusters[cluster];

        attempt_succeeded(&memory->attempt);
        memory->is_refused = false;
        memory->has_proven = true;
        memory->proven_usec = life_clock(life);
        memcpy(memory->proven, life->site.servers[cluster].served.leaf->facts.sha256,
               CERT_FINGERPRINT);
}

bool deed_serves_disk(const Life *life, size_t cluster)
{
        const Server *server = &life->site.servers[cluster];
        const Disk *disk = &life->site.disks[life->spec.clusters[cluster].certificate];

        return server->runs && disk->exists && server->served.leaf == disk->now.leaf;
}

static void run_prove(Deeds *deeds, const Step *step)
{
        size_t c = step->object;

        if (deed_serves_disk(deeds->life, c)) {
                deed_proven(deeds->life, c);
                return;
        }
        cluster_failed(deeds, c, "PostgreSQL did not load the new certificate");
        deeds->is_refused[c] = deeds->life->memory->clusters[c].is_refused = true;
}

static void run_cluster(Deeds *deeds, const Step *step)
{
        Life *life = deeds->life;
        const Draw *draw = &deeds->draws[life->spec.clusters[step->object].certificate];
        MemoryCluster *memory = &life->memory->clusters[step->object];

        if (deeds->is_broken[step->object] || (draw->is_wanted && !draw->is_published))
                return;
        if (step->verb == STEP_LOAD)
                run_load(deeds, step);
        if (step->verb == STEP_PROVE)
                run_prove(deeds, step);
        if (step->verb == STEP_LOGIN && life->site.servers[step->object].served.leaf) {
                memory->checked_boot_usec = life_boot(life);
                memcpy(memory->checked, life->site.servers[step->object].served.leaf->facts.sha256,
                       CERT_FINGERPRINT);
        }
}

void deed_run(Deeds *deeds, const Step *step)
{
        tell_step(deeds->life, step);
        deeds->life->steps++;
        switch (step->verb) {
        case STEP_AUTHORITY:
        case STEP_EMERGENCY:
        case STEP_PREPARE:
        case STEP_ANNOUNCE:
        case STEP_ACTIVATE:
        case STEP_RETIRE:
                run_authority(deeds->life, step);
                return;
        case STEP_ISSUE:
                run_issue(deeds, step);
                return;
        case STEP_TRUST:
                run_trust(deeds, step);
                return;
        case STEP_RETRY:
        case STEP_PUBLISH:
                run_publish(deeds, step);
                return;
        case STEP_LOAD:
        case STEP_PROVE:
        case STEP_LOGIN:
                run_cluster(deeds, step);
                return;
        case STEP_ADOPT:
        case STEP_CONFIGURE:
        case STEP_PRUNE:
        case STEP_VERBS:
                return;
        }
}

void deed_put_back(Deeds *deeds)
{
        Life *life = deeds->life;

        for (size_t c = 0; c < life->policy->n_clusters; c++) {
                size_t i = life->spec.clusters[c].certificate;
                Version served = life->site.servers[c].served;

                if (!deeds->is_refused[c] || !served.leaf ||
                    served.leaf->facts.not_after_usec <= life_clock(life) ||
                    served.leaf == life->site.disks[i].now.leaf)
                        continue;
                site_put_back(&life->site, i, &served, life->now);
                story_tell(&life->story, false, life->now, "%s is put back",
                           life->policy->certificates[i].name);
                for (size_t k = 0; k < life->policy->n_clusters; k++)
                        if (life->spec.clusters[k].certificate == i && life->site.servers[k].runs &&
                            !life->site.servers[k].cannot_load) {
                                site_load(&life->site, &life->spec, k);
                                deed_proven(life, k);
                        }
                /* It waits longer each time. */
                life->memory->certificates[i].attempt.failures = deeds->draws[i].failures;
                certificate_failed(life, i, "PostgreSQL did not load it");
        }
}
