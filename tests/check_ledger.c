#include "daemon/signer/ledger.h"

#include "common/clock.h"

#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static Error error;
static Ledger *ledger;
static int fd;

static CertFacts facts(const char *serial, int64_t not_after_sec)
{
        CertFacts result = {.not_before_usec = 0, .not_after_usec = not_after_sec * USEC_PER_SEC};

        strcpy(result.serial, serial);
        result.sha256[0] = 0xab;
        return result;
}

static void reopen(void)
{
        ledger = ledger_close(ledger);
        ck_assert_msg(ledger_open(fd, &ledger, &error) == 0, "%s", error.text);
}

static void setup(void)
{
        judge_setup();
        fd = open(judge_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        reopen();
}

static void teardown(void)
{
        ledger = ledger_close(ledger);
        close(fd);
        judge_teardown();
}

static int add_leaf(const char *serial, const char *authority, uint32_t generation,
                    int64_t not_after_sec)
{
        CertFacts leaf = facts(serial, not_after_sec);
        LedgerEntry entry = {.event = LEDGER_ISSUED,
                             .authority = authority,
                             .generation = generation,
                             .certificate = "server",
                             .use = POLICY_SERVER,
                             .facts = &leaf};

        return ledger_add(ledger, &entry, 1, 1000 * USEC_PER_SEC, &error);
}

START_TEST(writes_lines_that_others_can_read)
{
        CertFacts ca = facts("0a", 86400), leaf = facts("7fffffffffffffff", 2524608000);
        LedgerEntry entries[] = {
                {.event = LEDGER_AUTHORITY, .authority = "main", .generation = 1, .facts = &ca},
                {.event = LEDGER_ISSUED,
                 .authority = "main",
                 .generation = 1,
                 .certificate = "app",
                 .use = POLICY_CLIENT,
                 .facts = &leaf},
        };

        ck_assert_int_eq(ledger_add(ledger, entries, 2, 1000500000, &error), 0);
        ck_assert_int_eq(judge_run("cat ledger.jsonl; stat -c %%a ledger.jsonl"), 0);
        ck_assert_str_eq(
                judge_output,
                "{\"version\":1,\"time\":\"1970-01-01T00:16:40Z\",\"event\":\"authority\","
                "\"authority\":\"main\",\"generation\":1,\"serial\":\"0a\","
                "\"sha256\":\"ab00000000000000000000000000000000000000000000000000000000000000\","
                "\"not_before\":\"1970-01-01T00:00:00Z\",\"not_after\":\"1970-01-02T00:00:00Z\"}\n"
                "{\"version\":1,\"time\":\"1970-01-01T00:16:40Z\",\"event\":\"issued\","
                "\"authority\":\"main\",\"generation\":1,\"certificate\":\"app\",\"use\":"
                "\"client\",\"serial\":\"7fffffffffffffff\","
                "\"sha256\":\"ab00000000000000000000000000000000000000000000000000000000000000\","
                "\"not_before\":\"1970-01-01T00:00:00Z\",\"not_after\":\"2050-01-01T00:00:00Z\"}\n"
                "600\n");
}
END_TEST

START_TEST(knows_what_it_was_told)
{
        LedgerSummary summary;

        ck_assert_int_eq(add_leaf("01", "main", 1, 300), 0);
        ck_assert_int_eq(add_leaf("02", "main", 1, 100), 0);
        ck_assert_int_eq(add_leaf("03", "main", 12, 900), 0);
        ck_assert_int_eq(add_leaf("04", "other", 1, 5000), 0);
        reopen();
        ck_assert_int_eq(ledger_knows(ledger, "main", "02", &error), 1);
        ck_assert_int_eq(ledger_knows(ledger, "other", "02", &error), 0);
        ck_assert_int_eq(ledger_knows(ledger, "main", "0", &error), 0);
        ck_assert_int_eq(ledger_knows(ledger, "main", "022", &error), 0);
        ck_assert_int_eq(ledger_summarize(ledger, "main", 1, &summary, &error), 0);
        ck_assert_uint_eq(summary.issued, 2);
        ck_assert_int_eq(summary.last_not_after_usec, 300 * USEC_PER_SEC);
        ck_assert_int_eq(ledger_summarize(ledger, "main", 0, &summary, &error), 0);
        ck_assert_uint_eq(summary.issued, 3);
        ck_assert_int_eq(summary.last_not_after_usec, 900 * USEC_PER_SEC);
        ck_assert_int_eq(ledger_summarize(ledger, "nobody", 0, &summary, &error), 0);
        ck_assert_uint_eq(summary.issued + summary.authorities, 0);
        ck_assert_int_eq(summary.last_not_after_usec, INT64_MIN);
}
END_TEST

/* Wherever the crash came: what was whole stays known, what comes after is not glued to the rest.
 */
START_TEST(goes_on_after_a_torn_line)
{
        _cleanup_(freep) char *bytes = NULL;
        size_t size;

        ck_assert_int_eq(add_leaf("01", "main", 1, 300), 0);
        ck_assert_int_eq(judge_run("cp ledger.jsonl whole"), 0);
        bytes = judge_read("whole", &size);
        for (size_t torn = 0; torn < size; torn++) {
                ck_assert_int_eq(
                        judge_run("head -c %zu whole >part; cat whole part >ledger.jsonl", torn),
                        0);
                reopen();
                ck_assert_int_eq(add_leaf("02", "main", 1, 300), 0);
                ck_assert_int_eq(ledger_knows(ledger, "main", "01", &error), 1);
                ck_assert_int_eq(ledger_knows(ledger, "main", "02", &error), 1);
        }
}
END_TEST

START_TEST(skips_lines_that_are_not_its_own)
{
        LedgerSummary summary;

        ck_assert_int_eq(judge_run("{ echo; echo junk; echo '{'; echo '{\"event\":\"issued\"}';"
                                   "head -c 100000 /dev/zero | tr '\\0' x; echo;"
                                   "printf '\\0\\0\\n'; } >ledger.jsonl"),
                         0);
        reopen();
        ck_assert_int_eq(add_leaf("01", "main", 1, 300), 0);
        ck_assert_int_eq(ledger_summarize(ledger, "main", 0, &summary, &error), 0);
        ck_assert_uint_eq(summary.issued, 1);
        ck_assert_int_eq(ledger_knows(ledger, "main", "01", &error), 1);
}
END_TEST

START_TEST(is_not_misled_by_text_inside_a_string)
{
        LedgerSummary summary;

        ck_assert_int_eq(add_leaf("01", "a\",\"authority\":\"main", 1, 300), 0);
        ck_assert_int_eq(ledger_summarize(ledger, "main", 0, &summary, &error), 0);
        ck_assert_uint_eq(summary.issued, 0);
}
END_TEST

START_TEST(follows_no_link)
{
        Ledger *other = NULL;

        ck_assert_int_eq(judge_run("rm ledger.jsonl; ln -s /tmp/elsewhere ledger.jsonl"), 0);
        ck_assert_int_eq(ledger_open(fd, &other, &error), -ELOOP);
        ck_assert_ptr_null(other);
}
END_TEST

/* A limit on the size of files stands for a full disk: the entry is torn in the middle. */
START_TEST(tells_when_it_cannot_write_and_recovers)
{
        struct rlimit limit, full;

        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(add_leaf("01", "main", 1, 300), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        full = (struct rlimit){.rlim_cur = 400, .rlim_max = limit.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
        ck_assert_int_eq(add_leaf("02", "main", 1, 300), -EFBIG);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(ledger_knows(ledger, "main", "02", &error), 0);
        ck_assert_int_eq(add_leaf("03", "main", 1, 300), 0);
        ck_assert_int_eq(ledger_knows(ledger, "main", "01", &error), 1);
        ck_assert_int_eq(ledger_knows(ledger, "main", "03", &error), 1);
        ck_assert_int_eq(judge_run("tail -c +401 ledger.jsonl | head -c 2"), 0);
        ck_assert_str_eq(judge_output, "\n{");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("ledger");
        TCase *tc = tcase_create("ledger");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, writes_lines_that_others_can_read);
        tcase_add_test(tc, knows_what_it_was_told);
        tcase_add_test(tc, goes_on_after_a_torn_line);
        tcase_add_test(tc, skips_lines_that_are_not_its_own);
        tcase_add_test(tc, is_not_misled_by_text_inside_a_string);
        tcase_add_test(tc, follows_no_link);
        tcase_add_test(tc, tells_when_it_cannot_write_and_recovers);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
