/*
 * Looking at everything through workers that tell the truth, lie, never stop, or die. What one
 * owner's worker does costs the others nothing.
 */
#include "daemon/survey.h"

#include "tests/fake_peer.h"

static Policy *policy;
static Observation *observation;
static Peers peers;
static Error error;
static Fake daemon_worker, bin_worker, signer;

static const char policy_text[] =
        "version: 1\n"
        "authorities:\n"
        "  main: { subject: { CN: root } }\n"
        "certificates:\n"
        "  one: { use: server, authority: main, names: [a.example.com],\n"
        "         directory: /tmp/one, owner: daemon }\n"
        "  two: { use: client, authority: main, role: app, directory: /tmp/two, owner: daemon }\n"
        "  three: { use: server, authority: main, names: [b.example.com],\n"
        "           directory: /tmp/three, owner: bin }\n"
        "clusters:\n"
        "  first: { data_directory: /tmp/data1, certificate: one }\n"
        "  second: { data_directory: /tmp/data3, certificate: three }\n";

enum { ONE, TWO, THREE };

static void setup(void)
{
        PeerPlaces places = {.policy_file = "/nonexistent", .sockets = true};
        Errors errors = {0};

        judge_setup();
        places.state_dir = places.runtime_dir = judge_directory;
        if (policy_parse("policy.yaml", policy_text, strlen(policy_text), &policy, &errors) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        errors_done(&errors);
        ck_assert_int_eq(observation_new(policy, &observation, NULL), 0);
        peers_init(&peers, &places);
        error = (Error){0};
}

static void teardown(void)
{
        observation = observation_free(observation);
        policy = policy_unref(policy);
        judge_teardown();
}

/* What fakes put into their streams. */
static void put_set(Message *message, const char *name, uint32_t generation)
{
        ObservedSet set = {.state = SET_OURS, .generation = generation, .digest = {7}};
        const uint8_t anchors[1][CERT_KEY_ID] = {{1, 2, 3}};

        wire_put_u8(message, OBSERVED_SET);
        wire_put_text(message, name);
        observation_put_set(message, &set, anchors, 1);
}

static void put_cluster(Message *message, const char *name)
{
        ObservedCluster cluster = {.state = CLUSTER_RUNNING, .pid = 4711};

        wire_put_u8(message, OBSERVED_CLUSTER);
        wire_put_text(message, name);
        observation_put_cluster(message, &cluster);
}

static void put_unchanged(Message *message, const char *name)
{
        wire_put_u8(message, OBSERVED_UNCHANGED);
        wire_put_text(message, name);
}

static void finish(int fd, Message *message)
{
        wire_put_u8(message, OBSERVED_LAST);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

static void tell_bin(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "three", 3);
        put_cluster(message, "second");
        finish(fd, message);
}

static void tell_signer(int fd, Message *message)
{
        ObservedAuthority authority = {0};

        wire_reply(message, WIRE_AUTHORITY);
        authority_put(message, &authority);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

/* The worker of `daemon`, in its good form: a stream of three messages. */
static void tell_daemon(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "two", 2);
        fake_send(fd, message);
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "one", 1);
        fake_send(fd, message);
        wire_reply(message, WIRE_OBSERVE);
        put_cluster(message, "first");
        finish(fd, message);
}

static int run(FakePeer play)
{
        int r;

        if (play)
                fake_start(&daemon_worker, "worker-daemon.sock", play);
        fake_start(&bin_worker, "worker-bin.sock", tell_bin);
        fake_start(&signer, "signer.sock", tell_signer);
        r = survey_run(&peers, policy, observation, &error);
        peers_done(&peers);
        if (play)
                fake_stop(&daemon_worker);
        fake_stop(&bin_worker);
        fake_stop(&signer);
        return r;
}

static void expect_bin(void)
{
        ck_assert_uint_eq(observation->sets[THREE].state, SET_OURS);
        ck_assert_uint_eq(observation->sets[THREE].generation, 3);
        ck_assert_uint_eq(observation->clusters[1].state, CLUSTER_RUNNING);
        ck_assert(observation->authorities[0].known);
}

START_TEST(puts_all_answers_together)
{
        ck_assert_msg(run(tell_daemon) == 0, "%s", error.text);
        expect_bin();
        for (size_t i = ONE; i <= THREE; i++) {
                const ObservedSet *set = &observation->sets[i];

                ck_assert_uint_eq(set->state, SET_OURS);
                ck_assert_uint_eq(set->generation, i + 1);
                ck_assert_uint_eq(set->bundle, 0);
                ck_assert_ptr_null(set->problem);
        }
        ck_assert_uint_eq(observation->n_bundles, 1);
        ck_assert_uint_eq(observation->bundles[0].n, 1);
        ck_assert_int_eq(observation->clusters[0].pid, 4711);
}
END_TEST

/* Whoever lies, and what is said of it. */
static void die_at_once(int fd, Message *message)
{
}

static void die_in_the_middle(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "one", 9);
        fake_send(fd, message);
}

static void tell_set_of_bin(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "three", 666);
        finish(fd, message);
}

static void tell_cluster_of_bin(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_cluster(message, "second");
        finish(fd, message);
}

static void tell_unknown_set(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "nobody's", 1);
        finish(fd, message);
}

static void tell_unknown_cluster(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_cluster(message, "one");
        finish(fd, message);
}

static void tell_unchanged_of_bin(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_unchanged(message, "three");
        finish(fd, message);
}

static void tell_unknown_kind(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        wire_put_u8(message, 99);
        finish(fd, message);
}

static void tell_bad_state(int fd, Message *message)
{
        size_t at;

        wire_reply(message, WIRE_OBSERVE);
        at = message->size + 1 + 4 + sizeof "one";
        put_set(message, "one", 1);
        message->data[at] = SET_STATES;
        finish(fd, message);
}

static void truncate_a_set(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "one", 1);
        message->size -= 20;
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

static void go_on_after_the_last(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        wire_put_u8(message, OBSERVED_LAST);
        put_set(message, "one", 1);
        finish(fd, message);
}

static void never_stop(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "one", 1);
        for (unsigned i = 0; i < 100; i++)
                if (wire_send(fd, message, clock_boottime() + USEC_PER_SEC, NULL) < 0)
                        return;
}

static void refuse(int fd, Message *message)
{
        Error refusal;

        error_set(&refusal, ESTALE, "the policy on disk is another");
        wire_reply_error(message, WIRE_OBSERVE, &refusal);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

static const struct {
        FakePeer play;
        const char *problem;
} lies[] = {
        {NULL, "no worker for daemon: cannot connect to "},
        {die_at_once, "pgcertd-worker ended in the middle of its work"},
        {die_in_the_middle, "pgcertd-worker ended in the middle of its work"},
        {tell_set_of_bin, "pgcertd-worker: it told of what is not its own"},
        {tell_cluster_of_bin, "pgcertd-worker: it told of what is not its own"},
        {tell_unknown_set, "pgcertd-worker: it told of what is not its own"},
        {tell_unknown_cluster, "pgcertd-worker: it told of what is not its own"},
        {tell_unchanged_of_bin, "pgcertd-worker: a malformed message"},
        {tell_unknown_kind, "pgcertd-worker: a malformed message"},
        {tell_bad_state, "pgcertd-worker: it told of what is not its own"},
        {truncate_a_set, "pgcertd-worker: it told of what is not its own"},
        {go_on_after_the_last, "pgcertd-worker: a malformed message"},
        {never_stop, "pgcertd-worker: it told more than it has"},
        {refuse, "the policy on disk is another"},
};

START_TEST(knows_nothing_of_an_owner_whose_worker_fails)
{
        /* What was known before does not count any more. */
        observation->sets[TWO].state = SET_OURS;
        observation->clusters[0].state = CLUSTER_RUNNING;
        ck_assert_msg(run(lies[_i].play) == 0, "%s", error.text);
        expect_bin();
        for (size_t i = ONE; i <= TWO; i++) {
                const ObservedSet *set = &observation->sets[i];

                ck_assert_uint_eq(set->state, SET_UNKNOWN);
                ck_assert_ptr_nonnull(set->problem);
                ck_assert_msg(strstr(set->problem, lies[_i].problem) == set->problem, "%s",
                              set->problem);
        }
        ck_assert_uint_eq(observation->clusters[0].state, CLUSTER_UNKNOWN);
        ck_assert_ptr_nonnull(strstr(observation->clusters[0].problem, lies[_i].problem));
}
END_TEST

static void forget_two(int fd, Message *message)
{
        wire_reply(message, WIRE_OBSERVE);
        put_set(message, "one", 1);
        put_cluster(message, "first");
        finish(fd, message);
}

START_TEST(knows_nothing_of_a_set_that_was_not_told)
{
        observation->sets[TWO].state = SET_OURS;
        ck_assert_int_eq(run(forget_two), 0);
        expect_bin();
        ck_assert_uint_eq(observation->sets[ONE].state, SET_OURS);
        ck_assert_uint_eq(observation->sets[TWO].state, SET_UNKNOWN);
        ck_assert_str_eq(observation->sets[TWO].problem, "the worker of daemon did not tell of it");
}
END_TEST

/* Answers by the digests that it is sent: `one` must be there with its digest, `two` must not. */
static void tell_unchanged(int fd, Message *message)
{
        uint8_t digest[CERT_FINGERPRINT];
        bool is_right;
        WireVerb verb;
        uint64_t tag;

        is_right = wire_get_request(message, &verb, &tag, NULL) == 0 && tag == policy->tag &&
                   wire_get_u8(message) == 1 && strcmp(wire_get_text(message, 63), "one") == 0;
        wire_get_raw(message, digest, sizeof digest);
        is_right &= digest[0] == 5 && wire_end(message, NULL) == 0;
        wire_reply(message, WIRE_OBSERVE);
        if (is_right)
                put_unchanged(message, "one");
        put_set(message, "two", 2);
        put_cluster(message, "first");
        finish(fd, message);
}

START_TEST(keeps_what_is_unchanged)
{
        observation->sets[ONE] = (ObservedSet){.state = SET_DAMAGED,
                                               .generation = 41,
                                               .digest = {5},
                                               .problem = strdup("a file is missing")};
        ck_assert_int_eq(run(tell_unchanged), 0);
        expect_bin();
        ck_assert_uint_eq(observation->sets[ONE].state, SET_DAMAGED);
        ck_assert_uint_eq(observation->sets[ONE].generation, 41);
        ck_assert_str_eq(observation->sets[ONE].problem, "a file is missing");
        ck_assert_uint_eq(observation->sets[TWO].generation, 2);
}
END_TEST

START_TEST(does_without_anybody)
{
        ck_assert_int_eq(survey_run(&peers, policy, observation, &error), 0);
        for (size_t i = ONE; i <= THREE; i++)
                ck_assert_uint_eq(observation->sets[i].state, SET_UNKNOWN);
        ck_assert_ptr_nonnull(strstr(observation->sets[THREE].problem, "no worker for bin"));
        ck_assert(!observation->authorities[0].known);
        ck_assert_ptr_nonnull(strstr(observation->authorities[0].problem, "no signer"));
        peers_done(&peers);
}
END_TEST

START_TEST(ends_when_cancelled)
{
        peers_cancel(&peers);
        ck_assert_int_eq(run(tell_daemon), -ECANCELED);
}
END_TEST

/* Two generations; then what it is told of their leaves. */
static uint8_t told_ends;
static int64_t told_end_usec;

static void tell_two_generations(int fd, Message *message)
{
        uint8_t der[] = {1}, key_id[CERT_KEY_ID];
        ObservedGeneration generations[2] = {
                {.number = 1, .phase = AUTHORITY_RETIRING, .subject = (char *)"CN=root G1"},
                {.number = 2, .phase = AUTHORITY_CURRENT, .subject = (char *)"CN=root G2"},
        };
        ObservedAuthority authority = {.generations = generations, .n_generations = 2};
        WireVerb verb;
        uint64_t tag;

        for (size_t i = 0; i < 2; i++) {
                generations[i].der = der;
                generations[i].der_size = sizeof der;
                generations[i].facts.key_id[0] = (uint8_t)(10 + i);
        }
        wire_reply(message, WIRE_AUTHORITY);
        authority_put(message, &authority);
        fake_send(fd, message);
        if (wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL) < 0 ||
            wire_get_request(message, &verb, &tag, NULL) < 0)
                return;
        wire_get_text(message, POLICY_NAME_MAX);
        wire_get_u8(message);
        told_ends = wire_get_u8(message);
        wire_get_raw(message, key_id, sizeof key_id);
        told_end_usec = key_id[0] == 10 ? wire_get_i64(message) : 0;
        wire_reply(message, WIRE_AUTHORITY);
        authority_put(message, &authority);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

/* So that a ledger that was restored from before is found out before anything is retired. */
START_TEST(tells_the_signer_when_the_leaves_of_each_generation_end)
{
        observation->sets[ONE] =
                (ObservedSet){.state = SET_OURS,
                              .has_leaf = true,
                              .digest = {5},
                              .leaf = {.issuer_key_id = {10}, .not_after_usec = 77 * USEC_PER_SEC}};
        fake_start(&daemon_worker, "worker-daemon.sock", tell_unchanged);
        fake_start(&bin_worker, "worker-bin.sock", tell_bin);
        fake_start(&signer, "signer.sock", tell_two_generations);
        ck_assert_int_eq(survey_run(&peers, policy, observation, &error), 0);
        peers_done(&peers);
        fake_stop(&daemon_worker);
        fake_stop(&bin_worker);
        fake_stop(&signer);
        ck_assert_uint_eq(observation->authorities[0].n_generations, 2);
        ck_assert_uint_eq(told_ends, 1);
        ck_assert_int_eq(told_end_usec, 77 * USEC_PER_SEC);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("survey");
        TCase *tcase = tcase_create("survey");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, puts_all_answers_together);
        tcase_add_loop_test(tcase, knows_nothing_of_an_owner_whose_worker_fails, 0,
                            ELEMENTSOF(lies));
        tcase_add_test(tcase, knows_nothing_of_a_set_that_was_not_told);
        tcase_add_test(tcase, keeps_what_is_unchanged);
        tcase_add_test(tcase, tells_the_signer_when_the_leaves_of_each_generation_end);
        tcase_add_test(tcase, does_without_anybody);
        tcase_add_test(tcase, ends_when_cancelled);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
