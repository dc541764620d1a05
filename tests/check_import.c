/*
 * Foreign CAs: taken over with their keys, and trusted from files.
 */
#include "tests/turning.h"

/* As a well-known tutorial makes it: RSA, CN=root, 100 years, no digitalSignature. */
#define TUTORIAL                                                                                   \
        "printf "                                                                                  \
        "'[req]\\ndistinguished_name=dn\\nx509_extensions=v3\\nprompt=no\\n[dn]\\nCN=root\\n"      \
        "[v3]\\nbasicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n"      \
        "subjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n' >cnf; "
#define CERTIFY " -sha256 -days 36500 -config cnf -key old.key -out old.crt"

static void run(const char *command)
{
        ck_assert_msg(judge_run("%s", command) == 0, "%s: %s", command, judge_output);
}

/* As a reader that has the foreign CA alone. Strict where that one has identifiers. */
static void judge_leaf(const char *chain)
{
        ck_assert_msg(judge_run("openssl x509 -inform DER -in server.der -out leaf.pem && openssl "
                                "verify $(grep -q KeyIdentifier cnf && echo -x509_strict) -attime "
                                "%" PRId64 " -CAfile old.crt -purpose sslserver%s leaf.pem",
                                now / USEC_PER_SEC, chain) == 0,
                      "%s", judge_output);
}

static void import_setup(void)
{
        setup();
        ck_assert_int_eq(chdir(judge_directory), 0);
        now = clock_realtime() + DAY; /* openssl gives its own */
        policy_ca->adopt_certificate = (char *)"old.crt";
        policy_ca->adopt_key = (char *)"old.key";
}

static const char *const usable[] = {
        "openssl genrsa -out old.key 2048; openssl req -x509 -new" CERTIFY,
        "openssl genrsa -traditional -out old.key 3072; openssl req -x509 -new" CERTIFY,
        "openssl ecparam -genkey -name secp384r1 -out old.key; openssl req -x509 -new" CERTIFY,
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out old.key; sed -i "
        "'/KeyIdent/d; /keyUsage/d' cnf; openssl req -x509 -new" CERTIFY,
};

static const uint8_t usable_types[] = {1 + KEY_RSA_2048, 1 + KEY_RSA_3072, 1 + KEY_ECDSA_P384,
                                       1 + KEY_ECDSA_P256};

START_TEST(takes_over_a_usable_ca_and_replaces_it)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        const ObservedGeneration *old;
        uint8_t old_id[CERT_KEY_ID];

        run(TUTORIAL);
        run(usable[_i]);
        make_ca();
        observe(&observed);
        old = &observed.generations[0];
        ck_assert_uint_eq(old->phase, AUTHORITY_CURRENT);
        ck_assert(old->is_imported && old->is_incomplete);
        ck_assert_int_eq(old->prepared_usec, 0);
        ck_assert_str_eq(old->subject, "CN=root");
        ck_assert_uint_eq(old->key_type, usable_types[_i]);
        memcpy(old_id, old->facts.key_id, sizeof old_id);
        run("cmp old.crt ca/main/G1.crt");
        run("test $(stat -c %a ca/main/G1.key) = 600");
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 1);
        judge_leaf("");

        expect_done(turn_prepare(&ca, &policy, policy_ca, now, &error));
        expect_done(turn_announce(&ca, policy_ca, 2, now, &error));
        now += 7 * DAY;
        run("ls ca/main/G1.key");
        expect_done(turn_activate(&ca, &policy, policy_ca, 2, now, &error));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 2);
        judge_leaf(" -untrusted ca/main/G2.cross");
        /* Its key is gone; it stays trusted until its line goes. */
        ck_assert_int_ne(judge_run("ls ca/main/G1.key"), 0);
        ck_assert_int_eq(turn_retire(&ca, &policy, policy_ca, 1, now, &error), -EAGAIN);
        ck_assert_int_eq(turn_emergency(&ca, &policy, policy_ca, 2, now, &error), 1);
        policy_ca->adopt_certificate = policy_ca->adopt_key = NULL;
        expect_done(turn_retire(&ca, &policy, policy_ca, 1, now, &error));
        observe(&observed);
        ck_assert(authority_is_retired(&observed, old_id));
        run("grep -c '\"event\":\"imported\",\"authority\":\"main\",\"generation\":1' "
            "ledger.jsonl");
}
END_TEST

static const struct {
        const char *make, *sentence;
        int code;
} unusable[] = {
        {"true", "cannot open old.crt", -ENOENT},
        {"echo junk >old.crt", "old.crt: no certificate in PEM", -EINVAL},
        {"openssl genrsa -out old.key 2048; openssl req -x509 -new" CERTIFY "; rm old.key",
         "cannot open old.key", -ENOENT},
        {"openssl genrsa -out old.key 2048; openssl req -x509 -new" CERTIFY "; echo junk >old.key",
         "old.key: not an unencrypted private key", -EINVAL},
        {"openssl genrsa -out old.key 2048; openssl req -x509 -new" CERTIFY
         "; cat old.crt >>old.crt.2; cat old.crt.2 >>old.crt",
         "old.crt: 2 certificates HINT: Give the file of the root CA alone.", -EINVAL},
        {"openssl genpkey -algorithm ED25519 -out old.key; openssl req -x509 -new" CERTIFY,
         "old.key: a CA with a key of type ED25519 cannot sign for PostgreSQL: SCRAM", -EINVAL},
        {"openssl genpkey -algorithm ED448 -out old.key; openssl req -x509 -new" CERTIFY,
         "of type ED448", -EINVAL},
        {"openssl genrsa -out old.key 1024; openssl req -x509 -new" CERTIFY,
         "an RSA key of 1024 bits is refused by today's TLS libraries HINT: ", -EINVAL},
        {"openssl genrsa -out old.key 2048; sed -i s/CA:TRUE/CA:FALSE/ cnf; openssl req -x509 "
         "-new" CERTIFY,
         "old.crt: not the certificate of a CA HINT: ", -EINVAL},
        {"openssl genrsa -out old.key 2048; openssl req -x509 -new" CERTIFY
         "; openssl genrsa -out old.key 2048",
         "old.key: not the key of the certificate old.crt", -EINVAL},
        {"openssl genrsa -aes128 -passout pass:geheim -out old.key 2048; openssl req -x509 -new "
         "-passin pass:geheim" CERTIFY,
         "old.key: the key has a passphrase HINT: Write it without one, to where the signer's user "
         "alone can read it: openssl pkey -in old.key -out NEW.",
         -EINVAL},
        {"openssl genrsa -traditional -aes128 -passout pass:geheim -out old.key 2048; openssl req "
         "-x509 -new -passin pass:geheim" CERTIFY,
         "old.key: the key has a passphrase", -EINVAL},
        {"openssl genrsa -out root.key 2048; openssl req -x509 -new -config cnf -key root.key "
         "-out root.crt; openssl genrsa -out old.key 2048; openssl req -new -subj /CN=sub -key "
         "old.key -out csr; openssl x509 -req -in csr -CA root.crt -CAkey root.key -extfile cnf "
         "-extensions v3 -out old.crt",
         "old.crt: the CA is not self-signed", -EINVAL},
};

START_TEST(refuses_a_ca_that_cannot_sign_and_leaves_nothing)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        run(TUTORIAL);
        judge_run("%s", unusable[_i].make);
        remember_state(before);
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error),
                         unusable[_i].code);
        ck_assert_msg(strstr(error.text, unusable[_i].sentence) != NULL, "%s", error.text);
        ck_assert_ptr_null(strstr(error.text, "geheim"));
        remember_state(after);
        ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(refuses_a_ca_that_is_not_valid_now)
{
        run(TUTORIAL);
        run(usable[0]);
        now += 36500 * DAY + DAY;
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error),
                         -EKEYEXPIRED);
        ck_assert_ptr_nonnull(strstr(error.text, "now it is 21"));
        now -= 40000 * DAY;
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error),
                         -EKEYEXPIRED);
}
END_TEST

/* Two anchors in a file, one of which has ended by the time `now`; one without identifiers. */
static void make_anchors(void)
{
        static char *files[] = {(char *)"a.pem", (char *)"b.pem"};

        run(TUTORIAL);
        run("for i in 1 2 3; do openssl ecparam -genkey -name prime256v1 -out k; openssl req -x509 "
            "-new -key k -config cnf -days $((i * 1000)) -out $i.pem; sed -i '/KeyIdent/d' cnf; "
            "done; cat 1.pem 2.pem >a.pem; cp 3.pem b.pem");
        policy_ca->adopt_certificate = policy_ca->adopt_key = NULL;
        policy_ca->trust = files;
        policy_ca->n_trust = 2;
}

START_TEST(tells_foreign_anchors_and_when_they_go)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        uint8_t first[CERT_KEY_ID], third[CERT_KEY_ID];

        make_anchors();
        observe(&observed); /* before there is a CA nothing is remembered */
        ck_assert_uint_eq(observed.n_trust, 3);
        ck_assert_uint_eq(observed.n_generations, 0);
        ck_assert_int_ne(judge_run("ls ca/main"), 0);
        make_ca();
        observe(&observed);
        ck_assert_uint_eq(observed.n_trust, 3);
        ck_assert_uint_eq(observed.n_retired, 0);
        ck_assert_str_eq(observed.trust[0].subject, "CN=root");
        memcpy(first, observed.trust[0].facts.key_id, sizeof first);
        memcpy(third, observed.trust[2].facts.key_id, sizeof third);
        ck_assert_int_ne(memcmp(first, third, sizeof first), 0);
        run("test $(ls ca/main | grep -c '^T-.*\\.crt$') = 3");
        judge_write("anchor.der", observed.trust[0].der, observed.trust[0].der_size);
        run("openssl x509 -inform DER -in anchor.der | cmp - 1.pem");

        now += 1500 * DAY; /* the first has ended; told once */
        for (int i = 0; i < 2; i++) {
                reopen();
                observe(&observed);
                ck_assert_uint_eq(observed.n_trust, 2);
                ck_assert_uint_eq(observed.n_retired, 0);
        }
        ck_assert_ptr_nonnull(strstr(text_content(&notes), "the anchor CN=root of a.pem expired"));
        ck_assert_uint_eq(strcspn(text_content(&notes), "\n") + 1, notes.size);

        policy_ca->n_trust = 1;
        observe(&observed);
        ck_assert_uint_eq(observed.n_trust, 1);
        ck_assert(authority_is_retired(&observed, third));
        ck_assert(!authority_is_retired(&observed, first));
        policy_ca->n_trust = 0;
        observe(&observed);
        ck_assert(authority_is_retired(&observed, first));
        ck_assert_uint_eq(observed.n_retired, 3);
        policy_ca->n_trust = 2;
        observe(&observed);
        ck_assert_uint_eq(observed.n_retired, 0);
}
END_TEST

static const struct {
        const char *damage, *sentence;
} damages[] = {
        {"rm b.pem", "trust of authority main: cannot open b.pem"},
        {"echo junk >b.pem", "trust of authority main: b.pem: no certificate in PEM"},
        {"head -3 3.pem >b.pem",
         "trust of authority main: b.pem: line 1: the certificate has no end"},
        {"cat k >>b.pem", "trust of authority main: b.pem: line "},
        {"sed -i s/CA:TRUE/CA:FALSE/ cnf; openssl req -x509 -new -key k -config cnf -out b.pem",
         "trust of authority main: b.pem: not the certificate of a CA HINT: "},
        {"for i in $(seq 15); do openssl req -x509 -new -key k -config cnf; done >b.pem",
         "trust of authority main: b.pem: more than 16 anchors"},
        {"rm b.pem; mkfifo b.pem", "b.pem"},
};

START_TEST(names_the_file_of_trust_that_is_damaged)
{
        ObservedAuthority observed = {0};

        make_anchors();
        make_ca();
        judge_run("%s", damages[_i].damage);
        ck_assert_int_lt(statement_make(&ca, policy_ca, now, &observed, &error), 0);
        ck_assert_msg(strstr(error.text, damages[_i].sentence) != NULL, "%s", error.text);
}
END_TEST

/* First trusted, then taken over: its key identifier is no anchor that went. */
START_TEST(does_not_retire_an_anchor_that_became_a_generation)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_anchors();
        make_ca();
        observe(&observed);
        run("cp 3.pem ca/main/G1.crt; openssl pkey -in k -out ca/main/G1.key");
        policy_ca->n_trust = 1;
        observe(&observed);
        ck_assert_uint_eq(observed.n_retired, 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("import");
        TCase *tc = tcase_create("import");

        tcase_add_checked_fixture(tc, import_setup, teardown);
        tcase_set_timeout(tc, 100);
        tcase_add_loop_test(tc, takes_over_a_usable_ca_and_replaces_it, 0, ELEMENTSOF(usable));
        tcase_add_loop_test(tc, refuses_a_ca_that_cannot_sign_and_leaves_nothing, 0,
                            ELEMENTSOF(unusable));
        tcase_add_test(tc, refuses_a_ca_that_is_not_valid_now);
        tcase_add_test(tc, tells_foreign_anchors_and_when_they_go);
        tcase_add_loop_test(tc, names_the_file_of_trust_that_is_damaged, 0, ELEMENTSOF(damages));
        tcase_add_test(tc, does_not_retire_an_anchor_that_became_a_generation);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
