/* common/duration: spans in and out. */
#include "common/clock.h"
#include "common/duration.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define DAY (86400 * USEC_PER_SEC)
#define YEAR (INT64_C(31557600) * USEC_PER_SEC)

static const struct {
        const char *text;
        int64_t usec;
} spans[] = {
        {"30d", 30 * DAY},
        {"1h 30min", 5400 * USEC_PER_SEC},
        {"1h30min", 5400 * USEC_PER_SEC},
        {"5y", 5 * YEAR},
        {"1 year 2 days", YEAR + 2 * DAY},
        {"1month", YEAR / 12},
        {"1M", YEAR / 12},
        {"1m", 60 * USEC_PER_SEC},
        {"2w", 14 * DAY},
        {"1.5h", 5400 * USEC_PER_SEC},
        {"0.25s", 250 * USEC_PER_MSEC},
        {"250ms", 250 * USEC_PER_MSEC},
        {"7us", 7},
        {"7\u00B5s", 7},
        {" 1d ", DAY},
        {"0s", 0},
        {"1000y", 1000 * YEAR},
};

START_TEST(reads_spans_as_systemd_time_does)
{
        Error error = {0};
        int64_t usec = -1;

        ck_assert_msg(duration_parse(spans[_i].text, &usec, &error) == 0, "%s: %s", spans[_i].text,
                      error.text);
        ck_assert_msg(usec == spans[_i].usec, "%s: %jd", spans[_i].text, (intmax_t)usec);
}
END_TEST

static const struct {
        const char *text;
        int code;
        const char *says;
} refused[] = {
        {"30 dayz", EINVAL,
         "\"30 dayz\" is not a time span. HINT: Write 30d; see systemd.time(7)."},
        {"5minuts", EINVAL,
         "\"5minuts\" is not a time span. HINT: Write 5min; see systemd.time(7)."},
        {"30", EINVAL,
         "\"30\" is a time span without a unit. HINT: Write 30d, 30h, 30min or 30s; see "
         "systemd.time(7)."},
        {"0", EINVAL,
         "\"0\" is a time span without a unit. HINT: Write 0d, 0h, 0min or 0s; see "
         "systemd.time(7)."},
        {"", EINVAL, "\"\" is not a time span. HINT: Write for example 30d; see systemd.time(7)."},
        {"soon", EINVAL,
         "\"soon\" is not a time span. HINT: Write for example 30d; see systemd.time(7)."},
        {"infinity", EINVAL,
         "\"infinity\" is not a time span. HINT: Write for example 30d; see systemd.time(7)."},
        {"-1d", EINVAL,
         "\"-1d\" is not a time span. HINT: Write for example 30d; see systemd.time(7)."},
        {"1d 5", EINVAL, "\"1d 5\" is not a time span. HINT: Write 1d; see systemd.time(7)."},
        {"1.d", EINVAL,
         "\"1.d\" is not a time span. HINT: Write for example 30d; see systemd.time(7)."},
        {"1.0000000001d", EINVAL, NULL},
        {"1001y", ERANGE, "\"1001y\" is more than 1000 years"},
        {"1000y 1us", ERANGE, "\"1000y 1us\" is more than 1000 years"},
        {"99999999999999999999999y", ERANGE, NULL},
        {"99999999999999999999999y 99999999999999999999999y 1x", EINVAL, NULL},
};

START_TEST(refuses_what_is_no_span)
{
        Error error = {0};
        int64_t usec = -1;

        ck_assert_int_eq(duration_parse(refused[_i].text, &usec, &error), -refused[_i].code);
        ck_assert_int_eq(usec, -1);
        if (refused[_i].says)
                ck_assert_str_eq(error.text, refused[_i].says);
}
END_TEST

static const struct {
        int64_t usec;
        const char *exact;
        const char *rough;
} written[] = {
        {0, "0s", "0s"},
        {10 * DAY, "10d", "10d"},
        {5400 * USEC_PER_SEC, "1h 30min", "1h 30min"},
        {5 * YEAR, "5y", "5y"},
        {5 * YEAR / 3, "608d 18h", "1y 243d"},
        {30 * DAY - 1, "29d 23h 59min 59s 999ms 999us", "29d 23h"},
        {YEAR + DAY, "366d 6h", "1y 1d"},
        {DAY + 5 * USEC_PER_SEC, "1d 5s", "1d"},
        {1, "1us", "1us"},
        {-DAY, "-1d", "-1d"},
};

START_TEST(writes_spans_exactly_and_roughly)
{
        char buffer[DURATION_TEXT_MAX];

        ck_assert_str_eq(duration_format(written[_i].usec, buffer), written[_i].exact);
        ck_assert_str_eq(duration_format_rough(written[_i].usec, buffer), written[_i].rough);
}
END_TEST

START_TEST(reads_back_what_it_writes)
{
        char buffer[DURATION_TEXT_MAX];
        int64_t again;

        for (int64_t usec = 1; usec < 1000 * YEAR / 7; usec = usec * 7 + 3) {
                duration_format(usec, buffer);
                ck_assert_msg(duration_parse(buffer, &again, NULL) == 0, "%s", buffer);
                ck_assert_int_eq(again, usec);
        }
        duration_format(INT64_MAX, buffer);
        duration_format_rough(INT64_MIN, buffer);
}
END_TEST

static Suite *suite(void)
{
        Suite *result = suite_create("duration");
        TCase *cases = tcase_create("spans");

        tcase_add_loop_test(cases, reads_spans_as_systemd_time_does, 0, ELEMENTSOF(spans));
        tcase_add_loop_test(cases, refuses_what_is_no_span, 0, ELEMENTSOF(refused));
        tcase_add_loop_test(cases, writes_spans_exactly_and_roughly, 0, ELEMENTSOF(written));
        tcase_add_test(cases, reads_back_what_it_writes);
        suite_add_tcase(result, cases);
        return result;
}

#include "tests/check_main.h"
