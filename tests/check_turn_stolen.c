/*
 * CAs whose keys were stolen or that came from a backup: what is replaced, and that no two are ever
 * taken for one another.
 */
#include "tests/turning.h"

START_TEST(replaces_a_stolen_ca_at_once)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        make_ca();
        issue_leaf(&policy_leaves[0], NULL);
        now += DAY;
        expect_done(prepare());
        observe(&observed);
        expect_done(emergency(1));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 3);
        expect_files("G1.active G1.crt G1.key G1.prepared G1.stolen G2.crt G2.retired G3.active "
                     "G3.cross G3.crt G3.key G3.prepared ");
        expect_ledger("authority 1,issued 1,prepared 2,stolen 1,discarded 2,prepared 3,"
                      "activated 3,issued 3,");
        {
                uint8_t discarded[CERT_KEY_ID];

                memcpy(discarded, observed.generations[1].facts.key_id, sizeof discarded);
                observe(&observed);
                ck_assert(authority_is_retired(&observed, discarded));
        }
        ck_assert_uint_eq(observed.n_generations, 2);
        ck_assert(observed.generations[0].is_stolen);
        ck_assert_uint_eq(observed.generations[0].phase, AUTHORITY_RETIRING);
        ck_assert_uint_eq(observed.generations[1].number, 3);
        ck_assert_uint_eq(observed.generations[1].phase, AUTHORITY_CURRENT);
        ck_assert_mem_eq(observed.generations[1].cross_facts.issuer_key_id,
                         observed.generations[0].facts.key_id, CERT_KEY_ID);

        /* Asked again, it is done; and a next one that was made since is none of its business. */
        expect_done(prepare());
        remember_state(before);
        ck_assert_int_eq(emergency(1), 0);
        remember_state(after);
        ck_assert_str_eq(before, after);
        expect_done(retire(1));
        ck_assert_int_ne(judge_run("ls ca/main/G1.key"), 0);
}
END_TEST

START_TEST(replaces_a_stolen_ca_whose_key_is_damaged)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_ca();
        ck_assert_int_eq(judge_run("rm ca/main/G1.key"), 0);
        ck_assert_int_lt(prepare(), 0);
        expect_done(emergency(1));
        observe(&observed);
        ck_assert_ptr_null(observed.generations[1].cross);
        ck_assert_ptr_nonnull(strstr(text_content(&notes), "no cross-certificate is made: "));
}
END_TEST

START_TEST(marks_a_former_one_as_stolen)
{
        make_ca();
        issue_leaf(&policy_leaves[0], NULL);
        roll_over();
        ck_assert_int_eq(retire(1), -EAGAIN);
        expect_done(emergency(1));
        ck_assert_int_eq(emergency(1), 0);
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 2);
        expect_done(retire(1));
}
END_TEST

/* An activated one may be replaced by an emergency that is asked for a second time. */
START_TEST(carries_out_a_second_emergency)
{
        make_ca();
        expect_done(emergency(1));
        expect_done(emergency(2));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 3);
        expect_done(retire(1));
        expect_done(retire(2));
        expect_files("G1.crt G1.retired G2.crt G2.retired G3.active G3.cross G3.crt G3.key "
                     "G3.prepared ");
}
END_TEST

START_TEST(uses_no_number_twice)
{
        make_ca();
        expect_done(prepare());
        expect_done(emergency(1));
        /* Not even one that only the ledger remembers. */
        expect_done(retire(1));
        ck_assert_int_eq(judge_run("sed -i 's/\"generation\":2/\"generation\":7/' ledger.jsonl"),
                         0);
        reopen();
        expect_done(prepare());
        ck_assert_int_eq(judge_run("ls ca/main/G8.crt"), 0);
}
END_TEST

/* From a backup of before: the same number again, but another key, which the name tells. */
START_TEST(names_another_key_otherwise_after_a_backup_was_restored)
{
        char first[JUDGE_OUTPUT_MAX];

        make_ca();
        ck_assert_int_eq(judge_run("cp -a ca ca.backup; cp ledger.jsonl ledger.backup"), 0);
        roll_over();
        judge_run("openssl x509 -in ca/main/G2.crt -noout -subject");
        strcpy(first, judge_output);
        ck_assert_int_eq(judge_run("rm -r ca; mv ca.backup ca; mv ledger.backup ledger.jsonl"), 0);
        reopen();
        roll_over();
        judge_run("openssl x509 -in ca/main/G2.crt -noout -subject");
        ck_assert_str_ne(first, judge_output);
        ck_assert_int_eq(strncmp(first, judge_output, strlen("subject=C = CN, CN = root G2 ")), 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("turn stolen");
        TCase *tc = tcase_create("turn stolen");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, replaces_a_stolen_ca_at_once);
        tcase_add_test(tc, replaces_a_stolen_ca_whose_key_is_damaged);
        tcase_add_test(tc, marks_a_former_one_as_stolen);
        tcase_add_test(tc, carries_out_a_second_emergency);
        tcase_add_test(tc, uses_no_number_twice);
        tcase_add_test(tc, names_another_key_otherwise_after_a_backup_was_restored);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
