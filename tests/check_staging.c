#include "tests/publishing.h"

#include <sys/file.h>

START_TEST(says_to_create_the_directory_above)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        TestCertificate t;
        Error error = {0};
        uint32_t number;
        size_t size;

        test_certificate(&t, POLICY_SERVER, "absent/ssl");
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, &error),
                         -ENOENT);
        ck_assert_msg(strstr(error.text, "HINT: Create the directory above") != NULL, "%s",
                      error.text);
        ck_assert_int_eq(look(&t.policy), SET_ABSENT);
}
END_TEST

START_TEST(keeps_key_bundle_and_manifest_as_links_across_renewals)
{
        static const char *const kept[] = {"server.key", "root.crt", "manifest"};
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        publish(&t.policy, false, TEST_NOW + 20 * TEST_DAY);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.generation, 2);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_int_eq(seen.key_made_usec, TEST_NOW);
        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                ck_assert_int_eq(judge_run("test ssl/generation-1/%s -ef ssl/generation-2/%s",
                                           kept[i], kept[i]),
                                 0);
        ck_assert_int_ne(judge_run("cmp ssl/generation-1/server.crt ssl/generation-2/server.crt"),
                         0);
}
END_TEST

static void wrong_mode(TestCertificate *t)
{
        judge_run("chmod 640 ssl/generation-1/server.key");
}

static void other_type(TestCertificate *t)
{
        t->policy.key = KEY_ECDSA_P384;
}

static void always(TestCertificate *t)
{
        t->policy.rekey_always = true;
}

static void nothing(TestCertificate *t)
{
}

static void junk_key(TestCertificate *t)
{
        judge_run("echo junk >ssl/generation-1/server.key");
}

static void other_key(TestCertificate *t)
{
        judge_run("openssl ecparam -name prime256v1 -genkey -noout >ssl/generation-1/server.key");
}

static void no_leaf(TestCertificate *t)
{
        judge_run("rm ssl/generation-1/server.crt");
}

static void no_key(TestCertificate *t)
{
        judge_run("rm ssl/generation-1/server.key");
}

START_TEST(makes_a_new_key_where_it_must)
{
        static const struct {
                void (*change)(TestCertificate *t);
                bool rekey, same_bytes;
        } table[] = {
                {wrong_mode, false, true}, {other_type, false, false}, {always, false, false},
                {nothing, true, false},    {junk_key, false, false},   {no_key, false, false},
                {other_key, false, false}, {no_leaf, false, true},
        };
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("cp ssl/server.key before");
        table[_i].change(&t);
        publish(&t.policy, table[_i].rekey, TEST_NOW + TEST_DAY);
        ck_assert_int_eq(judge_run("cmp before ssl/server.key") == 0, table[_i].same_bytes);
        ck_assert_int_eq(judge_run("test ssl/generation-1/server.key -ef ssl/server.key") == 0,
                         table[_i].change == no_leaf);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_int_eq(seen.key_made_usec, table[_i].same_bytes ? TEST_NOW : TEST_NOW + TEST_DAY);
}
END_TEST

START_TEST(removes_what_an_earlier_try_left_and_nothing_else)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        TestCertificate t;
        uint32_t number;
        size_t size;

        test_certificate(&t, POLICY_SERVER, "ssl");
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, NULL),
                         0);
        ck_assert_int_eq(look(&t.policy), SET_ABSENT);
        publish_fails(&t.policy, TEST_NOW, "nothing is staged");
        ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), 2);
        ck_assert(!is_there("ssl/generation-1"));
        stage(&t.policy, false, TEST_NOW);
        judge_run("echo mine >ssl/generation-3/mine; mkdir ssl/generation-4 ssl/generation-5 "
                  "ssl/generation-6; : >ssl/generation-5/manifest; echo x >ssl/generation-6/x; ln "
                  "-s generation-9 ssl/.current.0123456789abcdef; "
                  "ln -s away ssl/.other");
        ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), 7);
        ck_assert(is_there("ssl/generation-3/mine"));
        ck_assert(!is_there("ssl/generation-3/server.key"));
        ck_assert(!is_there("ssl/generation-4"));
        ck_assert(!is_there("ssl/generation-5"));
        ck_assert(is_there("ssl/generation-6/x"));
        ck_assert_int_eq(judge_run("test -L ssl/.current.0123456789abcdef"), 256);
        ck_assert_int_eq(judge_run("test -L ssl/.other"), 0);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
}
END_TEST

START_TEST(refuses_a_leaf_of_another_key)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        _cleanup_(key_freep) Key *other = NULL;
        TestCertificate t;
        Error error = {0};
        uint32_t number;
        size_t size;
        Cert *bundle[] = {issuing.ca}, *chain[1];
        CertList chain_list = {chain, 1}, bundle_list = {bundle, 1};

        test_certificate(&t, POLICY_SERVER, "ssl");
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, NULL),
                         0);
        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &other, NULL), 0);
        chain[0] = issuing_leaf(other, &t.policy, TEST_NOW, TEST_NOW + TEST_DAY);
        ck_assert_int_eq(generation_fill(&t.policy, number, &chain_list, &bundle_list, &error),
                         -EINVAL);
        ck_assert_msg(strstr(error.text, "is not of the key") != NULL, "%s", error.text);
        ck_assert_int_eq(generation_fill(&t.policy, number + 1, &chain_list, &bundle_list, NULL),
                         -ENOENT);
        X509_free(chain[0]);
        /* A second fill replaces the first. */
        fill(&t.policy, number, csr, size, TEST_NOW, TEST_NOW + TEST_DAY);
        fill(&t.policy, number, csr, size, TEST_NOW, TEST_NOW + 2 * TEST_DAY);
        publish_fails(&t.policy, TEST_NOW, "");
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_int_eq(seen.leaf.not_after_usec, TEST_NOW + 2 * TEST_DAY);
}
END_TEST

/* A policy that wants another key does not touch a pair that stays, nor does a foreign pair become
 * ours by it. */
START_TEST(keeps_certificate_and_key_byte_for_byte_where_only_the_bundle_changes)
{
        static void (*const changes[])(TestCertificate * t) = {nothing, always, other_type};
        Cert *bundle[] = {issuing.ca};
        CertList chain_list = {0}, bundle_list = {bundle, 1};
        PublishItem item = {.now_usec = TEST_NOW};
        bool is_adopted = _i >= 3;
        TestCertificate t;

        test_certificate(&t, POLICY_CLIENT, "ssl");
        item.certificate = &t.policy;
        publish(&t.policy, false, TEST_NOW);
        if (is_adopted)
                judge_run("echo adopted yes >>ssl/generation-1/manifest");
        changes[_i % 3](&t);
        for (unsigned i = 2; i <= 3; i++) {
                _cleanup_(freep) uint8_t *csr = NULL;
                uint32_t number;
                size_t size;

                ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW + TEST_DAY, &number,
                                                  &csr, &size, NULL),
                                 0);
                ck_assert_int_eq(
                        generation_fill(&t.policy, number, &chain_list, &bundle_list, NULL), 0);
                ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
                ck_assert_msg(item.error.code == 0, "%s", item.error.text);
                ck_assert_uint_eq(item.generation, i);
        }
        ck_assert_int_eq(judge_run("cd ssl && for f in crt key; do "
                                   "test generation-2/server.$f -ef server.$f || exit; "
                                   "done"),
                         0);
        look(&t.policy);
        ck_assert_int_eq(seen.state, SET_OURS);
        ck_assert_int_eq(seen.key_made_usec, TEST_NOW);
        ck_assert_int_eq((seen.defects & SET_ADOPTED) != 0, is_adopted);
}
END_TEST

START_TEST(cannot_keep_what_is_not_published)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        Cert *bundle[] = {issuing.ca};
        CertList chain_list = {0}, bundle_list = {bundle, 1};
        TestCertificate t;
        Error error = {0};
        uint32_t number;
        size_t size;

        test_certificate(&t, POLICY_CLIENT, "ssl");
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, NULL),
                         0);
        ck_assert_int_eq(generation_fill(&t.policy, number, &chain_list, &bundle_list, &error),
                         -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "nothing is published"));
}
END_TEST

static bool old_names_verify(void)
{
        return judge_run("openssl verify -x509_strict -attime 1800000000 -CAfile ssl/root.crt "
                         "ssl/server.crt && openssl pkey -in ssl/server.key -noout") == 0;
}

START_TEST(keeps_key_and_old_names_when_files_are_renamed)
{
        static char certificate[] = "a.pem", key[] = "b.pem", trust[] = "server.crt";
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        t.policy.files[POLICY_CERTIFICATE] = certificate;
        t.policy.files[POLICY_KEY] = key;
        ck_assert_int_eq(look(&t.policy), SET_DAMAGED);
        for (unsigned i = 2; i <= 4; i++) {
                ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), i);
                ck_assert_int_eq(look(&t.policy), SET_OURS);
                ck_assert_uint_eq(seen.defects, 0);
                ck_assert(old_names_verify());
        }
        ck_assert_int_eq(judge_run("test ssl/generation-1/server.key -ef ssl/b.pem"), 0);
        ck_assert_int_eq(judge_run("test ssl/generation-3/manifest -ef ssl/generation-4/manifest"),
                         0);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 1);
        ck_assert(!is_there("ssl/generation-1"));
        ck_assert(!is_there("ssl/generation-2"));
        /* A name that another file takes over is no alias. */
        t.policy.files[POLICY_TRUST] = trust;
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_int_eq(judge_run("test ssl/root.crt -ef ssl/server.crt"), 0);
}
END_TEST

START_TEST(waits_for_the_lock_and_says_who_has_it)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        _cleanup_(closep) int fd = -1;
        char expected[64];
        TestCertificate t;
        Error error = {0};
        uint32_t number;
        size_t size;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        fd = open(t.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(flock(fd, LOCK_EX), 0);
        ck_assert_int_eq(generation_stage(&t.policy, false, TEST_NOW, &number, &csr, &size, &error),
                         -EWOULDBLOCK);
        snprintf(expected, sizeof expected, "process %d holds the lock on", (int)getpid());
        ck_assert_msg(strstr(error.text, expected) != NULL ||
                              strstr(error.text, "another program holds the lock") != NULL,
                      "%s", error.text);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("staging");
        TCase *c = tcase_create("staging");

        tcase_add_checked_fixture(c, judge_setup, judge_teardown);
        tcase_add_checked_fixture(c, issuing_setup, issuing_teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, says_to_create_the_directory_above);
        tcase_add_test(c, keeps_key_bundle_and_manifest_as_links_across_renewals);
        tcase_add_loop_test(c, makes_a_new_key_where_it_must, 0, 8);
        tcase_add_loop_test(
                c, keeps_certificate_and_key_byte_for_byte_where_only_the_bundle_changes, 0, 6);
        tcase_add_test(c, cannot_keep_what_is_not_published);
        tcase_add_test(c, removes_what_an_earlier_try_left_and_nothing_else);
        tcase_add_test(c, refuses_a_leaf_of_another_key);
        tcase_add_test(c, keeps_key_and_old_names_when_files_are_renamed);
        tcase_add_test(c, waits_for_the_lock_and_says_who_has_it);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
