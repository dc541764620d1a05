#include "daemon/worker/generation.h"

#include "tests/issuing.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>

static Policy policy = {.tag = 42};

/* Signs what was staged, and fills it. */
static void fill(const PolicyCertificate *certificate, uint32_t number, const uint8_t *csr,
                 size_t size, int64_t from, int64_t to)
{
        Error error = {0};
        Key *public_key = NULL;
        Cert *chain[1], *bundle[] = {issuing.ca};
        CertList chain_list = {chain, 1}, bundle_list = {bundle, 1};

        ck_assert_int_eq(csr_parse(csr, size, certificate->key, &public_key, &error), 0);
        chain[0] = issuing_leaf(public_key, certificate, from, to);
        ck_assert_msg(generation_fill(certificate, number, &chain_list, &bundle_list, &error) == 0,
                      "%s", error.text);
        X509_free(chain[0]);
        key_free(public_key);
}

static uint32_t stage(const PolicyCertificate *certificate, bool rekey, int64_t now)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        Error error = {0};
        uint32_t number;
        size_t size;

        ck_assert_msg(generation_stage(certificate, rekey, now, &number, &csr, &size, &error) == 0,
                      "%s", error.text);
        fill(certificate, number, csr, size, now - TEST_DAY, now + 30 * TEST_DAY);
        return number;
}

static uint32_t publish(const PolicyCertificate *certificate, bool rekey, int64_t now)
{
        PublishItem item = {.certificate = certificate, .now_usec = now};
        uint32_t number = stage(certificate, rekey, now);

        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_msg(item.error.code == 0, "%s", item.error.text);
        ck_assert_uint_eq(item.generation, number);
        return number;
}

static int publish_fails(const PolicyCertificate *certificate, int64_t now, const char *said)
{
        PublishItem item = {.certificate = certificate, .now_usec = now};

        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_msg(strstr(item.error.text, said) != NULL, "%s", item.error.text);
        return -item.error.code;
}

/* Looks, with the answer in `seen` until the next look. */
static ObservedSet seen;

static SetState look(const PolicyCertificate *certificate)
{
        uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        Error error = {0};
        size_t n = 0;
        int r;

        free(seen.problem);
        r = generation_observe(&policy, certificate, NULL, &seen, &anchors, &n, &error);
        ck_assert_msg(r == 0, "%s", error.text);
        if (seen.state == SET_OURS) {
                ck_assert_uint_eq(n, 1);
                ck_assert_mem_eq(anchors[0], issuing.key_id, CERT_KEY_ID);
        }
        free(anchors);
        return seen.state;
}

static struct stat status(const char *name)
{
        char path[JUDGE_COMMAND_MAX];
        struct stat stat;

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        ck_assert_msg(lstat(path, &stat) == 0, "%s: %m", path);
        return stat;
}

static bool is_there(const char *name)
{
        char path[JUDGE_COMMAND_MAX];

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        return access(path, F_OK) == 0;
}

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
        };
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        judge_run("cp ssl/server.key before");
        table[_i].change(&t);
        publish(&t.policy, table[_i].rekey, TEST_NOW + TEST_DAY);
        ck_assert_int_eq(judge_run("cmp before ssl/server.key") == 0, table[_i].same_bytes);
        ck_assert_int_ne(judge_run("test ssl/generation-1/server.key -ef ssl/server.key"), 0);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_uint_eq(seen.defects, 0);
        ck_assert_int_eq(seen.key_made_usec, table[_i].same_bytes ? TEST_NOW : TEST_NOW + TEST_DAY);
}
END_TEST

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
        ck_assert_int_eq(generation_back(&t.policy, "x", TEST_NOW, &number, NULL), -EEXIST);
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
                {"rm ssl/current", SET_ABSENT, 0, NULL},
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
        int r = generation_observe(&policy, certificate, known, &set, &anchors, &n, NULL);

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
        judge_run("echo mine >ssl/generation-3/mine; mkdir ssl/generation-4 ssl/generation-6; "
                  "echo x >ssl/generation-6/x; ln -s generation-9 ssl/.current.0123456789abcdef; "
                  "ln -s away ssl/.other");
        ck_assert_uint_eq(publish(&t.policy, false, TEST_NOW), 7);
        ck_assert(is_there("ssl/generation-3/mine"));
        ck_assert(!is_there("ssl/generation-3/server.key"));
        ck_assert(!is_there("ssl/generation-4"));
        ck_assert(is_there("ssl/generation-6/x"));
        ck_assert_int_eq(judge_run("test -L ssl/.current.0123456789abcdef"), 256);
        ck_assert_int_eq(judge_run("test -L ssl/.other"), 0);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
}
END_TEST

START_TEST(goes_back_and_marks_what_was_refused)
{
        TestCertificate t;
        uint32_t number = 0;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(generation_back(&t.policy, "why", TEST_NOW, &number, NULL), -ENOENT);
        ck_assert(!is_there("ssl/generation-1/refused"));
        publish(&t.policy, true, TEST_NOW);
        ck_assert_int_eq(generation_back(&t.policy, "why", TEST_NOW + 60 * TEST_DAY, &number, NULL),
                         -EKEYEXPIRED);
        ck_assert(!is_there("ssl/generation-2/refused"));
        ck_assert_int_eq(generation_back(&t.policy, "why", TEST_NOW, &number, NULL), 0);
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
        ck_assert_int_eq(generation_back(&t.policy, "again", TEST_NOW, &number, NULL), 0);
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

START_TEST(keeps_the_key_when_files_are_renamed)
{
        static char certificate[] = "a.pem", key[] = "b.pem", trust[] = "c.pem";
        TestCertificate t;

        test_certificate(&t, POLICY_SERVER, "ssl");
        publish(&t.policy, false, TEST_NOW);
        t.policy.files[POLICY_CERTIFICATE] = certificate;
        t.policy.files[POLICY_KEY] = key;
        t.policy.files[POLICY_TRUST] = trust;
        ck_assert_int_eq(look(&t.policy), SET_DAMAGED);
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(look(&t.policy), SET_OURS);
        ck_assert_int_eq(judge_run("test ssl/generation-1/server.key -ef ssl/b.pem"), 0);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 0);
        publish(&t.policy, false, TEST_NOW);
        ck_assert_int_eq(generation_prune(&t.policy, NULL), 1);
        ck_assert(!is_there("ssl/generation-1"));
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
        ck_assert_uint_eq(seen.defects, SET_SERVICE_FOREIGN);
        ck_assert_ptr_nonnull(strstr(seen.problem, "pg_service.conf"));
}
END_TEST

/* This program again, under strace, to publish a set in the directory that the variable names: a
 * test case of its own, which does nothing where the variable is not set. */
#define VICTIM "PGCERTD_TEST_VICTIM"

START_TEST(is_the_victim_of_other_tests)
{
        const char *directory = getenv(VICTIM);
        TestCertificate t;

        if (!directory)
                return;
        test_certificate(&t, POLICY_SERVER, "");
        snprintf(t.directory, sizeof t.directory, "%s", directory);
        publish(&t.policy, false, TEST_NOW);
}
END_TEST

static int run_victim(const char *options)
{
        static char program[4096];
        ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

        ck_assert_int_gt(n, 0);
        program[n] = '\0';
        return judge_run("env -u CK_TAP_LOG_FILE_NAME CK_FORK=no CK_RUN_CASE=victim " VICTIM
                         "=$PWD/ssl strace -o trace %s %s",
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
        ck_assert_int_eq(
                generation_observe(&policy, certificate, NULL, &seen, &anchors, &n_anchors, NULL),
                0);
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

START_TEST(renews_with_three_syncs)
{
        TestCertificate t;

        if (!has_strace())
                return;
        test_certificate(&t, POLICY_SERVER, "ssl");
        ck_assert_int_eq(run_victim("-e trace=fsync,fdatasync,syncfs,sync"), 0);
        ck_assert_int_eq(run_victim("-e trace=fsync,fdatasync,syncfs,sync"), 0);
        /* Another CA signed it, so the bundle is new too: four. */
        ck_assert_msg(judge_run("test $(grep -c sync trace) = 4") == 0, "%s", judge_output);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("generation");
        TCase *files = tcase_create("files"), *deaths = tcase_create("deaths");
        TCase *victim = tcase_create("victim");

        tcase_add_checked_fixture(files, judge_setup, judge_teardown);
        tcase_add_checked_fixture(files, issuing_setup, issuing_teardown);
        tcase_set_timeout(files, 30);
        tcase_add_test(files, publishes_a_first_set_that_openssl_verifies);
        tcase_add_test(files, leaves_a_directory_that_was_there_as_it_is);
        tcase_add_test(files, says_to_create_the_directory_above);
        tcase_add_test(files, keeps_key_bundle_and_manifest_as_links_across_renewals);
        tcase_add_loop_test(files, makes_a_new_key_where_it_must, 0, 6);
        tcase_add_loop_test(files, knows_what_is_foreign_and_leaves_it, 0, 15);
        tcase_add_loop_test(files, tells_damage_and_defects_and_mends_them, 0, 14);
        tcase_add_loop_test(files, tells_what_the_policy_wants_otherwise, 0, 3);
        tcase_add_test(files, parses_nothing_that_is_known_and_sees_every_change);
        tcase_add_test(files, publishes_many_and_lets_one_fail_alone);
        tcase_add_test(files, mends_names_without_anything_staged);
        tcase_add_test(files, removes_what_an_earlier_try_left_and_nothing_else);
        tcase_add_test(files, goes_back_and_marks_what_was_refused);
        tcase_add_test(files, prunes_all_but_current_and_the_one_before);
        tcase_add_test(files, refuses_a_leaf_of_another_key);
        tcase_add_test(files, keeps_the_key_when_files_are_renamed);
        tcase_add_test(files, waits_for_the_lock_and_says_who_has_it);
        tcase_add_loop_test(files, writes_the_service_file_beside_the_set, 0, 2);
        suite_add_tcase(s, files);
        tcase_add_checked_fixture(deaths, judge_setup, judge_teardown);
        tcase_add_checked_fixture(deaths, issuing_setup, issuing_teardown);
        tcase_set_timeout(deaths, 60);
        tcase_add_loop_test(deaths, fails_anywhere_and_goes_on, 0, 3);
        tcase_add_test(deaths, renews_with_three_syncs);
        suite_add_tcase(s, deaths);
        tcase_add_checked_fixture(victim, issuing_setup, issuing_teardown);
        tcase_add_test(victim, is_the_victim_of_other_tests);
        suite_add_tcase(s, victim);
        return s;
}

#include "tests/check_main.h"
