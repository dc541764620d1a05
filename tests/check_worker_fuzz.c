/*
 * A worker that is sent thousands of changed requests, by somebody who holds the socket and knows
 * the tag: it lives, and what is not the policy's own stays as it was.
 */
#include "tests/worker_requests.h"

enum { ROUNDS = 3000 };

static uint64_t seed = 0x9E3779B97F4A7C15;

static uint64_t next_random(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

/* Changes a few bytes behind the tag, and sometimes the verb, the size or all. */
static void mutate(void)
{
        for (uint64_t n = 1 + next_random() % 4; n > 0 && message->size > 10; n--) {
                size_t at = 10 + next_random() % (message->size - 10);

                if (next_random() % 2)
                        message->data[at] = (uint8_t)next_random();
                else
                        message->data[at] ^= (uint8_t)(1 << next_random() % 8);
        }
        if (next_random() % 16 == 0)
                message->data[1] = (uint8_t)(next_random() % 12);
        if (next_random() % 16 == 0)
                message->size = 1 + next_random() % message->size;
        if (next_random() % 16 == 0)
                for (uint64_t n = next_random() % 200; n > 0; n--)
                        wire_put_u8(message, (uint8_t)next_random());
}

static void send_bytes(void)
{
        message->bad = false;
        ck_assert_msg(
                wire_send(fd, message, clock_boottime() + CALL_SECONDS * USEC_PER_SEC, &error) == 0,
                "%s", error.text);
}

/* Receives until the answer to what was sent last: a verb that there is not. It is sent twice,
 * since an observation may have taken the first for its continuation. */
static void await_answers(unsigned round)
{
        uint8_t verb = (uint8_t)(200 + round % 50), got;

        wire_request(message, (WireVerb)255, tag);
        send_bytes();
        wire_request(message, (WireVerb)verb, tag);
        send_bytes();
        do {
                ck_assert_msg(wire_receive(fd, message,
                                           clock_boottime() + CALL_SECONDS * USEC_PER_SEC,
                                           &error) == 0,
                              "round %u: %s", round, error.text);
                got = message->data[1];
        } while (got != verb);
}

START_TEST(survives_thousands_of_changed_requests)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        make_leaves();
        remember("./mine*", before);
        for (unsigned round = 0; round < ROUNDS; round++) {
                valid[next_random() % ELEMENTSOF(valid)]();
                mutate();
                send_bytes();
                await_answers(round);
        }
        remember("./mine*", after);
        ck_assert_str_eq(before, after);
        /* And it is as good as new. */
        rotate("server");
        rotate("client");
        ck_assert_int_eq(judge_run("openssl verify -CAfile mine/server/root.crt "
                                   "mine/server/server.crt && cat log"),
                         0);
        ck_assert_str_eq(judge_output, "mine/server/server.crt: OK\n");
        ck_assert_int_eq(stop(), 0);
        free_leaves();
}
END_TEST

START_TEST(survives_random_bytes)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];

        remember("", before);
        for (unsigned round = 0; round < ROUNDS; round++) {
                wire_request(message, (WireVerb)(next_random() % 12), tag);
                for (uint64_t n = next_random() % 100; n > 0; n--)
                        wire_put_u8(message, (uint8_t)(next_random() % 3 ? next_random() % 8
                                                                         : next_random()));
                send_bytes();
                await_answers(round);
        }
        remember("", after);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("worker_fuzz");
        TCase *tcase = tcase_create("worker_fuzz");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 100);
        tcase_add_test(tcase, survives_thousands_of_changed_requests);
        tcase_add_test(tcase, survives_random_bytes);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
