/*
 * The row of a certificate: its state by precedence, its health, and what stands in the way of a
 * set that is due. Also the authorities' rows, where they are what stands in the way.
 */
#include "tests/world.h"

typedef struct Case {
        const char *name;
        void (*change)(World *world);
        CertificateState state;
        Health health;
        const char *error; /* a part; NULL for none */
        const char *steps; /* of all */
} Case;

static ObservedSet *server(World *world)
{
        return &world->observation->sets[0];
}

static Attempt *attempt(World *world)
{
        return &world->memory->certificates[0].attempt;
}

static void change_nothing(World *world)
{
        (void)world;
}

static void request(World *world)
{
        world->memory->certificates[0].is_requested = true;
}

static void be_unknown(World *world)
{
        server(world)->state = SET_UNKNOWN;
        server(world)->problem = strdup("no worker for app");
}

static void be_foreign(World *world)
{
        *server(world) = (ObservedSet){.state = SET_FOREIGN, .problem = strdup("server.crt")};
}

static void have_foreign_service(World *world)
{
        server(world)->defects = SET_SERVICE_FOREIGN;
}

static void remove_set(World *world)
{
        *server(world) = (ObservedSet){.state = SET_ABSENT};
}

static void expire(World *world)
{
        world->now = server(world)->leaf.not_after_usec;
}

static void have_failed(World *world)
{
        attempt_failed(attempt(world), &world->policy, world->boot, 0, "the disk is full");
}

static void expire_and_fail(World *world)
{
        expire(world);
        have_failed(world);
}

static void expire_clamped(World *world)
{
        expire(world);
        world->observation->authorities[0].generations[0].facts.not_after_usec = world->now;
}

static void come_to_half(World *world)
{
        world->now = server(world)->leaf.not_after_usec - 5 * DAY;
}

static void pass_half(World *world)
{
        come_to_half(world);
        world->now++;
}

static void fail_before_half(World *world)
{
        come_to_half(world);
        have_failed(world);
}

static void fail_after_half(World *world)
{
        pass_half(world);
        have_failed(world);
}

static void fail_and_wait(World *world)
{
        request(world);
        have_failed(world);
        world->boot += 5 * SECOND;
}

static void fail_and_request(World *world)
{
        have_failed(world);
        request(world);
}

static void fail_with_nothing_due(World *world)
{
        have_failed(world);
}

static void hold(World *world)
{
        world->held = "the policy is broken since 2026-01-01T00:00:00Z";
}

static void hold_due(World *world)
{
        hold(world);
        request(world);
}

static void hold_links(World *world)
{
        hold(world);
        server(world)->defects = SET_LINKS;
}

static void put_back(World *world)
{
        server(world)->refused = server(world)->generation + 1;
        server(world)->defects = 0;
}

static void put_back_and_fail(World *world)
{
        put_back(world);
        attempt_failed(attempt(world), &world->policy, world->boot, 0, "key values mismatch");
}

static void silence(World *world)
{
        world_lose_authority(world, 0, false);
        world->observation->authorities[0].problem = strdup("the signer did not answer");
}

static void silence_due(World *world)
{
        silence(world);
        request(world);
}

static void silence_links(World *world)
{
        silence(world);
        server(world)->defects = SET_LINKS;
}

static void silence_other(World *world)
{
        world_lose_authority(world, 1, false);
}

static void silence_other_due(World *world)
{
        silence_other(world);
        request(world);
}

/* Whether the leaf's issuer is the silent authority's cannot be known. */
static void silence_other_and_move(World *world)
{
        silence_other(world);
        server(world)->leaf.issuer_key_id[0] = 0x77;
}

static void silence_in_bundle(World *world)
{
        PolicyCertificate *certificate = &world->policy.certificates[0];

        certificate->bundle = reallocarray(certificate->bundle, 2, sizeof *certificate->bundle);
        certificate->bundle[1] = &world->policy.authorities[1];
        certificate->n_bundle = 2;
        silence_other_due(world);
}

static void lose_ca(World *world)
{
        world_lose_authority(world, 0, true);
}

static void lose_ca_at_first_issue(World *world)
{
        lose_ca(world);
        remove_set(world); /* the client's set is still there */
}

static void end_ca(World *world)
{
        world->observation->authorities[0].generations[0].facts.not_after_usec = world->now;
        request(world);
}

static void fall_behind_issuer(World *world)
{
        server(world)->leaf.issuer_key_id[0] ^= 1;
}

static void fall_behind_issuer_due(World *world)
{
        fall_behind_issuer(world);
        request(world);
}

static void lose_issuer_id(World *world)
{
        memset(server(world)->leaf.issuer_key_id, 0, CERT_KEY_ID);
}

static void fall_behind_bundle(World *world)
{
        uint8_t anchors[2][CERT_KEY_ID] = {{0xCA, 0}, {0x99}};

        ck_assert_int_eq(
                observation_bundle(world->observation, anchors, 2, &server(world)->bundle, NULL),
                0);
}

static void trust_foreign(World *world)
{
        fall_behind_bundle(world);
        if (world->observation->n_sets > 1)
                world->observation->sets[1].bundle = server(world)->bundle;
        world_add_trust(world, 0, world->observation->bundles[server(world)->bundle].anchors[1]);
}

static void hold_anchor_of_other(World *world)
{
        uint8_t anchors[2][CERT_KEY_ID] = {{0xCA, 0}, {0xCA, 1}};

        ck_assert_int_eq(
                observation_bundle(world->observation, anchors, 2, &server(world)->bundle, NULL),
                0);
}

#define RENEWED "issue server, publish server, prune server"

static const Case cases[] = {
        {"settled", change_nothing, CERTIFICATE_OK, 0, NULL, ""},
        {"due", request, CERTIFICATE_DUE, 0, NULL, RENEWED},
        {"absent", remove_set, CERTIFICATE_DUE, 1, NULL,
         "issue server (new key), publish server, prune server"},
        {"unknown", be_unknown, CERTIFICATE_ERROR, 2, "no worker for app", ""},
        {"foreign", be_foreign, CERTIFICATE_FOREIGN, 1, "server.crt", ""},
        {"foreign service", have_foreign_service, CERTIFICATE_FOREIGN, 1, "not made by pgcertd",
         ""},
        {"expired", expire, CERTIFICATE_DUE, 2, NULL, RENEWED},
        {"expired, failed", expire_and_fail, CERTIFICATE_EXPIRED, 2, "the disk is full", ""},
        {"expired with its CA", expire_clamped, CERTIFICATE_EXPIRED, 2,
         "expired at 2026-01-31T00:00:00Z", "prepare main"},
        {"half of renew_before", come_to_half, CERTIFICATE_DUE, 0, NULL, RENEWED},
        {"past half of renew_before", pass_half, CERTIFICATE_DUE, 2, NULL, RENEWED},
        {"failing", fail_before_half, CERTIFICATE_ERROR, 1, "the disk is full", ""},
        {"failing, at risk", fail_after_half, CERTIFICATE_ERROR, 2, "the disk is full", ""},
        {"failed, waited", fail_and_wait, CERTIFICATE_DUE, 0, NULL, RENEWED},
        {"failed, requested", fail_and_request, CERTIFICATE_DUE, 0, NULL, RENEWED},
        {"failed, not due any more", fail_with_nothing_due, CERTIFICATE_OK, 0, NULL, ""},
        {"held, nothing due", hold, CERTIFICATE_OK, 0, NULL, ""},
        {"held", hold_due, CERTIFICATE_HELD, 2, "policy is broken", ""},
        {"held, links", hold_links, CERTIFICATE_HELD, 2, "policy is broken", ""},
        {"put back", put_back, CERTIFICATE_REFUSED, 1, "refused generation 2", RENEWED},
        {"put back, failed", put_back_and_fail, CERTIFICATE_REFUSED, 1, "key values mismatch", ""},
        {"signer silent, nothing due", silence, CERTIFICATE_OK, 0, NULL, ""},
        {"signer silent", silence_due, CERTIFICATE_ERROR, 1, "did not answer", ""},
        {"signer silent, links", silence_links, CERTIFICATE_DUE, 0, NULL, "publish server"},
        {"other authority silent", silence_other_due, CERTIFICATE_DUE, 0, NULL, RENEWED},
        {"other silent, perhaps its leaf", silence_other_and_move, CERTIFICATE_HELD, 1,
         "did not answer", ""},
        {"silent in its bundle", silence_in_bundle, CERTIFICATE_ERROR, 1, "did not answer", ""},
        {"CA lost", lose_ca, CERTIFICATE_HELD, 2, "CA lost", ""},
        {"CA lost, set absent", lose_ca_at_first_issue, CERTIFICATE_HELD, 2, "CA lost", ""},
        {"CA ended", end_ca, CERTIFICATE_ERROR, 1, "expired at 2026-01-01T00:00:00Z",
         "prepare main"},
        {"unknown issuer", fall_behind_issuer, CERTIFICATE_HELD, 1, "HINT: Restore", ""},
        {"unknown issuer, due", fall_behind_issuer_due, CERTIFICATE_HELD, 1, "leaf was issued", ""},
        {"issuer not named", lose_issuer_id, CERTIFICATE_OK, 0, NULL, ""},
        {"unknown anchor", fall_behind_bundle, CERTIFICATE_HELD, 1, "trust bundle holds", ""},
        {"trusted anchor", trust_foreign, CERTIFICATE_OK, 0, NULL, ""},
        {"anchor of another authority", hold_anchor_of_other, CERTIFICATE_OK, 0, NULL, ""},
};

START_TEST(says_how_a_set_stands)
{
        const Case *test = &cases[_i];
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(freep) char *steps = NULL;
        const PlanCertificate *row;

        world_init(&world, 1, 1, 0, 2);
        world_settle(&world);
        /* The client is not in question here: it lasts. */
        world.observation->sets[1].leaf.not_after_usec += 100 * DAY;
        test->change(&world);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        row = &plan->certificates[0];
        ck_assert_msg(row->state == test->state, "%s: %s", test->name,
                      certificate_state_name(row->state));
        ck_assert_msg(row->health == test->health, "%s: %s", test->name, health_name(row->health));
        ck_assert_msg(!row->error == !test->error &&
                              (!row->error || strstr(row->error, test->error)),
                      "%s: %s", test->name, row->error);
        ck_assert_msg(strcmp(steps, test->steps) == 0, "%s: %s", test->name, steps);
        ck_assert_int_ge(plan->health, row->health);
}
END_TEST

/* A server's reader is at risk by what is served, not by what is on disk. */
START_TEST(risk_is_of_what_is_served)
{
        static const struct {
                uint8_t state, outcome;
                int64_t served_left, disk_left;
                Health health; /* of the set's row */
        } ends[] = {
                {CLUSTER_RUNNING, HANDSHAKE_TLS, 5 * DAY, 30 * DAY, 1},
                {CLUSTER_RUNNING, HANDSHAKE_TLS, 5 * DAY - 1, 30 * DAY, 2},
                {CLUSTER_RUNNING, HANDSHAKE_TLS, 0, 30 * DAY, 2},
                {CLUSTER_RUNNING, HANDSHAKE_TIMEOUT, 0, 30 * DAY, 1},
                {CLUSTER_RUNNING, HANDSHAKE_PLAIN, 0, 5 * DAY - 1, 2},
                {CLUSTER_DOWN, HANDSHAKE_NOT_TRIED, 0, 30 * DAY, 1},
                {CLUSTER_DOWN, HANDSHAKE_NOT_TRIED, 0, 5 * DAY - 1, 2},
                {CLUSTER_ABSENT, HANDSHAKE_NOT_TRIED, 0, 30 * DAY, 0},
                {CLUSTER_ABSENT, HANDSHAKE_NOT_TRIED, 0, 5 * DAY - 1, 2},
        };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                _cleanup_(world_done) World world;
                _cleanup_(plan_freep) Plan *plan = NULL;
                ObservedCluster *cluster;

                world_init(&world, 1, 0, 1, 1);
                world_settle(&world);
                cluster = &world.observation->clusters[0];
                cluster->state = ends[i].state;
                cluster->served.outcome = ends[i].outcome;
                cluster->served.leaf.sha256[0] ^= 1;
                cluster->served.leaf.not_after_usec = world.now + ends[i].served_left;
                server(&world)->leaf.not_after_usec = world.now + ends[i].disk_left;
                plan = world_plan(&world);
                ck_assert_msg(plan->certificates[0].health == ends[i].health, "%zu: %s", i,
                              health_name(plan->certificates[0].health));
        }
}
END_TEST

/* How long somebody else's files are good for is theirs to know. */
START_TEST(a_foreign_set_is_a_warning_whatever_it_serves)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        world_init(&world, 1, 0, 1, 1);
        world_settle(&world);
        be_foreign(&world);
        world.observation->clusters[0].served.leaf.not_after_usec = world.now;
        plan = world_plan(&world);
        ck_assert_int_eq(plan->certificates[0].state, CERTIFICATE_FOREIGN);
        ck_assert_int_eq(plan->health, HEALTH_WARNING);
}
END_TEST

START_TEST(a_foreign_configuration_waits_before_the_first_publication_alone)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *first = NULL, *later = NULL;
        _cleanup_(freep) char *first_steps = NULL, *later_steps = NULL;

        world_init(&world, 1, 0, 1, 1);
        world.observation->clusters[0].configuration = CONFIGURATION_FOREIGN;
        first = world_plan(&world);
        first_steps = world_steps(&world, first);
        ck_assert_str_eq(first_steps, "");
        ck_assert_int_eq(first->certificates[0].state, CERTIFICATE_FOREIGN);
        ck_assert_int_eq(first->health, HEALTH_WARNING);
        world_settle(&world);
        request(&world);
        later = world_plan(&world);
        later_steps = world_steps(&world, later);
        ck_assert_str_eq(later_steps,
                         "issue server, publish server, load main, prove main, prune server");
}
END_TEST

START_TEST(words_are_those_of_the_interface)
{
        static const char *const states[] = {"ok",      "due",  "owed",    "refused",
                                             "foreign", "held", "expired", "error"};
        static const char *const proofs[] = {"proven", "owed", "refused", "unverifiable"};
        static const char *const healths[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

        for (int i = 0; i < CERTIFICATE_STATES; i++)
                ck_assert_str_eq(certificate_state_name((CertificateState)i), states[i]);
        for (int i = 0; i < PROOF_STATES; i++)
                ck_assert_str_eq(cluster_proof_name((ClusterProof)i), proofs[i]);
        for (int i = 0; i <= HEALTH_UNKNOWN; i++)
                ck_assert_str_eq(health_name((Health)i), healths[i]);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("draft");
        TCase *tcase = tcase_create("rows");

        tcase_add_loop_test(tcase, says_how_a_set_stands, 0, ELEMENTSOF(cases));
        tcase_add_test(tcase, risk_is_of_what_is_served);
        tcase_add_test(tcase, a_foreign_set_is_a_warning_whatever_it_serves);
        tcase_add_test(tcase, a_foreign_configuration_waits_before_the_first_publication_alone);
        tcase_add_test(tcase, words_are_those_of_the_interface);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
