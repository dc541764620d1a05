#include "tests/publishing.h"

START_TEST(publishes_a_first_set_that_openssl_verifies)
{
        TestCertificate t;

        umask(077);
        test_certificate(&t, POLICY_SERVER, "ssl");
        ck_assert_int_eq(look(&t.policy), SET_ABSENT);
        ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), 1);
        ck_assert_msg(look(&t.policy) == SET_OURS, "%s", seen.problem);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_uint_eq(seen.generation, 1);
        ck_assert_uint_eq(seen.refused, 0);
        ck_assert_int_eq(seen.key_made_usec, TEST_NOW);
        ck_assert(seen.has_leaf);
        ck_assert_int_eq(seen.leaf.not_after_usec, TEST_NOW + 30 * TEST_DAY);
        ck_assert_msg(judge_run("openssl verify -x509_strict -attime 1800000000 -CAfile "
                                "ssl/root.crt ssl/server.crt") == 0,
                      "%s", judge_output);
        ck_assert_int_eq(judge_run("test \"$(openssl pkey -in ssl/server.key -pubout)\" = "
                                   "\"$(openssl x509 -in ssl/server.crt -noout -pubkey)\""),
                         0);
        ck_assert_int_eq(judge_run("test \"$(readlink ssl/server.key)\" = current/server.key && "
                                   "test \"$(readlink ssl/current)\" = generation-1"),
                         0);
        ck_assert_int_eq(status("ssl").st_mode & 07777, 0755);
        ck_assert_int_eq(status("ssl/generation-1").st_mode & 07777, 0755);
        ck_assert_int_eq(status("ssl/generation-1/server.key").st_mode & 07777, 0600);
        ck_assert_int_eq(status("ssl/generation-1/root.crt").st_mode & 07777, 0644);
        umask(022);
}
END_TEST

START_TEST(leaves_a_directory_that_was_there_as_it_is)
{
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        judge_run("mkdir -m 700 ssl");
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(status("ssl").st_mode & 07777, 0700);
}
END_TEST

START_TEST(publishes_many_and_lets_one_fail_alone)
{
        enum { MANY = 20, BAD = 7 };
        static TestCertificate t[MANY];
        PublishItem items[MANY];
        char name[32];

        for (unsigned i = 0; i < MANY; i++) {
                snprintf(name, sizeof name, "set-%u", i);
                test_certificate(&t[i], POLICY_SERVER, name);
                stage(&t[i].policy, false, TEST_NOW);
                items[i] = (PublishItem){.certificate = &t[i].policy, .now_usec = TEST_NOW};
        }
        items[BAD].now_usec = TEST_NOW + 400 * TEST_DAY;
        ck_assert_int_eq(generation_publish(items, MANY, NULL), 0);
        for (unsigned i = 0; i < MANY; i++) {
                ck_assert_int_eq(items[i].error.code, i == BAD ? EKEYEXPIRED : 0);
                ck_assert_int_eq(look(&t[i].policy), i == BAD ? SET_ABSENT : SET_OURS);
                if (i != BAD)
                        ck_assert_mem_eq(seen.leaf.sha256, items[i].leaf.sha256, CERT_FINGERPRINT);
        }
}
END_TEST

START_TEST(mends_names_without_anything_staged)
{
        TestCertificate t;
        PublishItem item = {.certificate = &t.policy, .now_usec = TEST_NOW};

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("rm ssl/server.key ssl/root.crt");
        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_int_eq(item.error.code, 0);
        ck_assert_uint_eq(item.generation, 1);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_mem_eq(seen.leaf.sha256, item.leaf.sha256, CERT_FINGERPRINT);
}
END_TEST

START_TEST(publishes_beside_a_foreign_service_file)
{
        static char file[] = "pg_service.conf", name[] = "app";
        PolicyService service = {file, name, NULL, 0};
        TestCertificate t;

        test_certificate(&t, POLICY_CLIENT, "ssl");
        t.policy.service = &service;
        judge_run("mkdir ssl; echo '[mine]' >ssl/pg_service.conf");
        ck_assert_int_eq(look(&t.policy), SET_ABSENT);
        ck_assert_uint_eq(seen.defects, SET_SERVICE_FOREIGN | SET_SERVICE_OTHER);
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, SET_SERVICE_FOREIGN | SET_SERVICE_OTHER);
        ck_assert_int_eq(judge_run("test \"$(cat ssl/pg_service.conf)\" = '[mine]'"), 0);
}
END_TEST

/* This program again, under strace, to publish a set in the directory that the variable names: a
 * test case of its own, which does nothing where the variable is not set. */
#define VICTIM "PGCERTD_TEST_VICTIM"
#define VICTIM_TIMES "PGCERTD_TEST_VICTIM_TIMES"

START_TEST(is_the_victim_of_other_tests)
{
        const char *directory = getenv(VICTIM), *times = getenv(VICTIM_TIMES);
        TestCertificate t;

        if (!directory)
                return;
        test_certificate(&t, POLICY_SERVER, "");
        snprintf(t.directory, sizeof t.directory, "%s", directory);
        for (long i = times ? strtol(times, NULL, 10) : 1; i > 0; i--)
                publish(&t.policy, false, TEST_NOW);
}
END_TEST

static int run_victim(const char *options)
{
        static char program[4096];
        ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

        ck_assert_int_gt(n, 0);
        program[n] = '\0';
        return judge_run("env -u CK_TAP_LOG_FILE_NAME ASAN_OPTIONS=detect_leaks=0 CK_FORK=no "
                         "CK_RUN_CASE=victim " VICTIM "=$PWD/ssl strace -o trace %s %s",
                         options, program);
}

static bool has_strace(void)
{
        return judge_run("strace -o /dev/null true") == 0;
}

/* A set is published for the Nth time under a fault at its Nth change, until none is met. */
static bool run_with_fault(const char *calls, const char *fault, unsigned n)
{
        char options[400];
        int status;

        snprintf(options, sizeof options, "-e trace='%s' -e inject='%s':%s:when=%u", calls, calls,
                 fault, n);
        status = run_victim(options);
        if (judge_run("grep -q -e INJECTED -e 'killed by' trace") == 0)
                return true;
        ck_assert_int_eq(status, 0);
        return false;
}

/* What a fault left: nothing, or a set whose files belong together. */
static void check_what_is_left(const PolicyCertificate *certificate, bool is_renewal, unsigned n)
{
        uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        size_t n_anchors;

        free(seen.problem);
        ck_assert_int_eq(observe(certificate, NULL, &seen, &anchors, &n_anchors, NULL), 0);
        free(anchors);
        ck_assert_msg(seen.state == SET_OURS || (seen.state == SET_ABSENT && !is_renewal),
                      "point %u: state %d: %s", n, seen.state, seen.problem);
}

/* Each call that changes something on the way of a publication; strace counts each on its own. */
static const char *const changes[] = {"mkdir",     "mkdirat", "fchmod",   "fsync",
                                      "symlinkat", "linkat",  "/^rename", "unlinkat"};

static unsigned fail_at_each(const PolicyCertificate *certificate, const char *calls,
                             const char *fault, bool is_renewal)
{
        enum { POINTS_MAX = 20 };
        unsigned n;

        for (n = 1; n < POINTS_MAX; n++) {
                judge_run("rm -rf ssl");
                if (is_renewal)
                        publish(certificate, false, TEST_NOW);
                if (!run_with_fault(calls, fault, n))
                        break;
                check_what_is_left(certificate, is_renewal, n);
                publish(certificate, false, TEST_NOW);
                ck_assert_int_eq(look(certificate), SET_OURS);
                ck_assert_uint_eq(seen.defects, 0);
                ck_assert_int_eq(judge_run("ls -A ssl | grep '^\\.'"), 256);
        }
        ck_assert_uint_lt(n, POINTS_MAX);
        return n - 1;
}

START_TEST(fails_anywhere_and_goes_on)
{
        static const struct {
                const char *fault;
                bool is_renewal;
                unsigned points_min;
        } table[] = {
                {"signal=KILL", false, 20},
                {"signal=KILL", true, 10},
                {"error=ENOSPC", true, 10},
        };
        unsigned points = 0;
        TestCertificate t;

        if (!has_strace())
                return;
        test_certificate(&t, POLICY_SERVER, "ssl");
        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                points +=
                        fail_at_each(&t.policy, changes[i], table[_i].fault, table[_i].is_renewal);
        ck_assert_uint_ge(points, table[_i].points_min);
}
END_TEST

/* The certificate, the generation's directory, and the directory that `current` lies in. */
START_TEST(renews_with_three_syncs)
{
        unsigned n[2];

        if (!has_strace())
                return;
        for (unsigned i = 0; i < 2; i++) {
                setenv(VICTIM_TIMES, i == 0 ? "2" : "3", 1);
                judge_run("rm -rf ssl");
                ck_assert_int_eq(run_victim("-e trace=fsync,fdatasync,syncfs,sync"), 0);
                judge_run("grep -c sync trace");
                n[i] = (unsigned)strtoul(judge_output, NULL, 10);
        }
        ck_assert_uint_eq(n[1] - n[0], 3);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("publication");
        TCase *c = tcase_create("publication");
        TCase *victim = tcase_create("victim");

        tcase_add_checked_fixture(c, judge_setup, judge_teardown);
        tcase_add_checked_fixture(c, issuing_setup, issuing_teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, publishes_a_first_set_that_openssl_verifies);
        tcase_add_test(c, leaves_a_directory_that_was_there_as_it_is);
        tcase_add_test(c, publishes_many_and_lets_one_fail_alone);
        tcase_add_test(c, mends_names_without_anything_staged);
        tcase_add_test(c, publishes_beside_a_foreign_service_file);
        tcase_add_loop_test(c, fails_anywhere_and_goes_on, 0, 3);
        tcase_add_test(c, renews_with_three_syncs);
        tcase_add_checked_fixture(victim, issuing_setup, issuing_teardown);
        tcase_add_test(victim, is_the_victim_of_other_tests);
        suite_add_tcase(s, victim);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
