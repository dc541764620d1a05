/*
 * The worker's request boundary: what is malformed or not granted is answered by an error and
 * changes nothing; whatever comes, it lives, and touches nothing but the policy's own.
 */
#include "tests/worker_refusals.h"

START_TEST(refuses_what_is_malformed_or_not_granted)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        int r;

        make_leaves();
        remember("", before);
        refusals[_i].ask();
        r = call((WireVerb)message->data[1]);
        ck_assert_int_lt(r, 0);
        if (refusals[_i].code)
                ck_assert_msg(r == refusals[_i].code, "%d: %s", r, error.text);
        ck_assert_int_ne(error.text[0], '\0');
        remember("", after);
        ck_assert_str_eq(before, after);
        /* And it goes on as if nothing had been. */
        ask_fill("server", number, leaf);
        ck_assert_msg(call(WIRE_FILL) == 0, "%s", error.text);
        ck_assert_msg(publish("server") == 0, "%s", error.text);
        ck_assert_int_eq(stop(), 0);
        free_leaves();
}
END_TEST

START_TEST(rotates_what_is_granted)
{
        rotate("server");
        rotate("client");
        rotate("server");
        ck_assert_int_eq(judge_run("openssl verify -CAfile mine/server/root.crt "
                                   "mine/server/server.crt && ls other"),
                         0);
        ck_assert_str_eq(judge_output, "mine/server/server.crt: OK\n");
        ck_assert_int_eq(stop(), 0);
        judge_run("cat log");
        ck_assert_str_eq(judge_output, "");
}
END_TEST

START_TEST(publishes_nothing_where_nothing_is_staged)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        remember("", before);
        ck_assert_int_lt(publish("client"), 0);
        ck_assert_int_ne(error.text[0], '\0');
        wire_request(message, WIRE_PUBLISH, tag);
        ck_assert_int_eq(call(WIRE_PUBLISH), 0);
        ck_assert_uint_eq(wire_get_u8(message), 0);
        remember("", after);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(bounds_the_time_it_is_told)
{
        static const int64_t timeouts[] = {INT64_MIN, -1, 0, INT64_MAX};

        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++) {
                ask(WIRE_PROVE, "main");
                wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
                wire_put_i64(message, timeouts[i]);
                ck_assert_msg(call(WIRE_PROVE) == 0, "%s", error.text);
                ask(WIRE_LOGIN, "main");
                wire_put_i64(message, timeouts[i]);
                ck_assert(call(WIRE_LOGIN) == 0 || error.code != EPIPE);
        }
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(judges_by_the_policy_as_it_is)
{
        uint64_t old = tag;

        rotate("client");
        write_policy("root", other);
        ck_assert_uint_ne(tag, old);
        stage_of("client");
        ck_assert_int_eq(call(WIRE_STAGE), -EPERM);
        tag = old;
        stage_of("client");
        ck_assert_int_eq(call(WIRE_STAGE), -ESTALE);
        ck_assert_int_eq(judge_run("echo 'nonsense: 1' >>policy.yaml"), 0);
        stage_of("client");
        ck_assert_int_eq(call(WIRE_STAGE), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "nonsense"));
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(ends_with_its_connection)
{
        int64_t begin;

        rotate("client");
        begin = clock_boottime();
        ck_assert_int_eq(stop(), 0);
        ck_assert_int_lt(clock_boottime() - begin, USEC_PER_SEC / 2);
}
END_TEST

START_TEST(ends_when_idle)
{
        int64_t begin;

        rotate("client");
        begin = clock_boottime();
        ck_assert_int_eq(await_end(), 0);
        ck_assert_int_ge(clock_boottime() - begin, USEC_PER_SEC / 2);
        ck_assert_int_eq(wire_receive(fd, message, begin, &error), -EPIPE);
}
END_TEST

START_TEST(ends_at_an_oversize_message)
{
        static uint8_t bytes[WIRE_MESSAGE_MAX + 1];

        ck_assert_int_eq(send(fd, bytes, sizeof bytes, 0), sizeof bytes);
        ck_assert_int_eq(await_end(), 1);
        judge_run("cat log");
        ck_assert_ptr_nonnull(strstr(judge_output, "a connection failed: a message of 65537"));
}
END_TEST

/* A socket that breaks off at any size of every valid request. */
START_TEST(refuses_every_truncation)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        make_leaves();
        remember("", before);
        for (size_t i = 0; i < ELEMENTSOF(valid); i++) {
                size_t size;

                valid[i]();
                size = message->size;
                for (size_t cut = 1; cut < size; cut++) {
                        uint8_t verb;

                        valid[i]();
                        verb = message->data[1];
                        message->size = cut;
                        /* Whole without any name, or without any digest. */
                        if ((cut == 10 && (verb == WIRE_PUBLISH || verb == WIRE_PRUNE)) ||
                            (cut == 11 && verb == WIRE_OBSERVE))
                                continue;
                        ck_assert_int_lt(call((WireVerb)(cut > 1 ? verb : 0)), 0);
                        ck_assert_int_ne(error.code, EPIPE);
                }
        }
        remember("", after);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(stop(), 0);
        free_leaves();
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("worker");
        TCase *tcase = tcase_create("worker");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, refuses_what_is_malformed_or_not_granted, 0,
                            ELEMENTSOF(refusals));
        tcase_add_test(tcase, rotates_what_is_granted);
        tcase_add_test(tcase, publishes_nothing_where_nothing_is_staged);
        tcase_add_test(tcase, bounds_the_time_it_is_told);
        tcase_add_test(tcase, judges_by_the_policy_as_it_is);
        tcase_add_test(tcase, refuses_every_truncation);
        tcase_add_test(tcase, ends_with_its_connection);
        tcase_add_test(tcase, ends_when_idle);
        tcase_add_test(tcase, ends_at_an_oversize_message);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
