/*
 * A small world for tests of the plan: a policy built by hand, an observation and a memory that
 * fit it, and steps carried out as if every one went well.
 */
#pragma once

#include "common/clock.h"
#include "daemon/plan.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define SECOND USEC_PER_SEC
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (8766 * HOUR)
#define START (INT64_C(1767225600) * SECOND) /* 2026-01-01T00:00:00Z */

typedef struct World {
        Policy policy;
        Observation *observation;
        Memory *memory;
        int64_t now, boot;
        const char *held;
        bool check_all;
        uint32_t issued; /* leaves so far; makes each fingerprint new */
        uint32_t loads;
} World;

static inline void world_done(World *world)
{
        Policy *policy = &world->policy;

        observation_free(world->observation);
        memory_free(world->memory);
        for (size_t i = 0; i < policy->n_certificates; i++) {
                free(policy->certificates[i].name);
                free(policy->certificates[i].bundle);
        }
        for (size_t i = 0; i < policy->n_clusters; i++) {
                free(policy->clusters[i].name);
                free(policy->clusters[i].as);
        }
        for (size_t i = 0; i < policy->n_authorities; i++)
                free(policy->authorities[i].name);
        free(policy->certificates);
        free(policy->clusters);
        free(policy->authorities);
        *world = (World){0};
}

static inline char *world_name(const char *stem, size_t index)
{
        char *name = NULL;

        ck_assert_int_gt(
                index ? asprintf(&name, "%s%zu", stem, index) : asprintf(&name, "%s", stem), 0);
        return name;
}

/* Certificates: first the servers "server", "server1" ..., then the clients "app", "app1" ...;
 * authorities "main", "main1" ...; clusters "main" ... all with the first server. */
static inline void world_init(World *world, size_t servers, size_t clients, size_t clusters,
                              size_t authorities)
{
        Policy *policy = &world->policy;
        Error error;

        *world = (World){.now = START, .boot = 100 * SECOND};
        policy->check_every_usec = 900 * SECOND;
        policy->backdate_usec = 300 * SECOND;
        policy->n_authorities = authorities;
        policy->authorities = calloc(authorities, sizeof *policy->authorities);
        for (size_t i = 0; i < authorities; i++) {
                policy->authorities[i].name = world_name("main", i);
                policy->authorities[i].lifetime_usec = 5 * YEAR;
                policy->authorities[i].renew_before_usec = YEAR;
        }
        policy->n_certificates = servers + clients;
        policy->certificates = calloc(servers + clients, sizeof *policy->certificates);
        for (size_t i = 0; i < servers + clients; i++) {
                PolicyCertificate *certificate = &policy->certificates[i];

                certificate->use = i < servers ? POLICY_SERVER : POLICY_CLIENT;
                certificate->name =
                        i < servers ? world_name("server", i) : world_name("app", i - servers);
                certificate->authority = &policy->authorities[0];
                certificate->bundle = calloc(1, sizeof *certificate->bundle);
                certificate->bundle[0] = certificate->authority;
                certificate->n_bundle = 1;
                certificate->lifetime_usec = 30 * DAY;
                certificate->renew_before_usec = 10 * DAY;
                certificate->rekey_usec = YEAR;
        }
        policy->n_clusters = clusters;
        policy->clusters = calloc(clusters + 1, sizeof *policy->clusters);
        for (size_t i = 0; i < clusters; i++) {
                policy->clusters[i].name = world_name("main", i);
                policy->clusters[i].certificate = &policy->certificates[0];
                policy->clusters[i].timeout_usec = 10 * SECOND;
        }
        ck_assert_int_eq(observation_new(policy, &world->observation, &error), 0);
        ck_assert_int_eq(memory_new(policy, &world->memory, &error), 0);
        for (size_t i = 0; i < authorities; i++)
                world->observation->authorities[i].known = true;
        for (size_t i = 0; i < servers + clients; i++)
                world->observation->sets[i].state = SET_ABSENT;
        for (size_t i = 0; i < clusters; i++) {
                world->observation->clusters[i].state = CLUSTER_RUNNING;
                world->observation->clusters[i].pid = 1000 + (int64_t)i;
                world->observation->clusters[i].started_sec = 1;
                world->observation->clusters[i].served.outcome = HANDSHAKE_PLAIN;
        }
}

/* A CA: its key identifier is its authority's index and its number. */
static inline void world_make_authority(World *world, size_t index)
{
        ObservedAuthority *authority = &world->observation->authorities[index];
        ObservedGeneration *generation;

        authority->generations = calloc(1, sizeof *authority->generations);
        authority->n_generations = 1;
        generation = &authority->generations[0];
        generation->number = 1;
        generation->phase = AUTHORITY_CURRENT;
        generation->subject = strdup("CN=root G1");
        generation->facts.not_before_usec = world->now - world->policy.backdate_usec;
        generation->facts.not_after_usec =
                world->now + world->policy.authorities[index].lifetime_usec;
        generation->facts.key_id[0] = 0xCA;
        generation->facts.key_id[1] = (uint8_t)index;
}

/* The signer has no generation, or (not known) did not answer. */
static inline void world_lose_authority(World *world, size_t index, bool known)
{
        ObservedAuthority *authority = &world->observation->authorities[index];

        authority_done(authority);
        *authority = (ObservedAuthority){.known = known};
}

/* A set as an issue and a publication leave it. */
static inline void world_publish(World *world, size_t index, bool rekey)
{
        const PolicyCertificate *certificate = &world->policy.certificates[index];
        ObservedSet *set = &world->observation->sets[index];
        size_t a = (size_t)(certificate->authority - world->policy.authorities);
        const ObservedGeneration *ca = &world->observation->authorities[a].generations[0];
        uint8_t anchors[4][CERT_KEY_ID];
        uint32_t bundle;
        int64_t end = world->now + certificate->lifetime_usec;

        ck_assert_uint_eq(world->observation->authorities[a].n_generations, 1);
        for (size_t i = 0; i < certificate->n_bundle; i++) {
                size_t b = (size_t)(certificate->bundle[i] - world->policy.authorities);

                memcpy(anchors[i], world->observation->authorities[b].generations[0].facts.key_id,
                       CERT_KEY_ID);
        }
        ck_assert_int_eq(observation_bundle(world->observation, anchors, certificate->n_bundle,
                                            &bundle, NULL),
                         0);
        if (rekey || set->state == SET_ABSENT)
                set->key_made_usec = world->now;
        set->state = SET_OURS;
        set->bundle = bundle;
        set->generation++;
        set->defects = 0;
        set->has_leaf = true;
        set->leaf.not_before_usec = world->now - world->policy.backdate_usec;
        set->leaf.not_after_usec = end < ca->facts.not_after_usec ? end : ca->facts.not_after_usec;
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

/* Carries the plan out, each step with success. */
static inline void world_apply(World *world, const Plan *plan)
{
        for (size_t s = 0; s < plan->n_steps; s++) {
                const Step *step = &plan->steps[s];

                if (step->verb == STEP_AUTHORITY)
                        world_make_authority(world, step->object);
                else if (step->verb == STEP_ISSUE)
                        world_publish(world, step->object, step->rekey);
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
                const char *name = step->verb == STEP_AUTHORITY
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
