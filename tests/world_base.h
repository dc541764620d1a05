/*
 * The small world of tests of the plan: its policy, its observation, its memory and its clock.
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

enum { WORLD_AUTHORITIES = 4 }; /* whose last leaf is remembered */

typedef struct World {
        Policy policy;
        Observation *observation;
        Memory *memory;
        int64_t now, boot;
        const char *held;
        bool check_all;
        uint32_t issued;      /* leaves so far; makes each fingerprint new */
        uint32_t generations; /* the highest number of a generation after the first */
        int64_t last_leaf[WORLD_AUTHORITIES]; /* the latest end of a leaf of the one that signs */
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
        for (size_t i = 0; i < WORLD_AUTHORITIES; i++)
                world->last_leaf[i] = INT64_MIN;
        policy->check_every_usec = 900 * SECOND;
        policy->backdate_usec = 300 * SECOND;
        policy->n_authorities = authorities;
        policy->authorities = calloc(authorities, sizeof *policy->authorities);
        for (size_t i = 0; i < authorities; i++) {
                policy->authorities[i].name = world_name("main", i);
                policy->authorities[i].lifetime_usec = 5 * YEAR;
                policy->authorities[i].renew_before_usec = YEAR;
                policy->authorities[i].has_renew_before = true;
                policy->authorities[i].distribute_usec = 7 * DAY;
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
