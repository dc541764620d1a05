#include "tests/signing.h"

static void expect_entries(const char *expected)
{
        judge_run("grep -c '\"event\":\"authority\"' ledger.jsonl");
        ck_assert_str_eq(judge_output, expected);
}

START_TEST(makes_a_ca_once)
{
        _cleanup_(authority_done) ObservedAuthority first = {0}, second = {0};

        ck_assert_int_eq(statement_make(&ca, policy_ca, now, &first, &error), 0);
        ck_assert_uint_eq(first.n_generations, 0);
        authority_done(&first);
        make_ca();
        ck_assert_int_eq(statement_make(&ca, policy_ca, now, &first, &error), 0);
        reopen();
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now + DAY, backdate, &error),
                         0);
        ck_assert_int_eq(statement_make(&ca, policy_ca, now, &second, &error), 0);
        ck_assert_uint_eq(second.n_generations, 1);
        ck_assert_mem_eq(&first.generations[0].facts, &second.generations[0].facts,
                         sizeof(CertFacts));
        /* Whole seconds, rounded down. */
        ck_assert_int_eq(second.generations[0].facts.not_before_usec, now - 500000 - backdate);
        ck_assert_int_eq(second.generations[0].facts.not_after_usec, now - 500000 + 100 * DAY);
        expect_entries("1\n");
        judge_run("ls -A ca ca/main");
        ck_assert_str_eq(judge_output,
                         "ca:\nmain\n\nca/main:\nG1.active\nG1.crt\nG1.key\nG1.prepared\n");
}
END_TEST

/* What a crash can leave, made by hand from a whole CA. */
START_TEST(goes_on_after_a_crash)
{
        static const struct {
                const char *crash;
                int made; /* by the next request: 1 where nothing had been told */
        } crashes[] = {
                {"rm -r ca ledger.jsonl; mkdir -p ca/.new-1; touch ca/.new-1/G1.key", 1},
                {"rm ledger.jsonl; mv ca/main ca/.new-0123456789abcdef", 1},
                {"rm ledger.jsonl; touch ca/main/G1.new", 0},
                {"touch ca/main/G1.new", 0},
                {"touch ca/main/G1.new; head -c 30 ledger.jsonl >x; mv x ledger.jsonl", 0},
                {"mkdir ca/.new-1; cp ca/main/* ca/.new-1", 0},
        };
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_ca();
        ck_assert_int_eq(judge_run("%s", crashes[_i].crash), 0);
        reopen();
        ck_assert_msg(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error) ==
                              crashes[_i].made,
                      "%s", error.text);
        ck_assert_int_eq(statement_make(&ca, policy_ca, now, &observed, &error), 0);
        ck_assert_uint_eq(observed.n_generations, 1);
        ck_assert_int_eq(ledger_knows(ledger, "main", observed.generations[0].facts.serial, &error),
                         1);
        expect_entries("1\n");
        judge_run("ls -A ca ca/main");
        ck_assert_str_eq(judge_output,
                         "ca:\nmain\n\nca/main:\nG1.active\nG1.crt\nG1.key\nG1.prepared\n");
}
END_TEST

START_TEST(tells_what_is_damaged_and_leaves_it_alone)
{
        static const struct {
                const char *damage, *expected;
        } damages[] = {
                {"rm ca/main/G1.key", "G1.key"},
                {"rm ca/main/G1.crt", "G1.crt"},
                {"rm ca/main/*", "no CA is in it"},
                {"rm -r ca/main; touch ca/main", "Not a directory"},
                {"mv ca/main x; ln -s ../x ca/main", "ca"},
                {"echo junk >ca/main/G1.crt", "no certificate in PEM"},
                {": >ca/main/G1.crt", "no certificate in PEM"},
                {"cat ca/main/G1.crt >x; cat x >>ca/main/G1.crt", "2 certificates"},
                {"head -3 ca/main/G1.crt >x; mv x ca/main/G1.crt", "has no end"},
                {"head -3 ca/main/G1.key >x; chmod 600 x; mv x ca/main/G1.key",
                 "not an unencrypted"},
                {"openssl genpkey -algorithm ed25519 -out ca/main/G1.key", "not the one"},
                {"chmod 640 ca/main/G1.key", "others may read it"},
                {"mv ca/main/G1.key x; ln -s ../../x ca/main/G1.key", "G1.key"},
                {"rm ca/main/G1.key; mkfifo ca/main/G1.key", "not a regular file"},
                {"cp ca/main/G1.crt ca/main/G2.crt", "G2.prepared is missing"},
                {"openssl req -x509 -newkey ed25519 -nodes -keyout ca/main/G1.key -subj /CN=x "
                 "-addext basicConstraints=CA:FALSE -out ca/main/G1.crt; chmod 600 ca/main/*",
                 "not that of a CA"},
                {"rm -r ca/main", "lost"},
        };
        static char before[JUDGE_OUTPUT_MAX];
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        int r;

        make_ca();
        ck_assert_int_eq(judge_run("%s", damages[_i].damage), 0);
        judge_run("find . | sort; find . -type f -exec md5sum {} + | sort");
        strcpy(before, judge_output);
        reopen();
        r = making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error);
        if (r >= 0)
                r = statement_make(&ca, policy_ca, now, &observed, &error);
        ck_assert_int_lt(r, 0);
        ck_assert_msg(strstr(error.text, damages[_i].expected) != NULL, "%s", error.text);
        ck_assert_ptr_nonnull(strstr(error.text, "the CA of authority main"));
        judge_run("find . | sort; find . -type f -exec md5sum {} + | sort");
        ck_assert_str_eq(before, judge_output);
}
END_TEST

START_TEST(leaves_nothing_where_a_ca_cannot_be_made)
{
        ca_subject[0].value = (char *)"not a country";
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error),
                         -EINVAL);
        judge_run("find ca; wc -c <ledger.jsonl");
        ck_assert_str_eq(judge_output, "ca\n0\n");
}
END_TEST

static int issue(int64_t when, Minted *ret)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        _cleanup_(key_freep) Key *key = NULL;
        uint32_t generation;

        ck_assert_int_eq(ca_issuer(&ca, "main", when, &issuer, &generation, &error), 0);
        ck_assert_uint_eq(generation, 1);
        ck_assert_int_eq(key_new(KEY_ED25519, &key, &error), 0);
        return mint_leaf(mint, issuer, &policy_leaves[0], key, when, backdate, ret, &error);
}

START_TEST(clamps_a_leaf_to_its_ca)
{
        static const struct {
                int64_t when, not_after; /* 0: refused */
        } moments[] = {
                {0, 30 * DAY},
                {69 * DAY, 99 * DAY},
                {70 * DAY, 100 * DAY},
                {70 * DAY + USEC_PER_SEC, 100 * DAY},
                {99 * DAY, 100 * DAY},
                {100 * DAY - 500001, 100 * DAY},
                {100 * DAY - 500000, 0},
                {100 * DAY, 0},
                {-300 * USEC_PER_SEC, 30 * DAY - 300 * USEC_PER_SEC},
                {-301 * USEC_PER_SEC, 0},
        };
        _cleanup_(minted_done) Minted leaf = {0};
        int r;

        make_ca();
        r = issue(now + moments[_i].when, &leaf);
        ck_assert_int_eq(r, moments[_i].not_after ? 0 : -EKEYEXPIRED);
        if (r < 0)
                ck_assert_ptr_nonnull(strstr(error.text, "now it is 20"));
        else
                ck_assert_int_eq(leaf.facts.not_after_usec, now - 500000 + moments[_i].not_after);
}
END_TEST

START_TEST(writes_instants_as_rfc_5280_wants)
{
        static const struct {
                int64_t lifetime_days;
                const char *expected;
        } lifetimes[] = {
                {8735, "UTCTIME           :491231120000Z"},
                {8736, "GENERALIZEDTIME   :20500101120000Z"},
        };

        policy_ca->lifetime_usec = lifetimes[_i].lifetime_days * DAY;
        make_ca();
        ck_assert_int_eq(judge_run("openssl asn1parse -in ca/main/G1.crt"), 0);
        ck_assert_ptr_nonnull(strstr(judge_output, "UTCTIME           :260131115500Z"));
        ck_assert_msg(strstr(judge_output, lifetimes[_i].expected) != NULL, "%s", judge_output);
}
END_TEST

START_TEST(says_when_there_is_no_ca)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        uint32_t generation;

        ck_assert_int_eq(ca_issuer(&ca, "main", now, &issuer, &generation, &error), -ENOENT);
        ck_assert_str_eq(error.text, "authority main has no CA yet");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("ca");
        TCase *tc = tcase_create("ca");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, makes_a_ca_once);
        tcase_add_loop_test(tc, goes_on_after_a_crash, 0, 6);
        tcase_add_loop_test(tc, tells_what_is_damaged_and_leaves_it_alone, 0, 17);
        tcase_add_test(tc, leaves_nothing_where_a_ca_cannot_be_made);
        tcase_add_loop_test(tc, clamps_a_leaf_to_its_ca, 0, 10);
        tcase_add_loop_test(tc, writes_instants_as_rfc_5280_wants, 0, 2);
        tcase_add_test(tc, says_when_there_is_no_ca);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
