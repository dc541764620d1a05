/*
 * Observed things with all their fields at one end of their range or the other, for tests of how
 * they are carried.
 */
#pragma once

#include "common/observation.h"

#include <check.h>
#include <string.h>

static char longest[OBSERVED_PROBLEM_MAX + 100]; /* more than a problem may be */

/* What fields look like at one end of their range or the other. */
static CertFacts some_facts(bool most)
{
        CertFacts facts = {.not_before_usec = most ? INT64_MAX : INT64_MIN,
                           .not_after_usec = most ? INT64_MAX : 0};

        memset(facts.serial, 'f', most ? CERT_SERIAL_MAX - 1 : 0);
        memset(facts.sha256, most ? 0xFF : 0, sizeof facts.sha256);
        memset(facts.key_id, most ? 0xFE : 0, sizeof facts.key_id);
        memset(facts.issuer_key_id, most ? 0xFD : 0, sizeof facts.issuer_key_id);
        return facts;
}

static ObservedSet some_set(bool most)
{
        return (ObservedSet){.leaf = some_facts(most),
                             .key_made_usec = most ? INT64_MAX : INT64_MIN,
                             .digest = {[0 ... CERT_FINGERPRINT - 1] = most ? 0xEE : 0},
                             .problem = most ? strndup(longest, OBSERVED_PROBLEM_MAX) : NULL,
                             .generation = most ? UINT32_MAX : 0,
                             .refused = most ? UINT32_MAX : 0,
                             .defects = most ? UINT32_MAX : 0,
                             .state = most ? SET_STATES - 1 : 0,
                             .has_leaf = most};
}

static ObservedCluster some_cluster(bool most)
{
        ObservedCluster cluster = {.state = most ? CLUSTER_STATES - 1 : 0,
                                   .configuration = most ? CONFIGURATION_STATES - 1 : 0,
                                   .pid = most ? INT64_MAX : INT64_MIN,
                                   .started_sec = most ? INT64_MAX : -1,
                                   .served = {.outcome = most ? HANDSHAKE_OUTCOMES - 1 : 0,
                                              .chain = most ? UINT32_MAX : 0,
                                              .leaf = some_facts(most)},
                                   .in_force_known = most};

        memset(cluster.served.protocol, 'T', most ? OBSERVED_PROTOCOL_MAX - 1 : 0);
        if (most) {
                cluster.override = strndup(longest, OBSERVED_PROBLEM_MAX);
                cluster.problem = strdup("one");
        }
        return cluster;
}

static ObservedAuthority some_authority(size_t n)
{
        ObservedAuthority authority = {.known = true};

        authority.generations = calloc(n + 1, sizeof *authority.generations);
        for (size_t i = 0; i < n; i++) {
                ObservedGeneration *generation = &authority.generations[i];

                *generation = (ObservedGeneration){.number = (uint32_t)i - 1,
                                                   .phase = i % AUTHORITY_PHASES,
                                                   .facts = some_facts(i % 2),
                                                   .subject = strdup(i % 2 ? "CN=root" : ""),
                                                   .der_size = i * 200};
                generation->der = calloc(1, generation->der_size + 1);
                memset(generation->der, (int)i, generation->der_size);
        }
        authority.n_generations = n;
        return authority;
}

static void expect_same_text(const char *a, const char *b)
{
        ck_assert_int_eq(a != NULL, b != NULL);
        if (a)
                ck_assert_str_eq(a, b);
}

static void expect_same_set(const ObservedSet *a, const ObservedSet *b)
{
        ck_assert_mem_eq(&a->leaf, &b->leaf, sizeof a->leaf);
        ck_assert_mem_eq(a->digest, b->digest, sizeof a->digest);
        ck_assert_int_eq(a->key_made_usec, b->key_made_usec);
        expect_same_text(a->problem, b->problem);
        ck_assert_uint_eq(a->generation, b->generation);
        ck_assert_uint_eq(a->refused, b->refused);
        ck_assert_uint_eq(a->defects, b->defects);
        ck_assert_uint_eq(a->state, b->state);
        ck_assert_int_eq(a->has_leaf, b->has_leaf);
}

static void expect_same_cluster(const ObservedCluster *a, const ObservedCluster *b)
{
        ck_assert_uint_eq(a->state, b->state);
        ck_assert_uint_eq(a->configuration, b->configuration);
        ck_assert_int_eq(a->pid, b->pid);
        ck_assert_int_eq(a->started_sec, b->started_sec);
        ck_assert_uint_eq(a->served.outcome, b->served.outcome);
        ck_assert_uint_eq(a->served.chain, b->served.chain);
        ck_assert_mem_eq(&a->served.leaf, &b->served.leaf, sizeof a->served.leaf);
        ck_assert_str_eq(a->served.protocol, b->served.protocol);
        ck_assert_int_eq(a->in_force_known, b->in_force_known);
        expect_same_text(a->override, b->override);
        expect_same_text(a->problem, b->problem);
}

static void expect_same_authority(const ObservedAuthority *a, const ObservedAuthority *b)
{
        ck_assert_int_eq(a->known, b->known);
        expect_same_text(a->problem, b->problem);
        ck_assert_uint_eq(a->n_generations, b->n_generations);
        for (size_t i = 0; i < a->n_generations; i++) {
                const ObservedGeneration *x = &a->generations[i], *y = &b->generations[i];

                ck_assert_uint_eq(x->number, y->number);
                ck_assert_uint_eq(x->phase, y->phase);
                ck_assert_mem_eq(&x->facts, &y->facts, sizeof x->facts);
                expect_same_text(x->subject, y->subject);
                ck_assert_uint_eq(x->der_size, y->der_size);
                ck_assert_mem_eq(x->der, y->der, x->der_size);
        }
}
