#include "common/profile.h"

#include "tests/judge.h"

#include <errno.h>
#include <openssl/x509.h>

static Error error;

/* A policy's certificate as the policy module would fill it in. */
static PolicyAttribute attributes[] = {{"O", "Bytebase"}, {"CN", "db.example.com"}};
static PolicyName names[] = {
        {.text = "db.example.com"},
        {.text = "192.0.2.10", .is_address = true, .address = {192, 0, 2, 10}, .address_size = 4},
};

static PolicyCertificate wanted_server(void)
{
        return (PolicyCertificate){.name = "server",
                                   .use = POLICY_SERVER,
                                   .subject = {.items = attributes, .n = 2},
                                   .names = names,
                                   .n_names = 2,
                                   .key = KEY_ECDSA_P256};
}

/* What openssl is told to make, and how that differs from the policy. */
static const struct {
        const char *subject, *key, *names, *usage, *purpose, *constraints;
        uint32_t defects;
} leaves[] = {
#define SUBJECT "/O=Bytebase/CN=db.example.com"
#define P256 "ec -pkeyopt ec_paramgen_curve:P-256"
#define NAMES "DNS:db.example.com,IP:192.0.2.10"
#define USAGE "critical,digitalSignature"
#define LEAF "critical,CA:FALSE"
        {SUBJECT, P256, NAMES, USAGE, "serverAuth", LEAF, 0},
        {"/CN=db.example.com", P256, NAMES, USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {"/CN=db.example.com/O=Bytebase", P256, NAMES, USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {"/O=Bytebase/CN=DB.example.com", P256, NAMES, USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {SUBJECT, P256, "DNS:db.example.com", USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {SUBJECT, P256, NAMES ",DNS:x", USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {SUBJECT, P256, "DNS:db.example.com,IP:192.0.2.11", USAGE, "serverAuth", LEAF,
         PROFILE_NAMES},
        {SUBJECT, P256, "DNS:db.example.com,DNS:192.0.2.10", USAGE, "serverAuth", LEAF,
         PROFILE_NAMES},
        {SUBJECT, P256, NULL, USAGE, "serverAuth", LEAF, PROFILE_NAMES},
        {SUBJECT, "ec -pkeyopt ec_paramgen_curve:P-384", NAMES, USAGE, "serverAuth", LEAF,
         PROFILE_KEY_TYPE},
        {SUBJECT, "rsa:2048", NAMES, "critical,digitalSignature,keyEncipherment", "serverAuth",
         LEAF, PROFILE_KEY_TYPE | PROFILE_USAGE},
        {SUBJECT, P256, NAMES, USAGE, "clientAuth", LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, USAGE, "serverAuth,clientAuth", LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, USAGE, NULL, LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, "digitalSignature", "serverAuth", LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, NULL, "serverAuth", LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, "critical,keyCertSign", "serverAuth", LEAF, PROFILE_USAGE},
        {SUBJECT, P256, NAMES, USAGE, "serverAuth", "critical,CA:TRUE", PROFILE_USAGE},
        {"/CN=x", "ed25519", NULL, NULL, NULL, NULL,
         PROFILE_NAMES | PROFILE_KEY_TYPE | PROFILE_USAGE},
};

static void add_extension(Text *text, const char *name, const char *value)
{
        if (value)
                text_addf(text, "%s=%s\n", name, value);
}

static Cert *make_leaf(size_t i)
{
        _cleanup_(text_done) Text text = {0};
        _cleanup_(freep) char *der = NULL;
        Cert *leaf = NULL;
        size_t size;

        text_add(&text, "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n"
                        "[dn]\nCN=x\n[v3]\nsubjectKeyIdentifier=hash\n");
        add_extension(&text, "basicConstraints", leaves[i].constraints);
        add_extension(&text, "keyUsage", leaves[i].usage);
        add_extension(&text, "extendedKeyUsage", leaves[i].purpose);
        add_extension(&text, "subjectAltName", leaves[i].names);
        judge_write("cnf", text.data, text.size);
        ck_assert_msg(judge_run("openssl req -x509 -config cnf -newkey %s -nodes -keyout key "
                                "-subj %s -days 1 -outform DER -out leaf.der",
                                leaves[i].key, leaves[i].subject) == 0,
                      "%s", judge_output);
        der = judge_read("leaf.der", &size);
        ck_assert_msg(cert_parse(der, size, &leaf, &error) == 0, "%s", error.text);
        return leaf;
}

START_TEST(tells_how_a_leaf_differs)
{
        _cleanup_(cert_freep) Cert *leaf = make_leaf((size_t)_i);
        PolicyCertificate wanted = wanted_server();
        uint32_t defects;

        ck_assert_int_eq(profile_check(leaf, &wanted, &defects, &error), 0);
        ck_assert_uint_eq(defects, leaves[_i].defects);
}
END_TEST

START_TEST(wants_no_names_where_the_policy_has_none)
{
        _cleanup_(cert_freep) Cert *leaf = make_leaf(0);
        PolicyCertificate wanted = wanted_server();
        uint32_t defects;

        wanted.n_names = 0;
        ck_assert_int_eq(profile_check(leaf, &wanted, &defects, &error), 0);
        ck_assert_uint_eq(defects, PROFILE_NAMES);
}
END_TEST

START_TEST(refuses_subjects_that_cannot_be_encoded)
{
        static const struct {
                const char *type, *value;
        } bad[] = {
                {"C", "CHN"},
                {"C", "\xc3\xbc"},
                {"nonsense", "x"},
                {"CN", "\xff\xfe"},
                {"CN", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
        };
        PolicyAttribute attribute = {(char *)bad[_i].type, (char *)bad[_i].value};
        PolicySubject subject = {&attribute, 1};
        struct X509_name_st *name = NULL;

        ck_assert_int_eq(profile_subject(&subject, NULL, &name, &error), -EINVAL);
        ck_assert_ptr_null(name);
        ck_assert_ptr_nonnull(strstr(error.text, bad[_i].type));
}
END_TEST

START_TEST(keeps_the_subject_of_a_ca_within_its_limit)
{
        static const uint8_t key_id[CERT_KEY_ID] = {1, 2, 3, 4};
        /* "O=x, CN=" is 8 bytes, " G1 01020304" is 12. */
        PolicyAttribute items[] = {{"O", "x"}, {"CN", NULL}};
        PolicyAuthority authority = {.name = "main", .subject = {items, 2}};
        struct X509_name_st *name = NULL;
        char cn[100] = "";

        for (size_t length = 1; length < 70; length++) {
                int expected = 8 + length + 12 <= POLICY_SUBJECT_MAX ? 0 : -EINVAL;

                memset(cn, 'x', length);
                items[1].value = cn;
                ck_assert_int_eq(profile_authority_subject(&authority, 1, key_id, &name, &error),
                                 expected);
                X509_NAME_free(name);
                name = NULL;
        }
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("profile");
        TCase *tc = tcase_create("profile");

        tcase_add_checked_fixture(tc, judge_setup, judge_teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_loop_test(tc, tells_how_a_leaf_differs, 0, ELEMENTSOF(leaves));
        tcase_add_test(tc, wants_no_names_where_the_policy_has_none);
        tcase_add_loop_test(tc, refuses_subjects_that_cannot_be_encoded, 0, 5);
        tcase_add_test(tc, keeps_the_subject_of_a_ca_within_its_limit);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
