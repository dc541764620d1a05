/*
 * openssl as the judge of what a rollover makes: cross-certificates, and each reader against each
 * chain. What is asked of readers is X.509 alone; PostgreSQL and drivers are asked elsewhere.
 */
#include "tests/turning.h"

static const char *const groups[] = {"P-256", "P-384", "2048 bit", "3072 bit", "4096 bit"};

static void expect(const char *text)
{
        ck_assert_msg(strstr(judge_output, text) != NULL, "no \"%s\" in:\n%s", text, judge_output);
}

/* old-server.pem and old-app.pem of generation 1; then new-*.pem of generation 2, made of another
 * key type where the first is RSA, which takes long. */
static void make_both(KeyType first, KeyType second)
{
        policy_ca->key = first;
        make_ca();
        for (int i = 0; i < 2; i++)
                issue_leaf(&policy_leaves[i], NULL);
        judge_run("for l in server app; do openssl x509 -inform DER -in $l.der -out old-$l.pem; "
                  "done");
        policy_ca->key = second;
        now += DAY;
        expect_done(turn_prepare(&ca, &policy, policy_ca, now, &error));
        expect_done(turn_announce(&ca, policy_ca, 2, now, &error));
        now += 7 * DAY;
        expect_done(turn_activate(&ca, &policy, policy_ca, 2, now, &error));
        for (int i = 0; i < 2; i++)
                issue_leaf(&policy_leaves[i], NULL);
        ck_assert_int_eq(
                judge_run("for l in server app; do openssl x509 -inform DER -in $l.der -out "
                          "new-$l.pem; done; cp ca/main/G2.cross cross.pem; cp ca/main/G1.crt old; "
                          "cp ca/main/G2.crt new; cat new old >both"),
                0);
}

START_TEST(makes_cross_certificates_that_openssl_accepts)
{
        make_both(_i, (_i + 1) % 2);
        ck_assert_msg(judge_run("openssl verify -x509_strict -attime %" PRId64
                                " -CAfile old cross.pem && openssl verify -x509_strict -attime "
                                "%" PRId64 " -CAfile new new",
                                now / USEC_PER_SEC, now / USEC_PER_SEC) == 0,
                      "%s", judge_output);
        ck_assert_int_eq(judge_run("openssl x509 -in cross.pem -noout -text"), 0);
        expect("Version: 3");
        expect("X509v3 Basic Constraints: critical\n                CA:TRUE\n");
        expect("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n");
        expect("Not Before: Feb  1 11:55:00 2026 GMT");
        expect("Not After : May 11 12:00:00 2026 GMT"); /* the old one's */
        ck_assert_int_eq(judge_run("for f in subject pubkey; do openssl x509 -in cross.pem -noout "
                                   "-$f >a; openssl x509 -in new -noout -$f | cmp a - || exit 1; "
                                   "done; openssl x509 -in cross.pem -noout -ext "
                                   "subjectKeyIdentifier >a; openssl x509 -in new -noout -ext "
                                   "subjectKeyIdentifier | cmp a -"),
                         0);
        ck_assert_int_eq(judge_run("openssl x509 -in cross.pem -noout -issuer | cut -c8- >a; "
                                   "openssl x509 -in old -noout -subject | cut -c9- | cmp a -"),
                         0);
        judge_run("openssl x509 -in old -noout -text");
        expect(groups[_i]);
}
END_TEST

/* What a reader has, what it is shown, and whether that must do. A client's chain never carries a
 * cross-certificate: there the reader is the server, whose bundle is written with the rest. */
static const struct {
        const char *bundle, *leaf, *chain;
        int is_good;
} cells[] = {
        {"old", "old", "/dev/null", true},
        {"both", "old", "/dev/null", true},
        {"new", "old", "/dev/null", false}, /* after retirement: it has ended by then */
        {"old", "new", "cross.pem", true},
        {"both", "new", "cross.pem", true},
        {"new", "new", "cross.pem", true},
        {"old", "new", "/dev/null", false}, /* the reader is later than distribute */
        {"both", "new", "/dev/null", true},
        {"new", "new", "/dev/null", true},
        /* Whatever else a server sends */
        {"old", "old", "cross.pem", true},
        {"both", "old", "cross.pem", true},
        {"new", "new", "old", true},
};

static void judge_cells(int64_t at_usec)
{
        for (size_t i = 0; i < ELEMENTSOF(cells); i++)
                for (int is_server = 0; is_server < 2; is_server++) {
                        int r = judge_run(
                                "openssl verify -x509_strict -purpose %s -no-CAstore -no-CApath "
                                "-attime %" PRId64 " -CAfile %s $(test %s = /dev/null || echo "
                                "-untrusted %s) %s-%s.pem",
                                is_server ? "sslserver" : "sslclient", at_usec / USEC_PER_SEC,
                                cells[i].bundle, cells[i].chain, cells[i].chain, cells[i].leaf,
                                is_server ? "server" : "app");

                        ck_assert_msg((r == 0) == cells[i].is_good, "%s %s %s %d: %s",
                                      cells[i].bundle, cells[i].leaf, cells[i].chain, is_server,
                                      judge_output);
                }
}

START_TEST(lets_each_reader_verify_what_it_must)
{
        make_both(_i, (_i + 1) % 2);
        judge_cells(now);
}
END_TEST

/* Two rollovers behind: over both cross-certificates. */
START_TEST(leads_a_reader_over_two_generations)
{
        make_both(KEY_ECDSA_P256, KEY_ECDSA_P256);
        expect_done(turn_prepare(&ca, &policy, policy_ca, now, &error));
        expect_done(turn_announce(&ca, policy_ca, 3, now, &error));
        now += 7 * DAY;
        expect_done(turn_activate(&ca, &policy, policy_ca, 3, now, &error));
        issue_leaf(&policy_leaves[0], NULL);
        ck_assert_msg(judge_run("openssl x509 -inform DER -in server.der -out leaf.pem; "
                                "cat ca/main/G3.cross cross.pem >chain; openssl verify "
                                "-x509_strict -purpose sslserver -attime %" PRId64
                                " -CAfile old -untrusted chain leaf.pem",
                                now / USEC_PER_SEC) == 0,
                      "%s", judge_output);
}
END_TEST

/* A CA that may only sign leaves: its cross-certificate would lead nobody anywhere. */
START_TEST(makes_no_cross_where_the_old_one_forbids_it)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        policy_ca->adopt_certificate = (char *)"old.crt";
        policy_ca->adopt_key = (char *)"old.key";
        ck_assert_int_eq(
                judge_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                          "-nodes -keyout old.key -subj /CN=root -days 36500 -out old.crt "
                          "-addext basicConstraints=critical,CA:TRUE,pathlen:0 -set_serial "
                          "7 2>&1 | tail -1; test -s old.crt"),
                0);
        ck_assert_int_eq(chdir(judge_directory), 0);
        now = clock_realtime();
        make_ca();
        expect_done(turn_prepare(&ca, &policy, policy_ca, now, &error));
        ck_assert_int_eq(statement_make(&ca, policy_ca, now, &observed, &error), 0);
        ck_assert_ptr_null(observed.generations[1].cross);
        ck_assert_ptr_nonnull(strstr(text_content(&notes), "pathLenConstraint is 0"));
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("cross");
        TCase *tc = tcase_create("cross");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 100);
        tcase_add_loop_test(tc, makes_cross_certificates_that_openssl_accepts, KEY_ECDSA_P256,
                            KEY_RSA_4096 + 1);
        tcase_add_loop_test(tc, lets_each_reader_verify_what_it_must, KEY_ECDSA_P256,
                            KEY_RSA_2048 + 1);
        tcase_add_test(tc, leads_a_reader_over_two_generations);
        tcase_add_test(tc, makes_no_cross_where_the_old_one_forbids_it);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
