/*
 * The take-over of a set that somebody else made: byte for byte, whatever it is made of; and which
 * small files count as saying the same.
 */
#include "daemon/worker/adoption.h"
#include "daemon/worker/likeness.h"
#include "tests/publishing.h"

/* A published set as plain files, with a spare copy beside it. */
static void make_plain(TestCertificate *t)
{
        test_certificate(t, POLICY_SERVER, "ssl");
        publish(&t->policy, false, TEST_NOW);
        judge_run("cp -L --preserve=mode ssl/server.* ssl/root.crt . && rm -r ssl && mkdir ssl && "
                  "mkdir plain && mv server.* root.crt plain && cp -p plain/* ssl");
}

static int adopt(const TestCertificate *t, uint32_t *ret_number, Error *ret)
{
        look(&t->policy);
        return adoption_run(&t->policy, seen.leaf.sha256, TEST_NOW, ret_number, ret);
}

static const struct {
        const char *command;
        int code; /* 0: taken over */
        const char *said;
} sets[] = {
        {":", 0, ""},
        {"rm ssl/root.crt", 0, ""},
        {"rm ssl/server.crt ssl/root.crt", 0, ""},
        {"rm ssl/server.*", 0, ""},
        {"mv ssl/server.key other; ln -s ../other ssl/server.key", 0, ""},
        {"mv ssl/server.crt other; ln -s \"$PWD/other\" ssl/server.crt", 0, ""},
        {"chmod 0400 ssl/server.key", 0, ""},
        {"chmod 0644 ssl/server.key", 0, ""},
        {"mkdir ssl/generation-0", 0, ""},
        {"mkdir ssl/generation-7; cp ssl/server.crt ssl/generation-7", 0, ""},
        {"ln -s elsewhere ssl/current", -EEXIST, "/current is not pgcertd's"},
        {"mkdir ssl/current", -EEXIST, "/current is not pgcertd's"},
        {"rm ssl/root.crt; mkdir ssl/root.crt", -EINVAL, "root.crt"},
        {"rm ssl/server.key; mkfifo ssl/server.key", -EINVAL, "server.key"},
        {"echo junk >ssl/server.crt", -EINVAL, "cannot be taken over"},
};

START_TEST(copies_what_is_there_and_links_to_it)
{
        static const char *const names[] = {"server.crt", "server.key", "root.crt"};
        TestCertificate t;
        Error error = {0};
        uint32_t number = 99;
        char target[64];
        int r;

        make_plain(&t);
        judge_run("%s; mkdir before; for n in server.crt server.key root.crt; do "
                  "test -f ssl/$n && cp -L ssl/$n before; done; ls -lR ssl >listing",
                  sets[_i].command);
        r = adopt(&t, &number, &error);
        ck_assert_msg(r == sets[_i].code, "%s: %d: %s", sets[_i].command, r, error.text);
        if (r < 0) {
                ck_assert_msg(strstr(error.text, sets[_i].said), "%s", error.text);
                ck_assert_uint_ne(seen.defects & SET_UNJUDGED, 0);
                ck_assert_msg(judge_run("ls -lR ssl | diff - listing") == 0, "%s", judge_output);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                snprintf(target, sizeof target, "before/%s", names[i]);
                if (!is_there(target)) {
                        ck_assert_int_ne(judge_run("test -L ssl/%s", names[i]), 0);
                        continue;
                }
                ck_assert_int_eq(judge_run("readlink ssl/%s", names[i]), 0);
                snprintf(target, sizeof target, "current/%s\n", names[i]);
                ck_assert_str_eq(judge_output, target);
                ck_assert_int_eq(judge_run("cmp ssl/%s before/%s", names[i], names[i]), 0);
        }
        if (judge_run("test -e ssl/server.key") == 0)
                ck_assert_uint_eq(status("ssl/current/server.key").st_mode & 0077, 0);
        ck_assert_int_eq(judge_run("readlink ssl/current"), 0);
        snprintf(target, sizeof target, "generation-%u\n", number);
        ck_assert_str_eq(judge_output, target);
        ck_assert_int_ne(judge_run("ls -A ssl/current ssl | grep adopting"), 0);
        ck_assert_uint_ne(look(&t.policy), SET_FOREIGN);
        /* Once is enough, and what follows is an ordinary generation above it. */
        ck_assert_uint_gt(publish(&t.policy, false, TEST_NOW), number);
        look(&t.policy);
        ck_assert_uint_eq(seen.defects & SET_ADOPTED, 0);
}
END_TEST

START_TEST(tells_leaf_and_anchors_of_a_foreign_set)
{
        uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        uint8_t digest[CERT_FINGERPRINT];
        CertFacts leaf;
        TestCertificate t;
        size_t n;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        look(&t.policy);
        leaf = seen.leaf;
        judge_run("cp ssl/server.crt x && mv x ssl/server.crt");
        ck_assert_int_eq(look(&t.policy), SET_FOREIGN);
        ck_assert(seen.has_leaf);
        ck_assert_mem_eq(seen.leaf.sha256, leaf.sha256, CERT_FINGERPRINT);
        ck_assert_uint_eq(seen.defects, 0);
        memcpy(digest, seen.digest, sizeof digest);
        free(seen.problem);
        ck_assert_int_eq(observe(&t.policy, NULL, &seen, &anchors, &n, NULL), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_mem_eq(anchors[0], issuing.key_id, CERT_KEY_ID);
        free(anchors);
        /* An edit of the foreign file is seen. */
        judge_run("echo '# x' >>ssl/server.crt");
        look(&t.policy);
        ck_assert_mem_ne(seen.digest, digest, sizeof digest);
}
END_TEST

START_TEST(does_nothing_where_the_leaf_is_another_one)
{
        const uint8_t other[CERT_FINGERPRINT] = {1};
        TestCertificate t;
        Error error = {0};
        uint32_t number;

        make_plain(&t);
        judge_run("ls -lR ssl >listing");
        ck_assert_int_eq(adoption_run(&t.policy, other, TEST_NOW, &number, &error), -ESTALE);
        ck_assert_int_eq(judge_run("ls -lR ssl | diff - listing"), 0);
}
END_TEST

START_TEST(takes_over_one_name_among_ours)
{
        TestCertificate t;
        Error error = {0};
        uint32_t number;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("(cat ssl/server.crt; echo '# mine') >x && mv x ssl/server.crt");
        ck_assert_msg(adopt(&t, &number, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(number, 2);
        ck_assert_int_eq(judge_run("grep mine ssl/server.crt && readlink ssl/server.crt && "
                                   "cmp ssl/generation-1/server.key ssl/generation-2/server.key"),
                         0);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, SET_ADOPTED);
        /* A crash after the switch: the copy is used as it is. */
        judge_run("cp ssl/server.crt x && mv x ssl/server.crt; ln -s x ssl/current/adopting");
        ck_assert_msg(adopt(&t, &number, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(number, 2);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_int_eq(judge_run("ls ssl/current"), 0);
        ck_assert_ptr_null(strstr(judge_output, "adopting"));
}
END_TEST

static const struct {
        const char *file;
        unsigned line; /* of the first that is another; 0 for none */
} files[] = {
        {"", 0},
        {"# nothing\n\n  # at all", 0},
        {"ssl = on\n", 0},
        {"ssl=TRUE\nSSL_Cert_File='/a b/it''s.crt'# yes\n", 0},
        {"ssl_cert_file = '/a b/it\\'s.crt'\r\n", 0},
        {"ssl = off", 1},
        {"ssl = on\n\nport = 5433\n", 3},
        {"ssl = on\nssl_cert_file = '/a'\n", 2},
        {"ssl_cert_file = '/a b/it''s.crt\n", 1},
        {"ssl_cert_file = '/a b/it''s.crt' x\n", 1},
        {"include 'more.conf'\n", 1},
        {"ssl on\n", 1},
        {"[section]\n", 1},
};

START_TEST(knows_the_same_values_in_any_spelling)
{
        static char text[] = "# ours\nssl = on\nssl_cert_file = '/a b/it''s.crt'\n";
        Text wanted = {.data = text, .size = strlen(text)};
        FileBytes file = {.data = (uint8_t *)files[_i].file, .size = strlen(files[_i].file)};
        unsigned line = 0;
        bool is_like = likeness_find(&file, &wanted, &line);

        ck_assert_msg(is_like == (files[_i].line == 0), "%s", files[_i].file);
        if (!is_like)
                ck_assert_uint_eq(line, files[_i].line);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("adoption");
        TCase *c = tcase_create("adoption");

        tcase_add_checked_fixture(c, judge_setup, judge_teardown);
        tcase_add_checked_fixture(c, issuing_setup, issuing_teardown);
        tcase_add_loop_test(c, copies_what_is_there_and_links_to_it, 0, ELEMENTSOF(sets));
        tcase_add_test(c, tells_leaf_and_anchors_of_a_foreign_set);
        tcase_add_test(c, does_nothing_where_the_leaf_is_another_one);
        tcase_add_test(c, takes_over_one_name_among_ours);
        tcase_add_loop_test(c, knows_the_same_values_in_any_spelling, 0, ELEMENTSOF(files));
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
