/*
 * The turns of a rollover at given times: what is refused before its time, what is on disk and in
 * the ledger after it. Chains are judged in check_cross.
 */
#include "tests/turning.h"

START_TEST(goes_from_one_generation_to_the_next)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        uint8_t first[CERT_KEY_ID];
        CertFacts leaf;

        make_ca();
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], &leaf), 1);
        observe(&observed);
        memcpy(first, observed.generations[0].facts.key_id, sizeof first);

        now += DAY;
        expect_done(prepare());
        observe(&observed);
        ck_assert_uint_eq(observed.n_generations, 2);
        ck_assert_uint_eq(observed.generations[0].phase, AUTHORITY_CURRENT);
        ck_assert_uint_eq(observed.generations[1].phase, AUTHORITY_NEXT);
        ck_assert_int_eq(observed.generations[1].prepared_usec, now);
        ck_assert_int_eq(observed.generations[1].announced_usec, 0);
        ck_assert_int_eq(observed.generations[1].activated_usec, 0);
        ck_assert_ptr_nonnull(observed.generations[1].cross);
        ck_assert_mem_eq(observed.generations[1].cross_facts.key_id,
                         observed.generations[1].facts.key_id, CERT_KEY_ID);
        ck_assert_mem_eq(observed.generations[1].cross_facts.issuer_key_id, first, CERT_KEY_ID);
        ck_assert_int_eq(observed.generations[1].cross_facts.not_after_usec,
                         observed.generations[0].facts.not_after_usec);
        ck_assert_int_eq(observed.generations[1].cross_facts.not_before_usec,
                         now - 500000 - backdate);
        ck_assert_uint_eq(issue_leaf(&policy_leaves[1], NULL), 1);

        now += DAY;
        expect_done(announce(2));
        now += 7 * DAY;
        expect_done(activate(2));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[1], NULL), 2);
        observe(&observed);
        ck_assert_uint_eq(observed.generations[0].phase, AUTHORITY_RETIRING);
        ck_assert_int_eq(observed.generations[0].last_leaf_usec, leaf.not_after_usec);
        ck_assert_uint_eq(observed.generations[1].phase, AUTHORITY_CURRENT);
        ck_assert_int_eq(observed.generations[1].announced_usec, now - 7 * DAY);
        ck_assert_int_eq(observed.generations[1].activated_usec, now);
        ck_assert_uint_eq(observed.n_retired, 0);

        now = leaf.not_after_usec + backdate;
        expect_done(retire(1));
        reopen();
        observe(&observed);
        ck_assert_uint_eq(observed.n_generations, 1);
        ck_assert_uint_eq(observed.generations[0].number, 2);
        ck_assert_uint_eq(observed.n_retired, 1);
        ck_assert(authority_is_retired(&observed, first));
        expect_files("G1.crt G1.retired G2.active G2.announced G2.cross G2.crt G2.key "
                     "G2.prepared ");
        expect_ledger("authority 1,issued 1,prepared 2,issued 1,announced 2,activated 2,issued 2,"
                      "retired 1,");
}
END_TEST

START_TEST(does_each_turn_once)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        make_ca();
        expect_done(prepare());
        remember_state(before);
        ck_assert_int_eq(prepare(), 0);
        remember_state(after);
        ck_assert_str_eq(before, after);
        expect_done(announce(2));
        now += 7 * DAY;
        remember_state(before);
        ck_assert_int_eq(announce(2), 0);
        remember_state(after);
        ck_assert_str_eq(before, after);
        expect_done(activate(2));
        remember_state(before);
        ck_assert_int_eq(announce(2), 0);
        ck_assert_int_eq(activate(2), 0);
        remember_state(after);
        ck_assert_str_eq(before, after);
        expect_done(retire(1));
        remember_state(before);
        ck_assert_int_eq(retire(1), 0);
        ck_assert_int_eq(emergency(1), 0);
        remember_state(after);
        ck_assert_str_eq(before, after);
}
END_TEST

static int emergency_of_next(uint32_t number)
{
        return emergency(number);
}

static int prepare_any(uint32_t number)
{
        return prepare();
}

/* G1 is retired, G2 retires, G3 signs, G4 is next and not announced. */
static const struct {
        int (*turn)(uint32_t number);
        uint32_t number;
        int code;
        const char *sentence;
} refusals[] = {
        {announce, 0, -ENOENT, "authority main has no generation 0"},
        {announce, 5, -ENOENT, "authority main has no generation 5"},
        {announce, 1, -EINVAL, "generation 1 of authority main is not the next one"},
        {announce, 2, -EINVAL, "generation 2 of authority main is not the next one"},
        {activate, 0, -ENOENT, "authority main has no generation 0"},
        {activate, 1, -EINVAL, "generation 1 of authority main is not the next one"},
        {activate, 2, -EINVAL, "generation 2 of authority main is not the next one"},
        {activate, 4, -EAGAIN, "it is not in every bundle yet"},
        {activate, 5, -ENOENT, "authority main has no generation 5"},
        {retire, 0, -ENOENT, "authority main has no generation 0"},
        {retire, 2, -EAGAIN, "a leaf of it has not ended"},
        {retire, 3, -EINVAL, "generation 3 of authority main is the one that signs"},
        {retire, 4, -EINVAL, "generation 4 of authority main has never signed"},
        {retire, UINT32_MAX, -ENOENT, "authority main has no generation 4294967295"},
        {emergency_of_next, 4, -EINVAL, "generation 4 of authority main has never signed"},
        {emergency, 5, -ENOENT, "authority main has no generation 5"},
        {prepare_any, 0, 0, ""},
};

START_TEST(refuses_what_is_out_of_turn_and_changes_nothing)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        make_ca();
        roll_over();
        expect_done(retire(1));
        issue_leaf(&policy_leaves[0], NULL);
        expect_done(prepare());
        expect_done(announce(3));
        now += 7 * DAY;
        expect_done(activate(3));
        expect_done(prepare());
        remember_state(before);
        error = (Error){0};
        ck_assert_int_eq(refusals[_i].turn(refusals[_i].number), refusals[_i].code);
        ck_assert_msg(strstr(error.text, refusals[_i].sentence) != NULL, "%s", error.text);
        remember_state(after);
        ck_assert_str_eq(before, after);
}
END_TEST

/* T is in 100 days, D 7, rmax 12, s 5 minutes. Days count from the making of the CA. */
static const struct {
        int64_t prepared, announced, at; /* announced: 0 for never; at: the first instant */
} activations[] = {
        {10 * DAY, 11 * DAY, 18 * DAY}, /* announced + D */
        {10 * DAY, 0, 88 * DAY},        /* T - rmax */
        {80 * DAY, 0, 88 * DAY},        /* the same */
        {85 * DAY, 0, 92 * DAY},        /* prepared + D */
        {85 * DAY, 86 * DAY, 92 * DAY}, /* the same, before announced + D */
        {95 * DAY, 0, 95 * DAY},        /* T - D - s is over */
        {86 * DAY + 23 * DAY / 24, 0, 93 * DAY - 300 * USEC_PER_SEC}, /* T - D - s */
        {100 * DAY, 0, 100 * DAY}, /* the current one has expired */
        {200 * DAY, 0, 200 * DAY},
};

START_TEST(activates_no_sooner_than_it_may)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        int64_t begin = now / USEC_PER_SEC * USEC_PER_SEC; /* certificates have whole seconds */
        int64_t at = begin + activations[_i].at;

        now = begin;
        make_ca();
        now = begin + activations[_i].prepared;
        expect_done(prepare());
        if (activations[_i].announced) {
                now = begin + activations[_i].announced;
                expect_done(announce(2));
        }
        remember_state(before);
        if (now < at) {
                char text[CLOCK_TEXT_MAX];

                ck_assert_int_eq(activate(2), -EAGAIN);
                ck_assert_msg(strstr(error.text, clock_format(at, text)) != NULL, "%s", error.text);
                ck_assert_msg(strstr(error.text, clock_format(now, text)) != NULL, "%s",
                              error.text);
                now = at - 1;
                ck_assert_int_eq(activate(2), -EAGAIN);
        }
        remember_state(after);
        ck_assert_str_eq(before, after);
        now = at;
        expect_done(activate(2));
}
END_TEST

START_TEST(counts_distribute_from_a_stamp_that_never_moves)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        int64_t begin = now;

        make_ca();
        now += 20 * DAY;
        expect_done(prepare());
        /* The clock goes back a month: no bundle held it before it was made. */
        now = begin - 10 * DAY;
        expect_done(announce(2));
        observe(&observed);
        ck_assert_int_eq(observed.generations[1].announced_usec, begin + 20 * DAY);
        now = begin + 20 * DAY;
        ck_assert_int_eq(announce(2), 0);
        ck_assert_int_eq(activate(2), -EAGAIN);
        now = begin + 27 * DAY;
        expect_done(activate(2));
}
END_TEST

START_TEST(follows_the_policy_as_it_is_when_asked)
{
        make_ca();
        expect_done(prepare());
        expect_done(announce(2));
        now += 7 * DAY;
        policy_ca->distribute_usec = 8 * DAY;
        ck_assert_int_eq(activate(2), -EAGAIN);
        policy_ca->distribute_usec = 7 * DAY;
        expect_done(activate(2));
}
END_TEST

/* The leaf ends 30 days after the making of the CA, which ends after 100. */
static const struct {
        const char *before; /* done to the files first */
        bool is_leaf, is_adopted;
        int64_t at;
} retirements[] = {
        {"true", true, false, 30 * DAY + 300 * USEC_PER_SEC},
        {"true", false, false, 7 * DAY}, /* at once */
        {"cp ca/main/G1.prepared ca/main/G1.incomplete", true, false,
         100 * DAY + 300 * USEC_PER_SEC},
        {"cp ca/main/G1.prepared ca/main/G1.imported", true, true, 100 * DAY + 300 * USEC_PER_SEC},
        {"cp ca/main/G1.prepared ca/main/G1.imported", true, false, 7 * DAY},
        {"cp ca/main/G1.prepared ca/main/G1.stolen", true, false, 7 * DAY},
        {"cd ca/main; cp G1.prepared G1.stolen; cp G1.prepared G1.incomplete", true, false,
         7 * DAY},
};

START_TEST(retires_no_sooner_than_it_may)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        int64_t begin = now / USEC_PER_SEC * USEC_PER_SEC;

        now = begin;
        make_ca();
        if (retirements[_i].is_leaf)
                issue_leaf(&policy_leaves[0], NULL);
        roll_over();
        ck_assert_int_eq(judge_run("%s", retirements[_i].before), 0);
        if (retirements[_i].is_adopted)
                policy_ca->adopt_certificate = (char *)"old.crt";
        reopen();
        if (now < begin + retirements[_i].at) {
                ck_assert_int_eq(retire(1), -EAGAIN); /* the key of an imported one is wiped */
                remember_state(before);
                now = begin + retirements[_i].at - 1;
                ck_assert_int_eq(retire(1), -EAGAIN);
                remember_state(after);
                ck_assert_str_eq(before, after);
        }
        now = begin + retirements[_i].at;
        expect_done(retire(1));
        ck_assert_int_ne(judge_run("ls ca/main/G1.key"), 0);
        ck_assert_int_eq(judge_run("ls ca/main/G1.crt"), 0);
}
END_TEST

/* Without a leaf of its own, but on the way from the first to the third. */
START_TEST(keeps_one_that_a_chain_leads_through)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_ca();
        roll_over();
        expect_done(prepare());
        expect_done(announce(3));
        now += 7 * DAY;
        expect_done(activate(3));
        observe(&observed);
        ck_assert_int_eq(retire(2), -EAGAIN);
        ck_assert_ptr_nonnull(strstr(error.text, "its cross-certificate"));
        now = observed.generations[1].cross_facts.not_after_usec - 1;
        ck_assert_int_eq(retire(2), -EAGAIN);
        now++;
        expect_done(retire(2));
}
END_TEST

START_TEST(makes_no_cross_where_the_current_one_has_expired)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_ca();
        now += 100 * DAY;
        expect_done(prepare());
        observe(&observed);
        ck_assert_ptr_null(observed.generations[1].cross);
        expect_done(activate(2));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 2);
}
END_TEST

START_TEST(makes_the_first_one_as_next_where_readers_trust_others)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        uint32_t generation;

        ck_assert_int_eq(prepare(), -ENOENT);
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_NEXT, now, backdate, &error), 1);
        ck_assert_int_eq(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error), 0);
        observe(&observed);
        ck_assert_uint_eq(observed.generations[0].phase, AUTHORITY_NEXT);
        ck_assert_int_eq(ca_issuer(&ca, "main", now, &issuer, &generation, &error), -ENOENT);
        ck_assert_str_eq(error.text, "authority main has no CA that signs yet");
        ck_assert_int_eq(prepare(), 0);
        expect_done(announce(1));
        expect_done(activate(1));
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 1);
        expect_ledger("prepared 1,announced 1,activated 1,issued 1,");
}
END_TEST

/* What a version without a rollover has written. */
START_TEST(goes_on_from_a_state_without_marks)
{
        make_ca();
        ck_assert_int_eq(judge_run("rm ca/main/G1.active ca/main/G1.prepared"), 0);
        reopen();
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 1);
        roll_over();
        ck_assert_uint_eq(issue_leaf(&policy_leaves[0], NULL), 2);
        now += 30 * DAY;
        expect_done(retire(1));
}
END_TEST

START_TEST(carries_out_a_changed_subject_and_key_type)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        make_ca();
        ca_subject[1].value = (char *)"trunk";
        policy_ca->key = KEY_ECDSA_P384;
        expect_done(prepare());
        observe(&observed);
        ck_assert_uint_eq(observed.generations[0].key_type, 1 + KEY_ECDSA_P256);
        ck_assert_uint_eq(observed.generations[1].key_type, 1 + KEY_ECDSA_P384);
        ck_assert_msg(strncmp(observed.generations[1].subject, "C=CN, CN=trunk G2 ", 18) == 0, "%s",
                      observed.generations[1].subject);
        ck_assert_int_eq(judge_run("openssl pkey -in ca/main/G2.key -noout -text | grep P-384"), 0);
}
END_TEST

START_TEST(hears_of_leaves_that_the_ledger_does_not_know)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        StatementEnd end = {.not_after_usec = now + 3 * DAY};
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        CertFacts leaf;

        make_ca();
        issue_leaf(&policy_leaves[0], &leaf);
        observe(&observed);
        remember_state(before);
        /* Nobody's, and one that it knows. */
        ck_assert_int_eq(statement_hear(&ca, policy_ca, &end, 1, now, &error), 0);
        memcpy(end.key_id, observed.generations[0].facts.key_id, CERT_KEY_ID);
        end.not_after_usec = leaf.not_after_usec;
        remember_state(after);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(statement_hear(&ca, policy_ca, &end, 1, now, &error), 0);
        ck_assert_str_eq(text_content(&notes), "");
        /* The ledger is not read again for what it was found to know. */
        ck_assert_int_eq(judge_run("mv ledger.jsonl away"), 0);
        reopen();
        ck_assert_int_eq(statement_hear(&ca, policy_ca, &end, 1, now, &error), 0);
        ck_assert_int_eq(judge_run("mv away ledger.jsonl"), 0);
        reopen();

        end.not_after_usec += USEC_PER_SEC;
        ck_assert_int_eq(statement_hear(&ca, policy_ca, &end, 1, now, &error), 1);
        ck_assert_ptr_nonnull(strstr(text_content(&notes), "is not in the ledger"));
        ck_assert_int_eq(statement_hear(&ca, policy_ca, &end, 1, now, &error), 0);
        observe(&observed);
        ck_assert(observed.generations[0].is_incomplete);
        expect_ledger("authority 1,issued 1,incomplete 1,");
        roll_over();
        now = leaf.not_after_usec + backdate;
        ck_assert_int_eq(retire(1), -EAGAIN);
}
END_TEST

START_TEST(stops_before_an_answer_cannot_hold_them)
{
        make_ca();
        for (uint32_t number = 2; number <= OBSERVED_GENERATIONS_MAX; number++) {
                issue_leaf(&policy_leaves[0], NULL);
                expect_done(prepare());
                expect_done(announce(number));
                now += 7 * DAY;
                policy_ca->lifetime_usec += 100 * DAY;
                policy_leaves[0].lifetime_usec += 100 * DAY;
                expect_done(activate(number));
        }
        ck_assert_int_eq(prepare(), -E2BIG);
        ck_assert_int_eq(emergency(OBSERVED_GENERATIONS_MAX), -E2BIG);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("turn");
        TCase *tc = tcase_create("turn");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, goes_from_one_generation_to_the_next);
        tcase_add_test(tc, does_each_turn_once);
        tcase_add_loop_test(tc, refuses_what_is_out_of_turn_and_changes_nothing, 0,
                            ELEMENTSOF(refusals));
        tcase_add_loop_test(tc, activates_no_sooner_than_it_may, 0, ELEMENTSOF(activations));
        tcase_add_test(tc, counts_distribute_from_a_stamp_that_never_moves);
        tcase_add_test(tc, follows_the_policy_as_it_is_when_asked);
        tcase_add_loop_test(tc, retires_no_sooner_than_it_may, 0, ELEMENTSOF(retirements));
        tcase_add_test(tc, keeps_one_that_a_chain_leads_through);
        tcase_add_test(tc, makes_no_cross_where_the_current_one_has_expired);
        tcase_add_test(tc, makes_the_first_one_as_next_where_readers_trust_others);
        tcase_add_test(tc, goes_on_from_a_state_without_marks);
        tcase_add_test(tc, carries_out_a_changed_subject_and_key_type);
        tcase_add_test(tc, hears_of_leaves_that_the_ledger_does_not_know);
        tcase_add_test(tc, stops_before_an_answer_cannot_hold_them);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
