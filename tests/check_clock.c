/*
 * Instants as text, and sums at the ends of their range.
 */
#include "common/clock.h"

#include <check.h>
#include <string.h>

START_TEST(formats_instants)
{
        static const struct {
                int64_t usec;
                const char *text;
        } table[] = {
                {0, "1970-01-01T00:00:00Z"},
                {1, "1970-01-01T00:00:00Z"},
                {-1, "1969-12-31T23:59:59Z"},
                {-USEC_PER_SEC, "1969-12-31T23:59:59Z"},
                {-USEC_PER_SEC - 1, "1969-12-31T23:59:58Z"},
                {INT64_C(951782399) * USEC_PER_SEC, "2000-02-28T23:59:59Z"},
                {INT64_C(951782400) * USEC_PER_SEC, "2000-02-29T00:00:00Z"},
                {INT64_C(1769860800) * USEC_PER_SEC + 999999, "2026-01-31T12:00:00Z"},
                {INT64_C(2147483648) * USEC_PER_SEC, "2038-01-19T03:14:08Z"},
                {INT64_C(253402300799) * USEC_PER_SEC, "9999-12-31T23:59:59Z"},
                {USEC_INFINITY, "never"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char buffer[CLOCK_TEXT_MAX];

                ck_assert_ptr_eq(clock_format(table[i].usec, buffer), buffer);
                ck_assert_str_eq(buffer, table[i].text);
        }
}
END_TEST

START_TEST(formats_the_ends_of_the_range)
{
        char buffer[CLOCK_TEXT_MAX];

        ck_assert_uint_gt(strlen(clock_format(INT64_MIN, buffer)), 0);
        ck_assert_uint_gt(strlen(clock_format(INT64_MAX - 1, buffer)), 0);
}
END_TEST

START_TEST(adds_within_the_range)
{
        ck_assert_int_eq(usec_add(1, 2), 3);
        ck_assert_int_eq(usec_add(-5, 2), -3);
        ck_assert_int_eq(usec_add(USEC_INFINITY, 0), USEC_INFINITY);
        ck_assert_int_eq(usec_add(USEC_INFINITY, 1), USEC_INFINITY);
        ck_assert_int_eq(usec_add(1, USEC_INFINITY), USEC_INFINITY);
        ck_assert_int_eq(usec_add(USEC_INFINITY, -1), USEC_INFINITY - 1);
        ck_assert_int_eq(usec_add(INT64_MIN, -1), INT64_MIN);
        ck_assert_int_eq(usec_add(-1, INT64_MIN), INT64_MIN);
        ck_assert_int_eq(usec_add(INT64_MIN, INT64_MAX), -1);
}
END_TEST

START_TEST(goes_forward)
{
        int64_t boot = clock_boottime();

        ck_assert_int_gt(boot, 0);
        for (unsigned i = 0; i < 1000; i++) {
                int64_t next = clock_boottime();

                ck_assert_int_ge(next, boot);
                boot = next;
        }
        ck_assert_int_gt(clock_realtime(), INT64_C(1500000000) * USEC_PER_SEC);
}
END_TEST

START_TEST(believes_a_stamp_that_is_fresh)
{
        static const struct {
                int64_t age_sec;
                ClockSync expected;
        } table[] = {
                {0, CLOCK_SYNCHRONISED},
                {2048, CLOCK_SYNCHRONISED},
                {4096, CLOCK_SYNCHRONISED},
                {4097, CLOCK_UNSYNCHRONISED},   /* nobody steers it any more, */
                {86400, CLOCK_UNSYNCHRONISED},  /* or it was set forward by hand, */
                {-86400, CLOCK_UNSYNCHRONISED}, /* or back */
                {-1, CLOCK_SYNCHRONISED},       /* within the file system's second */
        };
        const int64_t now = INT64_C(1796212800) * USEC_PER_SEC;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                ck_assert_int_eq(clock_judge_stamp(now - table[i].age_sec * USEC_PER_SEC, now),
                                 table[i].expected);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("clock");
        TCase *tcase = tcase_create("clock");

        tcase_add_test(tcase, formats_instants);
        tcase_add_test(tcase, formats_the_ends_of_the_range);
        tcase_add_test(tcase, adds_within_the_range);
        tcase_add_test(tcase, goes_forward);
        tcase_add_test(tcase, believes_a_stamp_that_is_fresh);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
