#include "daemon/worker/generation.h"
#include "daemon/worker/preflight.h"

#include "tests/issuing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

static TestCertificate t;
static int generation_fd = -1;

/* A staged and filled generation, open; its leaf lives from TEST_NOW for 30 days. */
static void prepare(PolicyUse use)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        Key *public_key = NULL;
        Cert *chain[1], *bundle[] = {issuing.ca};
        CertList chain_list = {chain, 1}, bundle_list = {bundle, 1};
        char path[300];
        uint32_t number;
        size_t size;

        test_certificate(&t, use, "above/ssl");
        judge_run("mkdir above");
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, NULL),
                         0);
        ck_assert_int_eq(csr_parse(csr, size, KEY_ECDSA_P256, &public_key, NULL), 0);
        chain[0] = issuing_leaf(public_key, &t.policy, TEST_NOW, TEST_NOW + 30 * TEST_DAY);
        ck_assert_int_eq(generation_fill(&t.policy, number, &chain_list, &bundle_list, NULL), 0);
        X509_free(chain[0]);
        key_free(public_key);
        snprintf(path, sizeof path, "%s/generation-1", t.directory);
        closep(&generation_fd);
        generation_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(generation_fd, 0);
}

static int check(int64_t now, const char *said)
{
        Error error = {0};
        CertFacts leaf;
        int r = preflight_check(&t.policy, generation_fd, now, &leaf, &error);

        if (said)
                ck_assert_msg(strstr(error.text, said) != NULL, "%s", error.text);
        else
                ck_assert_msg(r == 0, "%s", error.text);
        return r;
}

START_TEST(passes_a_good_set_of_either_use)
{
        CertFacts leaf;

        prepare(_i ? POLICY_CLIENT : POLICY_SERVER);
        ck_assert_int_eq(check(TEST_NOW, NULL), 0);
        ck_assert_int_eq(check(TEST_NOW + 30 * TEST_DAY - USEC_PER_SEC, NULL), 0);
        ck_assert_int_eq(preflight_check(&t.policy, generation_fd, TEST_NOW, &leaf, NULL), 0);
        ck_assert_int_eq(leaf.not_after_usec, TEST_NOW + 30 * TEST_DAY);
}
END_TEST

START_TEST(refuses_the_last_second_and_the_one_before_the_first)
{
        prepare(POLICY_SERVER);
        ck_assert_int_eq(check(TEST_NOW - 1, "is valid from 2027-01-15T08:00:00Z, and it is "
                                             "2027-01-15T07:59:59Z"),
                         -EAGAIN);
        ck_assert_int_eq(check(TEST_NOW + 30 * TEST_DAY, "expired at"), -EKEYEXPIRED);
}
END_TEST

START_TEST(refuses_what_a_reader_would_refuse)
{
        static const struct {
                const char *command, *said;
        } table[] = {
                {"rm server.crt", "server.crt"},
                {"rm server.key", "server.key"},
                {"rm root.crt", "root.crt"},
                {": >root.crt", "root.crt"},
                {": >server.crt", "server.crt"},
                {": >server.key", "server.key"},
                {"head -c 200 server.crt >x; cp x server.crt", "server.crt"},
                {"mv server.crt x; ln -s x server.crt", "server.crt"},
                {"cp server.crt root.crt", "does not verify with the trust bundle"},
                {"cp root.crt server.crt", "is not of the key"},
                {"openssl ecparam -name prime256v1 -genkey -noout -out server.key",
                 "is not of the key"},
                {"openssl req -x509 -newkey rsa:2048 -nodes -keyout x -subj /CN=root -out root.crt",
                 "does not verify with the trust bundle"},
                {"cat root.crt server.crt >x; cp x server.crt", "is not of the key"},
                {"chmod 640 server.key", "has mode 0640"},
                {"chmod 604 server.key", "has mode 0604"},
        };

        prepare(POLICY_SERVER);
        judge_run("cd above/ssl/generation-1; %s", table[_i].command);
        ck_assert_int_lt(check(TEST_NOW, table[_i].said), 0);
}
END_TEST

START_TEST(refuses_the_other_purpose)
{
        prepare(_i ? POLICY_CLIENT : POLICY_SERVER);
        t.policy.use = _i ? POLICY_SERVER : POLICY_CLIENT;
        ck_assert_int_eq(check(TEST_NOW, "purpose"), -EINVAL);
}
END_TEST

/* acl(5) as the kernel stores it: a named user's entry raises the mask, which shows as the group's
 * bits. */
START_TEST(sees_an_acl_by_its_mask)
{
        static const struct {
                uint16_t tag, bits;
                uint32_t id;
        } entries[] = {
                {0x01, 6, UINT32_MAX}, {0x02, 4, 12345},      {0x04, 0, UINT32_MAX},
                {0x10, 4, UINT32_MAX}, {0x20, 0, UINT32_MAX},
        };
        struct {
                uint32_t version;
                uint8_t entries[sizeof entries];
        } acl = {.version = 2};
        char path[400];

        prepare(POLICY_SERVER);
        memcpy(acl.entries, entries, sizeof entries);
        snprintf(path, sizeof path, "%s/generation-1/server.key", t.directory);
        if (setxattr(path, "system.posix_acl_access", &acl, sizeof acl, 0) < 0) {
                ck_assert_int_eq(errno, ENOTSUP);
                return;
        }
        ck_assert_int_eq(check(TEST_NOW, "has mode 0640"), -EPERM);
}
END_TEST

START_TEST(judges_a_key_s_mode_as_postgresql_does)
{
        static const struct {
                uid_t uid;
                mode_t mode;
                bool passes, passes_for_root;
        } table[] = {
                {0, 0640, true, false},  {0, 0600, true, true},     {0, 0644, false, false},
                {0, 0660, false, false}, {0, 0650, false, false},   {123, 0600, true, true},
                {123, 0400, true, true}, {123, 0640, false, false}, {123, 0601, false, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct stat stat = {.st_uid = table[i].uid, .st_mode = S_IFREG | table[i].mode};
                bool passes = geteuid() == 0 ? table[i].passes_for_root : table[i].passes;

                ck_assert_int_eq(preflight_key_mode(&stat, 0600, "k", NULL), passes ? 0 : -EPERM);
        }
}
END_TEST

START_TEST(lets_a_group_read_a_key_where_the_policy_does)
{
        static const struct {
                mode_t mode;
                bool passes;
        } table[] = {{0640, true},  {0440, true},  {0600, true},
                     {0660, false}, {0650, false}, {0644, false}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct stat stat = {.st_uid = 123, .st_mode = S_IFREG | table[i].mode};

                ck_assert_int_eq(preflight_key_mode(&stat, 0640, "k", NULL),
                                 table[i].passes ? 0 : -EPERM);
        }
}
END_TEST

START_TEST(wants_a_server_s_key_to_be_its_own)
{
        if (geteuid() != 0)
                return;
        prepare(POLICY_SERVER);
        judge_run("chown 12345 above/ssl/generation-1/server.key");
        ck_assert_int_eq(check(TEST_NOW, "is of user 12345"), -EPERM);
}
END_TEST

START_TEST(wants_to_open_and_search_as_the_reader)
{
        if (geteuid() == 0)
                return;
        prepare(POLICY_SERVER);
        judge_run("chmod 600 above");
        ck_assert_int_eq(check(TEST_NOW, "/above cannot be searched"), -EACCES);
        judge_run("chmod 700 above; chmod 0 above/ssl/generation-1/root.crt");
        ck_assert_int_eq(check(TEST_NOW, "root.crt"), -EACCES);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("preflight");
        TCase *c = tcase_create("preflight");

        tcase_add_checked_fixture(c, judge_setup, judge_teardown);
        tcase_add_checked_fixture(c, issuing_setup, issuing_teardown);
        tcase_add_loop_test(c, passes_a_good_set_of_either_use, 0, 2);
        tcase_add_test(c, refuses_the_last_second_and_the_one_before_the_first);
        tcase_add_loop_test(c, refuses_what_a_reader_would_refuse, 0, 15);
        tcase_add_loop_test(c, refuses_the_other_purpose, 0, 2);
        tcase_add_test(c, sees_an_acl_by_its_mask);
        tcase_add_test(c, judges_a_key_s_mode_as_postgresql_does);
        tcase_add_test(c, lets_a_group_read_a_key_where_the_policy_does);
        tcase_add_test(c, wants_a_server_s_key_to_be_its_own);
        tcase_add_test(c, wants_to_open_and_search_as_the_reader);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
