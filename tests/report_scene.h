/*
 * For tests of what operators see: a report on structures built by hand, one CA, a server and a
 * client certificate and one cluster, all well; and what every text must be.
 */
#pragma once

#include "common/clock.h"
#include "daemon/report.h"
#include "daemon/table.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1796212800) * USEC_PER_SEC) /* 2026-12-02T12:00:00Z */
#define DAY (24 * 3600 * USEC_PER_SEC)

typedef struct Scene {
        PolicyAuthority authority;
        PolicyCertificate certificates[2];
        PolicyCluster cluster;
        PolicyName name;
        Policy policy;
        ObservedGeneration generation;
        ObservedAuthority observed_authority;
        ObservedSet sets[2];
        ObservedCluster observed_cluster;
        Observation observation;
        MemoryCertificate memory_certificates[2];
        MemoryCluster memory_cluster;
        Memory memory;
        PlanCertificate planned[2];
        PlanCluster planned_cluster;
        PlanAuthority planned_authority;
        Step steps[2];
        Plan plan;
        Report report;
} Scene;

static CertFacts leaf(uint8_t number)
{
        CertFacts facts = {.not_before_usec = NOW - DAY, .not_after_usec = NOW + 29 * DAY};

        memset(facts.sha256, number, sizeof facts.sha256);
        snprintf(facts.serial, sizeof facts.serial, "3f0d3aec%02x", number);
        return facts;
}

static void set_policy(Scene *scene)
{
        scene->authority = (PolicyAuthority){.name = (char *)"main"};
        scene->name = (PolicyName){.text = (char *)"db1.example.com"};
        scene->certificates[0] = (PolicyCertificate){
                .name = (char *)"server",
                .use = POLICY_SERVER,
                .authority = &scene->authority,
                .directory = (char *)"/etc/postgresql/ssl",
                .owner = (char *)"postgres",
                .names = &scene->name,
                .n_names = 1,
        };
        scene->certificates[1] = (PolicyCertificate){
                .name = (char *)"app",
                .use = POLICY_CLIENT,
                .authority = &scene->authority,
                .directory = (char *)"/var/lib/app/postgresql",
                .owner = (char *)"app",
                .role = (char *)"app",
        };
        scene->cluster = (PolicyCluster){
                .name = (char *)"main",
                .data_directory = (char *)"/var/lib/postgresql/15/main",
                .certificate = &scene->certificates[0],
                .plaintext = POLICY_PLAINTEXT_REFUSED,
        };
        scene->policy = (Policy){
                .file = (char *)"/etc/pgcertd/pgcertd.yaml",
                .authorities = &scene->authority,
                .n_authorities = 1,
                .certificates = scene->certificates,
                .n_certificates = 2,
                .clusters = &scene->cluster,
                .n_clusters = 1,
        };
}

static void set_observation(Scene *scene)
{
        scene->generation = (ObservedGeneration){
                .number = 1,
                .phase = AUTHORITY_CURRENT,
                .subject = (char *)"C=CN, CN=root G1 3f0d3aec",
                .facts = {.not_after_usec = NOW + 1800 * DAY},
        };
        scene->observed_authority = (ObservedAuthority){
                .known = true, .generations = &scene->generation, .n_generations = 1};
        for (size_t i = 0; i < 2; i++)
                scene->sets[i] = (ObservedSet){.leaf = leaf((uint8_t)(i + 1)),
                                               .has_leaf = true,
                                               .state = SET_OURS,
                                               .generation = (uint32_t)(i + 7)};
        scene->observed_cluster = (ObservedCluster){
                .state = CLUSTER_RUNNING,
                .served = {.outcome = HANDSHAKE_TLS, .leaf = leaf(1), .protocol = "TLSv1.3"},
        };
        scene->observation = (Observation){
                .sets = scene->sets,
                .n_sets = 2,
                .clusters = &scene->observed_cluster,
                .n_clusters = 1,
                .authorities = &scene->observed_authority,
                .n_authorities = 1,
        };
        scene->memory = (Memory){
                .certificates = scene->memory_certificates,
                .n_certificates = 2,
                .clusters = &scene->memory_cluster,
                .n_clusters = 1,
        };
}

_unused_ static void set_scene(Scene *scene)
{
        *scene = (Scene){0};
        set_policy(scene);
        set_observation(scene);
        for (size_t i = 0; i < 2; i++)
                scene->planned[i] = (PlanCertificate){.renew_at_usec = NOW + 19 * DAY};
        scene->planned_cluster =
                (PlanCluster){.proof = PROOF_PROVEN, .running = true, .reachable = true};
        scene->planned_authority =
                (PlanAuthority){.next_verb = STEP_PREPARE, .next_usec = NOW + 1200 * DAY};
        scene->steps[0] =
                (Step){.verb = STEP_ISSUE, .rekey = true, .reason = (char *)"renewal is due"};
        scene->steps[1] = (Step){.verb = STEP_LOAD, .reason = (char *)"new files are in place"};
        scene->plan = (Plan){
                .certificates = scene->planned,
                .n_certificates = 2,
                .clusters = &scene->planned_cluster,
                .n_clusters = 1,
                .authorities = &scene->planned_authority,
                .n_authorities = 1,
                .next_usec = NOW + 19 * DAY,
                .next_what_usec = NOW + 19 * DAY,
                .next_boot_usec = USEC_INFINITY,
                .next_what = (char *)"renew server",
        };
        scene->report = (Report){
                .policy = &scene->policy,
                .observation = &scene->observation,
                .memory = &scene->memory,
                .plan = &scene->plan,
                .now_usec = NOW,
                .pass_usec = NOW - USEC_PER_SEC,
                .clock_sync = CLOCK_SYNCHRONISED,
        };
}

_unused_ static void has(const Text *text, const char *part)
{
        ck_assert_msg(strstr(text_content(text), part), "no \"%s\" in:\n%s", part,
                      text_content(text));
}

_unused_ static void has_not(const Text *text, const char *part)
{
        ck_assert_msg(!strstr(text_content(text), part), "\"%s\" in:\n%s", part,
                      text_content(text));
}

/* Every line at most 80 columns, nothing that a terminal would obey. */
_unused_ static void is_fit(const Text *text)
{
        char line[4096];

        ck_assert(!text->failed);
        for (const char *p = text_content(text); *p;) {
                size_t size = strcspn(p, "\n");

                ck_assert_uint_lt(size, sizeof line);
                memcpy(line, p, size);
                line[size] = '\0';
                ck_assert_msg(table_width(line) <= TABLE_WIDTH, "%zu columns: %s",
                              table_width(line), line);
                for (size_t i = 0; i < size; i++)
                        ck_assert_msg((unsigned char)line[i] >= 0x20 && line[i] != 0x7F,
                                      "a control character in: %s", line);
                p += size + (p[size] == '\n');
        }
}

typedef void (*Writer)(const Report *report, Text *text);
