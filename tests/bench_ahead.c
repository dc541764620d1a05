/*
 * What thinking ahead costs: the plan of many certificates beside the sorting of as many dates, ten
 * years of a hundred certificates, and lives simulated with real certificates. tests/benchmark.py
 * runs it.
 */
#include "daemon/timeline.h"
#include "tests/simulation/chance.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 15, LIVES = 20 };

static double now(void)
{
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double smallest(double a, double b)
{
        return a < b ? a : b;
}

/* Servers and clients in equal parts, a cluster for each server. */
static Policy *make_policy(size_t n)
{
        _cleanup_(text_done) Text text = {0};
        Errors errors = {0};
        Policy *policy = NULL;
        int r;

        text_add(&text, "version: 1\nauthorities:\n  main: { subject: { CN: root } }\n"
                        "certificates:\n");
        for (size_t i = 0; i < n; i++)
                text_addf(&text,
                          "  c%zu: { use: %s, authority: main, owner: nobody, directory: "
                          "/nowhere/%zu, %s }\n",
                          i, i % 2 ? "client" : "server", i,
                          i % 2 ? "role: app" : "names: [localhost]");
        text_add(&text, "clusters:\n");
        for (size_t i = 0; i < n; i += 2)
                text_addf(&text, "  k%zu: { data_directory: /nowhere/k%zu, certificate: c%zu }\n",
                          i, i, i);
        r = policy_parse("bench.yaml", text_content(&text), text.size, &policy, &errors);
        assert(r >= 0);
        errors_done(&errors);
        return policy;
}

/* All issued, published and served at different times. */
static void settle(const Policy *policy, Observation *observation)
{
        ObservedAuthority *authority = &observation->authorities[0];
        Dice dice = {.state = 1};

        authority->known = true;
        authority->generations = calloc(1, sizeof *authority->generations);
        authority->n_generations = 1;
        authority->generations[0] = (ObservedGeneration){
                .number = 1,
                .phase = AUTHORITY_CURRENT,
                .subject = strdup("CN=root G1 ca000000"),
                .last_leaf_usec = INT64_MIN,
                .facts = {.not_before_usec = LIFE_START,
                          .not_after_usec = LIFE_START + policy->authorities[0].lifetime_usec,
                          .key_id = {0xCA}},
        };
        observation_bundle(observation, &authority->generations[0].facts.key_id, 1, &(uint32_t){0},
                           NULL);
        for (size_t i = 0; i < observation->n_sets; i++) {
                ObservedSet *set = &observation->sets[i];
                int64_t since = LIFE_START - dice_between(&dice, 0, 17 * USEC_PER_DAY);

                *set = (ObservedSet){.state = SET_OURS, .has_leaf = true, .generation = 1};
                set->key_made_usec = since;
                set->leaf.not_before_usec = since;
                set->leaf.not_after_usec = since + policy->certificates[i].lifetime_usec;
                set->leaf.issuer_key_id[0] = 0xCA;
                memcpy(set->leaf.sha256, &i, sizeof i);
        }
        for (size_t c = 0; c < observation->n_clusters; c++) {
                size_t i = (size_t)(policy->clusters[c].certificate - policy->certificates);

                observation->clusters[c] =
                        (ObservedCluster){.state = CLUSTER_RUNNING, .pid = 1000, .started_sec = 1};
                observation->clusters[c].served.outcome = HANDSHAKE_TLS;
                observation->clusters[c].served.leaf = observation->sets[i].leaf;
        }
}

static int by_date(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return (x > y) - (x < y);
}

static double sort_dates(const Observation *observation)
{
        int64_t *dates = calloc(observation->n_sets + 1, sizeof *dates);
        double start, took;

        assert(dates);
        for (size_t i = 0; i < observation->n_sets; i++)
                dates[i] = observation->sets[i].leaf.not_after_usec;
        start = now();
        qsort(dates, observation->n_sets, sizeof *dates, by_date);
        took = now() - start;
        free(dates);
        return took;
}

static double plan_once(const PlanInput *input)
{
        double start = now(), took;
        Plan *plan;
        int r = plan_make(input, &plan, NULL);

        took = now() - start;
        assert(r >= 0 && plan->n_steps == 0);
        plan_free(plan);
        return took;
}

static double look_ahead(const PlanInput *input, size_t *ret_rows)
{
        double start = now(), took;
        Timeline timeline;
        int r = timeline_make(input, input->now_usec + 10 * USEC_PER_YEAR, &timeline, NULL);

        took = now() - start;
        assert(r >= 0);
        *ret_rows = timeline.n;
        timeline_done(&timeline);
        return took;
}

static void plan_many(size_t n, bool is_ahead)
{
        Policy *policy = make_policy(n);
        Observation *observation;
        Memory *memory;
        int r = observation_new(policy, &observation, NULL);
        double best = 1e9, sort = 1e9;
        size_t rows = 0;
        PlanInput input;

        assert(r >= 0);
        r = memory_new(policy, &memory, NULL);
        assert(r >= 0);
        settle(policy, observation);
        input = (PlanInput){.policy = policy,
                            .observation = observation,
                            .memory = memory,
                            .now_usec = LIFE_START,
                            .boot_usec = USEC_PER_HOUR,
                            .host = "db1.example.com"};
        for (unsigned i = 0; i < ROUNDS; i++) {
                best = smallest(best, is_ahead ? look_ahead(&input, &rows) : plan_once(&input));
                sort = smallest(sort, sort_dates(observation));
        }
        printf("%s %.9f\n", is_ahead ? "ahead" : "plan", best);
        if (is_ahead)
                printf("rows %zu\n", rows);
        else
                printf("sort %.9f\n", sort);
        observation_free(observation);
        memory_free(memory);
        policy_unref(policy);
}

static void live(void)
{
        double start = now(), years = 0;

        for (uint64_t seed = 1; seed <= LIVES; seed++) {
                _cleanup_(life_freep) Life *life = chance_case(seed, 20, BREAK_NOTHING, NULL, NULL);

                assert(life && !life->failure[0]);
                years += (double)(life->now - LIFE_START) / USEC_PER_YEAR;
        }
        printf("years %.3f\nlives %.9f\n", years, now() - start);
}

int main(void)
{
        plan_many(10000, false);
        plan_many(100, true);
        live();
        return 0;
}
