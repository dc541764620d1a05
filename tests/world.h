/*
 * A small world for tests of the plan: a policy built by hand, an observation and a memory that
 * fit it, and steps carried out as if every one went well.
 */
#pragma once

#include "daemon/bundle.h"
#include "tests/world_ca.h"

/* The signer has no generation, or (not known) did not answer. */
static inline void world_lose_authority(World *world, size_t index, bool known)
{
        ObservedAuthority *authority = &world->observation->authorities[index];

        authority_done(authority);
        *authority = (ObservedAuthority){.known = known};
}

/* A set as a publication leaves it: with the bundle that it is to hold, and the leaf it has. */
static inline void world_trust(World *world, size_t index)
{
        ObservedSet *set = &world->observation->sets[index];
        _cleanup_(bundle_done) Bundle bundle = {0};
        uint8_t anchors[BUNDLE_PARTS_MAX][CERT_KEY_ID];

        ck_assert_int_eq(bundle_anchors(&world->policy, world->observation, index, &bundle, NULL),
                         0);
        for (size_t i = 0; i < bundle.n; i++)
                memcpy(anchors[i], bundle.items[i].facts->key_id, CERT_KEY_ID);
        ck_assert_int_eq(
                observation_bundle(world->observation, anchors, bundle.n, &set->bundle, NULL), 0);
        set->state = SET_OURS;
        set->generation++;
        set->defects = 0;
        world->memory->certificates[index].is_requested = false;
}

/* The same with a fresh leaf of the generation that signs. */
static inline void world_publish(World *world, size_t index, bool rekey)
{
        const PolicyCertificate *certificate = &world->policy.certificates[index];
        ObservedSet *set = &world->observation->sets[index];
        size_t a = (size_t)(certificate->authority - world->policy.authorities);
        const ObservedGeneration *ca = authority_current(&world->observation->authorities[a]);
        int64_t end = world->now + certificate->lifetime_usec;

        ck_assert_ptr_nonnull(ca);
        if (rekey || set->state == SET_ABSENT)
                set->key_made_usec = world->now;
        world_trust(world, index);
        set->has_leaf = true;
        set->leaf.not_before_usec = world->now - world->policy.backdate_usec;
        set->leaf.not_after_usec = end < ca->facts.not_after_usec ? end : ca->facts.not_after_usec;
        if (set->leaf.not_after_usec > world->last_leaf[a % WORLD_AUTHORITIES])
                world->last_leaf[a % WORLD_AUTHORITIES] = set->leaf.not_after_usec;
        memcpy(set->leaf.issuer_key_id, ca->facts.key_id, CERT_KEY_ID);
        world->issued++;
        memset(set->leaf.sha256, 0, sizeof set->leaf.sha256);
        memcpy(set->leaf.sha256, &world->issued, sizeof world->issued);
}

/* A cluster that serves what is on disk, as a load leaves it. */
static inline void world_serve(World *world, size_t index)
{
        ObservedCluster *cluster = &world->observation->clusters[index];
        size_t i = (size_t)(world->policy.clusters[index].certificate - world->policy.certificates);
        MemoryCluster *memory = &world->memory->clusters[index];

        memory->loaded_pid = cluster->pid;
        memory->loaded_started_sec = cluster->started_sec;
        memcpy(memory->loaded, world->observation->sets[i].leaf.sha256, CERT_FINGERPRINT);
        if (cluster->served.outcome == HANDSHAKE_NOT_TRIED)
                return;
        cluster->served.outcome = HANDSHAKE_TLS;
        cluster->served.leaf = world->observation->sets[i].leaf;
}

/* Everything issued, published and served: nothing is due. */
static inline void world_settle(World *world)
{
        for (size_t a = 0; a < world->policy.n_authorities; a++)
                world_make_authority(world, a);
        for (size_t i = 0; i < world->policy.n_certificates; i++)
                world_publish(world, i, true);
        for (size_t c = 0; c < world->policy.n_clusters; c++)
                world_serve(world, c);
}

static inline Plan *world_plan(const World *world)
{
        PlanInput input = {
                .policy = &world->policy,
                .observation = world->observation,
                .memory = world->memory,
                .now_usec = world->now,
                .boot_usec = world->boot,
                .host = "db1.example.com",
                .held = world->held,
                .check_all = world->check_all,
        };
        Plan *plan = NULL;
        Error error = {0};
        int r = plan_make(&input, &plan, &error);

        ck_assert_msg(r == 0, "%s", error.text);
        return plan;
}

static inline void world_apply_cluster(World *world, const Step *step)
{
        ObservedCluster *cluster = &world->observation->clusters[step->object];
        MemoryCluster *memory = &world->memory->clusters[step->object];
        size_t i = (size_t)(world->policy.clusters[step->object].certificate -
                            world->policy.certificates);

        if (step->verb == STEP_CONFIGURE)
                cluster->configuration = CONFIGURATION_WANTED;
        if (step->verb == STEP_LOAD) {
                world_serve(world, step->object);
                world->loads++;
        }
        if (step->verb == STEP_PROVE) {
                memory->has_proven = true;
                memcpy(memory->proven, world->observation->sets[i].leaf.sha256, CERT_FINGERPRINT);
        }
        if (step->verb == STEP_LOGIN) {
                memory->checked_boot_usec = world->boot;
                memcpy(memory->checked, world->observation->sets[i].leaf.sha256, CERT_FINGERPRINT);
        }
}

static inline void world_apply_authority(World *world, const Step *step)
{
        size_t a = step->object;

        if (step->verb == STEP_AUTHORITY)
                world_add_generation(world, a, step->is_next ? AUTHORITY_NEXT : AUTHORITY_CURRENT);
        if (step->verb == STEP_EMERGENCY)
                world_emergency(world, a, step->generation);
        if (step->verb == STEP_PREPARE)
                world_prepare(world, a);
        if (step->verb == STEP_ANNOUNCE)
                world_generation(world, a, step->generation)->announced_usec = world->now;
        if (step->verb == STEP_ACTIVATE)
                world_activate(world, a, step->generation);
        if (step->verb == STEP_RETIRE)
                world_retire(world, a, step->generation);
        world->memory->authorities[a].is_rotate_requested = false;
}

/* Carries the plan out, each step with success. */
static inline void world_apply(World *world, const Plan *plan)
{
        for (size_t s = 0; s < plan->n_steps; s++) {
                const Step *step = &plan->steps[s];

                if (step->verb <= STEP_RETIRE)
                        world_apply_authority(world, step);
                else if (step->verb == STEP_ISSUE)
                        world_publish(world, step->object, step->rekey);
                else if (step->verb == STEP_TRUST)
                        world_trust(world, step->object);
                else if (step->verb == STEP_RETRY)
                        world->observation->sets[step->object].generation =
                                world->observation->sets[step->object].refused;
                else if (step->verb == STEP_PUBLISH)
                        world->observation->sets[step->object].defects = 0;
                else if (step->verb != STEP_PRUNE)
                        world_apply_cluster(world, step);
        }
}

/* The steps as text, "issue server, publish server, load main"; freed by the caller. */
static inline char *world_steps(const World *world, const Plan *plan)
{
        Text text = {0};
        char *steps = NULL;

        for (size_t s = 0; s < plan->n_steps; s++) {
                const Step *step = &plan->steps[s];
                const char *name = step->verb <= STEP_RETIRE
                                           ? world->policy.authorities[step->object].name
                                   : step->verb >= STEP_CONFIGURE && step->verb <= STEP_LOGIN
                                           ? world->policy.clusters[step->object].name
                                           : world->policy.certificates[step->object].name;

                ck_assert_uint_gt(strlen(step->reason), 0);
                text_addf(&text, "%s%s %s%s", s ? ", " : "", step_verb_name(step->verb), name,
                          step->rekey ? " (new key)" : "");
        }
        ck_assert_int_eq(text_take(&text, &steps, NULL), 0);
        return steps;
}
