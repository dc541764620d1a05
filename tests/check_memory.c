/*
 * Back-off, and what is carried over to a changed policy.
 */
#include "common/clock.h"
#include "daemon/memory.h"

#include <check.h>
#include <string.h>

#define SECOND USEC_PER_SEC
#define HOUR (3600 * SECOND)

static int64_t nth_wait(int64_t check_every, int64_t left, unsigned n)
{
        Policy policy = {.check_every_usec = check_every};
        Attempt attempt = {0};
        int64_t wait;

        for (unsigned i = 0; i < n; i++)
                attempt_failed(&attempt, &policy, 1000 * SECOND, left, "it failed");
        ck_assert_uint_eq(attempt.failures, n);
        wait = attempt.retry_boot_usec - 1000 * SECOND;
        attempt_succeeded(&attempt);
        return wait;
}

START_TEST(back_off_doubles_within_its_bounds)
{
        static const struct {
                int64_t check_every, left;
                unsigned failures;
                int64_t wait;
        } waits[] = {
                {900 * SECOND, 240 * HOUR, 1, 5 * SECOND},
                {900 * SECOND, 240 * HOUR, 2, 10 * SECOND},
                {900 * SECOND, 240 * HOUR, 3, 20 * SECOND},
                {900 * SECOND, 240 * HOUR, 10, 2560 * SECOND},
                {900 * SECOND, 240 * HOUR, 11, HOUR},
                {900 * SECOND, 240 * HOUR, 1000, HOUR},
                {SECOND, 240 * HOUR, 1, SECOND},
                {SECOND, 240 * HOUR, 3, 4 * SECOND},
                /* A tenth of what is left. */
                {900 * SECOND, 100 * SECOND, 1, 5 * SECOND},
                {900 * SECOND, 100 * SECOND, 2, 10 * SECOND},
                {900 * SECOND, 100 * SECOND, 3, 10 * SECOND},
                {900 * SECOND, 20 * SECOND, 1, 2 * SECOND},
                {900 * SECOND, SECOND, 9, SECOND / 10},
                /* No busy loop at the end, and none after it. */
                {900 * SECOND, 1, 1, SECOND / 100},
                {900 * SECOND, 0, 1, 5 * SECOND},
                {900 * SECOND, -HOUR, 4, 5 * SECOND},
                {SECOND, 0, 1, SECOND},
        };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++)
                ck_assert_int_eq(nth_wait(waits[i].check_every, waits[i].left, waits[i].failures),
                                 waits[i].wait);
}
END_TEST

START_TEST(an_attempt_waits_until_its_time)
{
        Policy policy = {.check_every_usec = 900 * SECOND};
        Attempt attempt = {0};

        ck_assert(!attempt_is_waiting(&attempt, 0));
        attempt_failed(&attempt, &policy, 100, HOUR, "first");
        ck_assert(attempt_is_waiting(&attempt, 100));
        ck_assert(attempt_is_waiting(&attempt, 99 + 5 * SECOND));
        ck_assert(!attempt_is_waiting(&attempt, 100 + 5 * SECOND));
        ck_assert_str_eq(attempt.error, "first");
        attempt_failed(&attempt, &policy, 200, HOUR, "second");
        ck_assert_str_eq(attempt.error, "second");
        attempt_succeeded(&attempt);
        ck_assert_uint_eq(attempt.failures, 0);
        ck_assert_ptr_null(attempt.error);
        ck_assert(!attempt_is_waiting(&attempt, 0));
}
END_TEST

START_TEST(failing_for_ever_overflows_nothing)
{
        Policy policy = {.check_every_usec = INT64_MAX / 2};
        Attempt attempt = {.failures = UINT32_MAX - 1};

        for (int i = 0; i < 3; i++)
                attempt_failed(&attempt, &policy, INT64_MAX - 5, INT64_MAX, "again");
        ck_assert_uint_eq(attempt.failures, UINT32_MAX);
        ck_assert_int_eq(attempt.retry_boot_usec, INT64_MAX);
        attempt_succeeded(&attempt);
}
END_TEST

/* The shape of a policy: names alone matter here. */
static const char policy_text[] =
        "version: 1\n"
        "authorities:\n"
        "  main: { subject: { CN: root } }\n"
        "certificates:\n"
        "  %s: { use: server, authority: main, names: [localhost], directory: /nonexistent/%s,\n"
        "    owner: nobody }\n"
        "  server: { use: server, authority: main, names: [localhost],\n"
        "    directory: /nonexistent/server, owner: nobody }\n"
        "clusters:\n"
        "  %s: { data_directory: /nonexistent/a, certificate: server }\n"
        "  main: { data_directory: %s, certificate: server }\n";

static Policy *parse_at(const char *name, const char *data)
{
        Policy *policy = NULL;
        _cleanup_(errors_done) Errors errors = {0};
        Text text = {0};

        text_addf(&text, policy_text, name, name, name, data);
        if (policy_parse("test.yaml", text_content(&text), text.size, &policy, &errors) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        text_done(&text);
        return policy;
}

static Policy *parse(const char *name)
{
        return parse_at(name, "/nonexistent/b");
}

static Memory *remembering(const Policy *policy)
{
        Memory *memory = NULL;

        ck_assert_int_eq(memory_new(policy, &memory, NULL), 0);
        memory->certificates[1].is_requested = true;
        ck_assert(memory_issued(&memory->certificates[1], &(CertFacts){.sha256 = {7}}));
        attempt_failed(&memory->certificates[1].attempt, policy, 0, HOUR, "disk full");
        memory->clusters[1].has_proven = true;
        memory->clusters[1].proven[0] = 7;
        memory->clusters[1].is_refused = true;
        memory->clusters[1].checked_boot_usec = 5;
        memory->clusters[1].unusable = strdup("plaintext was accepted");
        attempt_failed(&memory->clusters[1].attempt, policy, 0, HOUR, "timed out");
        attempt_failed(&memory->authorities[0].attempt, policy, 0, HOUR, "no signer");
        return memory;
}

START_TEST(a_copy_for_the_same_policy_is_whole)
{
        _cleanup_(policy_unrefp) Policy *policy = parse("other");
        _cleanup_(memory_freep) Memory *memory = remembering(policy), *copy = NULL;

        ck_assert_int_eq(memory_adopt(memory, policy, policy, &copy, NULL), 0);
        memory_free(TAKE_PTR(memory));
        ck_assert(copy->certificates[1].is_requested && copy->certificates[1].wanted);
        ck_assert_str_eq(copy->certificates[1].attempt.error, "disk full");
        ck_assert_uint_eq(copy->certificates[0].attempt.failures, 0);
        ck_assert_str_eq(copy->clusters[1].attempt.error, "timed out");
        ck_assert_str_eq(copy->clusters[1].unusable, "plaintext was accepted");
        ck_assert(copy->clusters[1].is_refused && copy->clusters[1].has_proven);
        ck_assert_uint_eq(copy->authorities[0].attempt.failures, 1);
}
END_TEST

START_TEST(a_proof_is_of_one_data_directory)
{
        _cleanup_(policy_unrefp) Policy *policy = parse("other");
        _cleanup_(policy_unrefp) Policy *moved = parse_at("other", "/nonexistent/c");
        _cleanup_(memory_freep) Memory *memory = remembering(policy), *copy = NULL;

        ck_assert_int_eq(memory_adopt(memory, policy, moved, &copy, NULL), 0);
        ck_assert(!copy->clusters[1].has_proven);
}
END_TEST

START_TEST(a_wanted_leaf_that_is_on_disk_is_not_kept_twice)
{
        const CertFacts issued = {.sha256 = {7}}, other = {.sha256 = {8}};
        MemoryCertificate certificate = {0};

        memory_settle_wanted(&certificate, &issued);
        ck_assert_ptr_null(memory_wanted(&certificate, &issued));
        ck_assert(memory_issued(&certificate, &issued));
        memory_settle_wanted(&certificate, &other);
        ck_assert_mem_eq(memory_wanted(&certificate, &other), &issued, sizeof issued);
        memory_settle_wanted(&certificate, &issued);
        ck_assert_ptr_null(certificate.wanted);
        ck_assert_ptr_eq(memory_wanted(&certificate, &issued), &issued);
        /* What the next look finds is not what was wanted. */
        ck_assert(memory_recall_wanted(&certificate, &issued));
        ck_assert_mem_eq(memory_wanted(&certificate, &other), &issued, sizeof issued);
        free(certificate.wanted);
}
END_TEST

START_TEST(a_changed_policy_clears_every_back_off_and_keeps_the_proofs)
{
        _cleanup_(policy_unrefp) Policy *policy = parse("other"), *changed = parse("zebra");
        _cleanup_(memory_freep) Memory *memory = remembering(policy), *copy = NULL;

        memory->certificates[0].is_requested = true; /* of "other", which goes */
        ck_assert_int_eq(memory_adopt(memory, policy, changed, &copy, NULL), 0);
        ck_assert(!copy->certificates[0].is_requested);
        ck_assert(copy->certificates[1].is_requested);
        ck_assert_uint_eq(copy->certificates[1].wanted->sha256[0], 7);
        ck_assert_uint_eq(copy->certificates[1].attempt.failures, 0);
        ck_assert_ptr_null(copy->certificates[1].attempt.error);
        ck_assert_uint_eq(copy->clusters[1].attempt.failures, 0);
        ck_assert(copy->clusters[1].has_proven && copy->clusters[1].proven[0] == 7);
        ck_assert(!copy->clusters[1].is_refused);
        ck_assert_int_eq(copy->clusters[1].checked_boot_usec, 0);
        ck_assert_ptr_null(copy->clusters[1].unusable);
        ck_assert(!copy->clusters[0].has_proven);
        ck_assert_uint_eq(copy->authorities[0].attempt.failures, 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("memory");
        TCase *tcase = tcase_create("memory");

        tcase_add_test(tcase, back_off_doubles_within_its_bounds);
        tcase_add_test(tcase, a_proof_is_of_one_data_directory);
        tcase_add_test(tcase, an_attempt_waits_until_its_time);
        tcase_add_test(tcase, failing_for_ever_overflows_nothing);
        tcase_add_test(tcase, a_copy_for_the_same_policy_is_whole);
        tcase_add_test(tcase, a_wanted_leaf_that_is_on_disk_is_not_kept_twice);
        tcase_add_test(tcase, a_changed_policy_clears_every_back_off_and_keeps_the_proofs);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
