#include "tests/publishing.h"

START_TEST(knows_what_is_foreign_and_leaves_it)
{
        static const struct {
                const char *command, *named;
        } table[] = {
                {"echo x >ssl/server.crt", "/server.crt is not"},
                {"mkdir ssl/root.crt", "/root.crt is not"},
                {"mkfifo ssl/server.key", "/server.key is not"},
                {"ln -s other/server.key ssl/server.key", "/server.key is not"},
                {"ln -s current/server.crt ssl/server.key", "/server.key is not"},
                {"ln -s \"$PWD\"/ssl/current/server.key ssl/server.key", "/server.key is not"},
                {"ln -s ./current/server.key ssl/server.key", "/server.key is not"},
                {"ln -sfn elsewhere ssl/current", "/current is not"},
                {"ln -sfn generation-01 ssl/current", "/current is not"},
                {"ln -sfn ../ssl/generation-1 ssl/current", "/current is not"},
                {"rm ssl/current; mkdir ssl/current", "/current is not"},
                {"mkdir ssl/generation-7; ln -sfn generation-7 ssl/current", "generation-7 is not"},
                {"touch ssl/generation-7; ln -sfn generation-7 ssl/current", "generation-7 is not"},
                {"mv ssl/generation-1 other; ln -s ../other ssl/generation-1",
                 "generation-1 is not"},
                {"rm ssl/generation-1/manifest; echo '# made by me' >ssl/generation-1/manifest",
                 "generation-1 is not"},
        };
        TestCertificate t;
        PublishItem item = {.certificate = &t.policy, .now_usec = TEST_NOW};
        _cleanup_(freep) uint8_t *csr = NULL;
        Error error = {0};
        uint32_t number;
        size_t size;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("rm ssl/server.* ssl/root.crt; %s; ls -lR ssl >before", table[_i].command);
        ck_assert_int_eq(look(&t.policy), SET_FOREIGN);
        ck_assert_msg(strstr(seen.problem, table[_i].named) != NULL, "%s", seen.problem);
        ck_assert_msg(strstr(seen.problem, "run pgcertctl adopt main --yes.") != NULL, "%s",
                      seen.problem);
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, &error),
                         -EEXIST);
        ck_assert_str_eq(error.text, seen.problem);
        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_int_eq(item.error.code, EEXIST);
        ck_assert_int_eq(generation_back(&t.policy, seen.leaf.sha256, "x", TEST_NOW, &number, NULL),
                         -EEXIST);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), -EEXIST);
        ck_assert_msg(judge_run("ls -lR ssl | diff - before") == 0, "%s", judge_output);
}
END_TEST

START_TEST(tells_damage_and_defects_and_mends_them)
{
        static const struct {
                const char *command;
                SetState state;
                uint32_t defects;
                const char *problem;
        } table[] = {
                {"rm -r ssl/generation-1", SET_DAMAGED, 0, "generation-1, which is gone"},
                {"rm ssl/server.crt", SET_OURS, SET_LINKS, NULL},
                {"rm ssl/generation-1/server.crt", SET_DAMAGED, 0, "cannot read server.crt"},
                {"rm ssl/generation-1/root.crt", SET_DAMAGED, 0, "cannot read root.crt"},
                {"echo >ssl/generation-1/root.crt", SET_DAMAGED, 0, "root.crt"},
                {"echo junk >ssl/generation-1/server.crt", SET_DAMAGED, 0, "server.crt"},
                {"echo junk >ssl/generation-1/server.key", SET_DAMAGED, 0, "server.key"},
                {"openssl ecparam -name prime256v1 -genkey -noout >ssl/generation-1/server.key",
                 SET_DAMAGED, 0, "is not of the key"},
                {"chmod 640 ssl/generation-1/server.key", SET_OURS, SET_MODE, NULL},
                {"chmod 600 ssl/generation-1/root.crt", SET_OURS, SET_MODE, NULL},
                {"cd ssl/generation-1; mv server.key k; ln -s k server.key", SET_DAMAGED, 0,
                 "server.key"},
                {"rm ssl/generation-1/server.key; mkfifo ssl/generation-1/server.key", SET_DAMAGED,
                 0, "server.key"},
                {"truncate -s 2M ssl/generation-1/root.crt", SET_DAMAGED, 0, "root.crt"},
                {"rm ssl/current", SET_DAMAGED, 0, "current is gone"},
        };
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("%s", table[_i].command);
        ck_assert_int_eq(look(&t.policy), table[_i].state);
        ck_assert_uint_eq(seen.defects & table[_i].defects, table[_i].defects);
        if (table[_i].problem)
                ck_assert_msg(strstr(seen.problem, table[_i].problem) != NULL, "%s", seen.problem);
        else
                ck_assert_ptr_null(seen.problem);
        publish(&t.policy, false, TEST_NOW);
        ck_assert_msg(look(&t.policy) == SET_OURS, "%s", seen.problem);
        ck_assert_uint_eq(seen.defects, 0);
}
END_TEST

static void other_type(TestCertificate *t)
{
        t->policy.key = KEY_ECDSA_P384;
}

static void other_name(TestCertificate *t)
{
        static char name[] = "db2.example.com";

        t->name.text = name;
}

static void other_use(TestCertificate *t)
{
        t->policy.use = POLICY_CLIENT;
}

START_TEST(tells_what_the_policy_wants_otherwise)
{
        static const struct {
                void (*change)(TestCertificate *t);
                uint32_t defect;
        } table[] = {{other_name, SET_NAMES}, {other_type, SET_KEY_TYPE}, {other_use, SET_USAGE}};
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        table[_i].change(&t);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, table[_i].defect);
}
END_TEST

static int look_known(const PolicyCertificate *certificate, const uint8_t *known,
                      uint8_t ret[CERT_FINGERPRINT])
{
        uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        ObservedSet set;
        size_t n;
        int r = observe(certificate, known, &set, &anchors, &n, NULL);

        memcpy(ret, set.digest, CERT_FINGERPRINT);
        free(set.problem);
        free(anchors);
        return r;
}

START_TEST(parses_nothing_that_is_known_and_sees_every_change)
{
        static const char *const changes[] = {
                "chmod 640 ssl/generation-1/server.key",
                "chmod 600 ssl/generation-1/server.key",
                "rm ssl/root.crt",
                "ln -s current/root.crt ssl/root.crt",
                "echo >>ssl/generation-1/root.crt",
                "echo >>ssl/generation-1/server.crt",
                "echo >>ssl/generation-1/server.key",
                "echo adopted yes >>ssl/generation-1/manifest",
                "echo x >ssl/generation-1/refused",
                "cp -a ssl/generation-1 ssl/generation-2; ln -sfn generation-2 ssl/current",
                "rm ssl/current",
                "rm -r ssl",
        };
        uint8_t known[CERT_FINGERPRINT], now[CERT_FINGERPRINT];
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look_known(&t.policy, NULL, known), 0);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                ck_assert_int_eq(look_known(&t.policy, known, now), 1);
                ck_assert_mem_eq(known, now, sizeof now);
                judge_run("%s", changes[i]);
                ck_assert_msg(look_known(&t.policy, known, now) == 0, "%s", changes[i]);
                memcpy(known, now, sizeof now);
        }
        ck_assert_int_eq(look_known(&t.policy, known, now), 1);
        policy.tag++;
        ck_assert_int_eq(look_known(&t.policy, known, now), 0);
}
END_TEST

START_TEST(goes_back_and_marks_what_was_refused)
{
        TestCertificate t;
        uint32_t number = 0;
        static const uint8_t other[CERT_FINGERPRINT];
        uint8_t served[CERT_FINGERPRINT];

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        memcpy(served, seen.leaf.sha256, sizeof served);
        ck_assert_int_eq(generation_back(&t.policy, served, "why", TEST_NOW, &number, NULL),
                         -ENOENT);
        ck_assert(!is_there("ssl/generation-1/refused"));
        publish(&t.policy, true, TEST_NOW);
        ck_assert_int_eq(
                generation_back(&t.policy, served, "why", TEST_NOW + 60 * TEST_DAY, &number, NULL),
                -EKEYEXPIRED);
        ck_assert(!is_there("ssl/generation-2/refused"));
        ck_assert_int_eq(generation_back(&t.policy, other, "why", TEST_NOW, &number, NULL), -ENXIO);
        ck_assert(!is_there("ssl/generation-2/refused"));
        ck_assert_int_eq(generation_back(&t.policy, served, "why", TEST_NOW, &number, NULL), 0);
        ck_assert_uint_eq(number, 1);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.generation, 1);
        ck_assert_uint_eq(seen.refused, 2);
        ck_assert_int_eq(judge_run("test \"$(cat ssl/generation-2/refused)\" = why"), 0);
        publish_fails(&t.policy, TEST_NOW, "");
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.generation, 1);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 0);
        ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), 3);
        ck_assert(is_there("ssl/generation-2/refused"));
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.refused, 0);
        ck_assert_int_eq(generation_back(&t.policy, served, "again", TEST_NOW, &number, NULL), 0);
        ck_assert_uint_eq(number, 1);
}
END_TEST

START_TEST(prunes_all_but_current_and_the_one_before)
{
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 0);
        for (unsigned i = 1; i <= 4; i++)
                ck_assert_uint_eq(publish(&t.policy, i == 3, TEST_NOW), i);
        judge_run("mkdir ssl/generation-0; echo x >ssl/generation-0/x");
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 1);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 0);
        ck_assert_int_eq(judge_run("test \"$(echo ssl/generation-*)\" = 'ssl/generation-0 "
                                   "ssl/generation-3 ssl/generation-4'"),
                         0);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
}
END_TEST

START_TEST(writes_the_service_file_beside_the_set)
{
        static char file[] = "pg_service.conf", name[] = "app", host[] = "host", value[] = "db1";
        PolicyAttribute parameter = {host, value};
        PolicyService service = {file, name, &parameter, 1};
        TestCertificate t;

        test_certificate(&t, POLICY_CLIENT, "ssl");
        t.policy.service = &service;
        t.policy.rekey_always = _i == 1;
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_int_eq(judge_run("grep -q sslkey=$PWD/ssl/%sserver.key ssl/pg_service.conf",
                                   _i == 1 ? "generation-2/" : ""),
                         0);
        judge_run("rm ssl/pg_service.conf");
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, SET_SERVICE);
        judge_run("echo '[mine]' >ssl/pg_service.conf");
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, SET_SERVICE_FOREIGN | SET_SERVICE_OTHER);
        ck_assert_ptr_nonnull(strstr(seen.problem, "pg_service.conf"));
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("generation");
        TCase *c = tcase_create("generation");

        tcase_add_checked_fixture(c, judge_setup, judge_teardown);
        tcase_add_checked_fixture(c, issuing_setup, issuing_teardown);
        tcase_set_timeout(c, 60);
        tcase_add_loop_test(c, knows_what_is_foreign_and_leaves_it, 0, 15);
        tcase_add_loop_test(c, tells_damage_and_defects_and_mends_them, 0, 14);
        tcase_add_loop_test(c, tells_what_the_policy_wants_otherwise, 0, 3);
        tcase_add_test(c, parses_nothing_that_is_known_and_sees_every_change);
        tcase_add_test(c, goes_back_and_marks_what_was_refused);
        tcase_add_test(c, prunes_all_but_current_and_the_one_before);
        tcase_add_loop_test(c, writes_the_service_file_beside_the_set, 0, 2);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
