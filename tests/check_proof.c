/*
 * Clusters: what is loaded and proved in which situation, and what their rows say. Most cases start
 * from one server and one client, all settled.
 */
#include "tests/world.h"

typedef struct Case {
        const char *name;
        void (*change)(World *world);
        const char *steps;
        ClusterProof proof;
        Health health;
        CertificateState state; /* of the server's row */
        const char *error;      /* a part of the cluster's; NULL for none */
} Case;

static ObservedCluster *cluster(World *world)
{
        return &world->observation->clusters[0];
}

static MemoryCluster *memory(World *world)
{
        return &world->memory->clusters[0];
}

static void change_nothing(World *world)
{
        (void)world;
}

static void forget(World *world)
{
        memory_free(world->memory);
        ck_assert_int_eq(memory_new(&world->policy, &world->memory, NULL), 0);
}

static void be_unknown(World *world)
{
        cluster(world)->state = CLUSTER_UNKNOWN;
        cluster(world)->problem = strdup("no worker for postgres");
}

static void be_absent(World *world)
{
        cluster(world)->state = CLUSTER_ABSENT;
        cluster(world)->served.outcome = HANDSHAKE_NOT_TRIED;
}

static void stop(World *world)
{
        cluster(world)->state = CLUSTER_DOWN;
        cluster(world)->served.outcome = HANDSHAKE_NOT_TRIED;
        cluster(world)->pid = 0;
}

static void stop_proven(World *world)
{
        stop(world);
        memory(world)->has_proven = true;
        memcpy(memory(world)->proven, world->observation->sets[0].leaf.sha256, CERT_FINGERPRINT);
}

static void stop_unconfigured(World *world)
{
        stop_proven(world);
        cluster(world)->configuration = CONFIGURATION_ABSENT;
}

static void stop_unconfigured_failed(World *world)
{
        stop_unconfigured(world);
        attempt_failed(&memory(world)->attempt, &world->policy, world->boot, 0, "disk full");
}

static void serve_other(World *world)
{
        cluster(world)->served.leaf.sha256[9] ^= 1;
}

static void serve_plain(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_PLAIN;
}

static void time_out(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_TIMEOUT;
}

static void fail_proof(World *world)
{
        serve_other(world);
        memory(world)->tried_pid = cluster(world)->pid;
        memory(world)->tried_started_sec = cluster(world)->started_sec;
        memcpy(memory(world)->tried, world->observation->sets[0].leaf.sha256, CERT_FINGERPRINT);
        attempt_failed(&memory(world)->attempt, &world->policy, world->boot, 0, "timed out");
}

static void refuse(World *world)
{
        fail_proof(world);
        memory(world)->is_refused = true;
}

static void fail_proof_then_wait(World *world)
{
        fail_proof(world);
        world->boot += 5 * SECOND;
}

static void fail_proof_then_restart(World *world)
{
        fail_proof(world);
        cluster(world)->pid++;
}

static void fail_proof_then_restart_same_pid(World *world)
{
        fail_proof(world);
        cluster(world)->started_sec++;
}

static void fail_proof_then_publish(World *world)
{
        fail_proof(world);
        world_publish(world, 0, false);
}

static void fail_load_never_tried(World *world)
{
        serve_other(world);
        attempt_failed(&memory(world)->attempt, &world->policy, world->boot, 0, "no postmaster");
}

static void fail_proof_then_renew(World *world)
{
        fail_proof(world);
        world->memory->certificates[0].is_requested = true;
}

static void have_no_tcp(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_NOT_TRIED;
}

static void have_no_tcp_and_restart(World *world)
{
        have_no_tcp(world);
        cluster(world)->pid++;
}

static void have_no_tcp_unloaded(World *world)
{
        have_no_tcp(world);
        forget(world);
}

static void have_no_tcp_and_renew(World *world)
{
        have_no_tcp(world);
        world->memory->certificates[0].is_requested = true;
}

static void lose_configuration(World *world)
{
        cluster(world)->configuration = CONFIGURATION_ABSENT;
}

static void age_configuration(World *world)
{
        cluster(world)->configuration = CONFIGURATION_STALE;
}

static void lose_configuration_and_renew(World *world)
{
        lose_configuration(world);
        world->memory->certificates[0].is_requested = true;
}

static void replace_configuration(World *world)
{
        cluster(world)->configuration = CONFIGURATION_FOREIGN;
}

static void override(World *world)
{
        cluster(world)->override = strdup("ssl_cert_file is set in postgresql.auto.conf:3");
        lose_configuration(world);
        serve_other(world);
}

static void override_and_renew(World *world)
{
        override(world);
        world->memory->certificates[0].is_requested = true;
}

static void hold(World *world)
{
        world->held = "the policy is broken";
}

static void hold_owed(World *world)
{
        serve_other(world);
        hold(world);
}

static void damage_in_back_off(World *world)
{
        serve_other(world);
        world->observation->sets[0].state = SET_DAMAGED;
        attempt_failed(&world->memory->certificates[0].attempt, &world->policy, world->boot, 0,
                       "disk full");
}

static void be_unusable(World *world)
{
        memory(world)->unusable = strdup("plaintext was accepted");
}

static void be_foreign(World *world)
{
        world->observation->sets[0] = (ObservedSet){.state = SET_FOREIGN};
}

static void owe_at_risk(World *world)
{
        fail_proof(world);
        cluster(world)->served.leaf.not_after_usec = world->now + 5 * DAY - 1;
}

static void owe_not_at_risk(World *world)
{
        fail_proof(world);
        cluster(world)->served.leaf.not_after_usec = world->now + 5 * DAY;
}

#define LOADED "load main, prove main"
#define RENEWED "issue server, publish server, load main, prove main, prune server"

static const Case cases[] = {
        {"settled", change_nothing, "", PROOF_PROVEN, 0, CERTIFICATE_OK, NULL},
        {"settled, restart of ours", forget, "", PROOF_PROVEN, 0, CERTIFICATE_OK, NULL},
        {"unknown", be_unknown, "", PROOF_OWED, 2, CERTIFICATE_OWED, "no worker"},
        {"absent", be_absent, "", PROOF_UNVERIFIABLE, 1, CERTIFICATE_OK, "gone"},
        {"down, owed", stop, "", PROOF_OWED, 1, CERTIFICATE_OWED, "down"},
        {"down, proven", stop_proven, "", PROOF_PROVEN, 0, CERTIFICATE_OK, NULL},
        {"down, unconfigured", stop_unconfigured, "configure main", PROOF_PROVEN, 0, CERTIFICATE_OK,
         NULL},
        {"down, configuring failed", stop_unconfigured_failed, "", PROOF_PROVEN, 1, CERTIFICATE_OK,
         "disk full"},
        {"serves another", serve_other, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED, "not yet seen"},
        {"plain", serve_plain, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED, "without TLS"},
        {"timeout", time_out, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED, "not yet seen"},
        {"failed", fail_proof, "", PROOF_OWED, 1, CERTIFICATE_OWED, "timed out"},
        {"failed, at risk", owe_at_risk, "", PROOF_OWED, 2, CERTIFICATE_OWED, "timed out"},
        {"failed, not at risk", owe_not_at_risk, "", PROOF_OWED, 1, CERTIFICATE_OWED, "timed out"},
        {"failed, waited", fail_proof_then_wait, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED,
         "timed out"},
        {"failed, restarted", fail_proof_then_restart, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED,
         "timed out"},
        {"failed, restarted with the pid", fail_proof_then_restart_same_pid, LOADED, PROOF_OWED, 1,
         CERTIFICATE_OWED, "timed out"},
        {"failed, new leaf", fail_proof_then_publish, LOADED, PROOF_OWED, 1, CERTIFICATE_OWED,
         "timed out"},
        {"failed, renewed", fail_proof_then_renew, RENEWED, PROOF_OWED, 1, CERTIFICATE_OWED,
         "timed out"},
        {"load failed, never tried", fail_load_never_tried, "", PROOF_OWED, 1, CERTIFICATE_OWED,
         "no postmaster"},
        {"refused", refuse, "", PROOF_REFUSED, 1, CERTIFICATE_REFUSED, "timed out"},
        {"no TCP", have_no_tcp, "", PROOF_UNVERIFIABLE, 0, CERTIFICATE_OK, NULL},
        {"no TCP, restarted", have_no_tcp_and_restart, "load main", PROOF_UNVERIFIABLE, 0,
         CERTIFICATE_OK, NULL},
        {"no TCP, not loaded", have_no_tcp_unloaded, "load main", PROOF_UNVERIFIABLE, 0,
         CERTIFICATE_OK, NULL},
        {"no TCP, renewed", have_no_tcp_and_renew,
         "issue server, publish server, load main, prune server", PROOF_UNVERIFIABLE, 0,
         CERTIFICATE_DUE, NULL},
        {"configuration gone", lose_configuration, "configure main, " LOADED, PROOF_PROVEN, 0,
         CERTIFICATE_OK, NULL},
        {"configuration stale", age_configuration, "configure main, " LOADED, PROOF_PROVEN, 0,
         CERTIFICATE_OK, NULL},
        {"configuration and renewal", lose_configuration_and_renew,
         "issue server, publish server, configure main, " LOADED ", prune server", PROOF_PROVEN, 0,
         CERTIFICATE_DUE, NULL},
        {"configuration foreign", replace_configuration, "", PROOF_PROVEN, 1, CERTIFICATE_OK,
         "not made by pgcertd"},
        {"overridden", override, "", PROOF_OWED, 1, CERTIFICATE_OWED, "auto.conf:3"},
        {"overridden, due", override_and_renew, "", PROOF_OWED, 1, CERTIFICATE_HELD, "auto.conf:3"},
        {"held, nothing due", hold, "", PROOF_PROVEN, 0, CERTIFICATE_OK, NULL},
        {"held, load due", hold_owed, "", PROOF_OWED, 2, CERTIFICATE_OWED, "policy is broken"},
        {"damaged", damage_in_back_off, "", PROOF_OWED, 1, CERTIFICATE_OWED, "not yet seen"},
        {"unusable", be_unusable, "", PROOF_PROVEN, 1, CERTIFICATE_OK, "plaintext"},
        {"foreign set", be_foreign, "", PROOF_OWED, 0, CERTIFICATE_FOREIGN, NULL},
};

START_TEST(loads_and_proves_as_each_situation_asks)
{
        const Case *test = &cases[_i];
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(freep) char *steps = NULL;
        const PlanCluster *row;

        world_init(&world, 1, 1, 1, 1);
        world_settle(&world);
        test->change(&world);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        row = &plan->clusters[0];
        ck_assert_msg(strcmp(steps, test->steps) == 0, "%s: %s", test->name, steps);
        ck_assert_msg(row->proof == test->proof, "%s: %s", test->name,
                      cluster_proof_name(row->proof));
        ck_assert_msg(row->health == test->health, "%s: %s", test->name, health_name(row->health));
        ck_assert_msg(plan->certificates[0].state == test->state, "%s: %s", test->name,
                      certificate_state_name(plan->certificates[0].state));
        ck_assert_msg(!row->error == !test->error &&
                              (!row->error || strstr(row->error, test->error)),
                      "%s: %s", test->name, row->error);
}
END_TEST

START_TEST(does_not_load_twice_what_was_proved)
{
        const Case *test = &cases[_i];
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *after = NULL;
        _cleanup_(freep) char *steps = NULL;

        world_init(&world, 1, 1, 1, 1);
        world_settle(&world);
        test->change(&world);
        plan = world_plan(&world);
        world_apply(&world, plan);
        world.memory->certificates[0].is_requested = false;
        after = world_plan(&world);
        steps = world_steps(&world, after);
        ck_assert_msg(strcmp(steps, "") == 0, "%s: %s", test->name, steps);
}
END_TEST

START_TEST(one_reload_and_proof_for_each_cluster_of_a_certificate)
{
        _cleanup_(world_done) World world;

        world_init(&world, 2, 3, 3, 1);
        world_settle(&world);
        world.policy.clusters[2].certificate = &world.policy.certificates[1];
        world_serve(&world, 2);
        cluster(&world)->configuration = CONFIGURATION_STALE;
        for (size_t i = 0; i < 5; i++)
                world.memory->certificates[i].is_requested = true;
        {
                _cleanup_(plan_freep) Plan *plan = world_plan(&world);
                _cleanup_(freep) char *steps = world_steps(&world, plan);

                ck_assert_ptr_nonnull(strstr(steps, "configure main, load main, load main1, "
                                                    "load main2, prove main, prove main1, "
                                                    "prove main2, prune server"));
        }
}
END_TEST

START_TEST(one_refusing_cluster_shows_on_its_certificate_alone)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        world_init(&world, 2, 0, 3, 1);
        world_settle(&world);
        world.policy.clusters[2].certificate = &world.policy.certificates[1];
        world_serve(&world, 2);
        world.observation->clusters[1].state = CLUSTER_DOWN;
        refuse(&world);
        plan = world_plan(&world);
        ck_assert_int_eq(plan->certificates[0].state, CERTIFICATE_REFUSED);
        ck_assert_str_eq(plan->certificates[0].error, "timed out");
        ck_assert_int_eq(plan->clusters[1].proof, PROOF_OWED);
        ck_assert_int_eq(plan->certificates[1].state, CERTIFICATE_OK);
        ck_assert_int_eq(plan->clusters[2].health, HEALTH_OK);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("proof");
        TCase *tcase = tcase_create("clusters");

        tcase_add_loop_test(tcase, loads_and_proves_as_each_situation_asks, 0, ELEMENTSOF(cases));
        tcase_add_loop_test(tcase, does_not_load_twice_what_was_proved, 0, ELEMENTSOF(cases));
        tcase_add_test(tcase, one_reload_and_proof_for_each_cluster_of_a_certificate);
        tcase_add_test(tcase, one_refusing_cluster_shows_on_its_certificate_alone);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
