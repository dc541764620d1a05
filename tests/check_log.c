/*
 * Where an event goes and how it looks there. The journal is the test's own function in place of
 * libsystemd's.
 */
#include "common/log.h"

#include "common/events.h"
#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

static char fields[8192]; /* of the last entry, each with a newline behind */
static unsigned entries;
static int journal_answer;

int sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
                                   const struct iovec *vectors, int n)
{
        size_t size = 0;

        entries++;
        for (int i = 0; i < n; i++) {
                ck_assert_uint_lt(size + vectors[i].iov_len + 2, sizeof fields);
                memcpy(fields + size, vectors[i].iov_base, vectors[i].iov_len);
                size += vectors[i].iov_len;
                fields[size++] = '\n';
        }
        fields[size] = '\0';
        return journal_answer;
}

/* From here on standard error is a file; what is there is told by lines(). */
static void begin(const char *debug)
{
        char path[100];
        int fd;

        unsetenv("JOURNAL_STREAM");
        if (debug)
                setenv("PGCERTD_DEBUG", debug, 1);
        else
                unsetenv("PGCERTD_DEBUG");
        snprintf(path, sizeof path, "%s/log", judge_directory);
        fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_TRUNC | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        close(fd);
        entries = 0;
        log_init("pgcertd-test");
}

static const char *lines(void)
{
        judge_run("cat log");
        return judge_output;
}

/* As systemd does for a service whose standard error is the journal. */
static void name_stderr(unsigned long off)
{
        char stream[100];
        struct stat stat;

        ck_assert_int_eq(fstat(STDERR_FILENO, &stat), 0);
        snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)stat.st_dev,
                 (unsigned long)stat.st_ino + off);
        setenv("JOURNAL_STREAM", stream, 1);
        log_init("pgcertd-test");
}

START_TEST(writes_one_line_to_stderr)
{
        const LogField some[] = {{"PGCERTD_CLUSTER", "main"}, {NULL, NULL}};

        begin(NULL);
        errno = EXDEV;
        log_event(LOG_INFO, EVENT_STARTED, some, "started with %d sets", 3);
        ck_assert_int_eq(errno, EXDEV);
        log_plain(LOG_ERR, "second");
        ck_assert_str_eq(lines(), "pgcertd-test: started with 3 sets\npgcertd-test: second\n");
        ck_assert_uint_eq(entries, 0);
}
END_TEST

START_TEST(makes_control_characters_harmless)
{
        begin(NULL);
        log_plain(LOG_INFO, "a\nfaked: line\r\x1B[2J\x7F\tend");
        ck_assert_str_eq(lines(), "pgcertd-test: a faked: line  [2J  end\n");
}
END_TEST

START_TEST(makes_control_characters_of_utf8_harmless)
{
        begin(NULL);
        log_plain(LOG_INFO, "\xC2\x9B"
                            "2J \xC3\x9B \xE2\x82\xAC \xC2\xA0.");
        ck_assert_str_eq(lines(), "pgcertd-test:   2J \xC3\x9B \xE2\x82\xAC \xC2\xA0.\n");
}
END_TEST

START_TEST(cuts_what_is_too_long)
{
        char text[10000];

        begin(NULL);
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        log_plain(LOG_INFO, "%s", text);
        ck_assert_uint_eq(strlen(lines()), strlen("pgcertd-test: \n") + 4095);

        /* The limit falls into the last character: it goes as a whole. */
        begin(NULL);
        memcpy(text + 4094, "\xE2\x82\xAC", 3);
        log_plain(LOG_INFO, "%s", text);
        ck_assert_uint_eq(strlen(lines()), strlen("pgcertd-test: \n") + 4094);
}
END_TEST

START_TEST(leaves_debug_out_unless_asked)
{
        static const struct {
                const char *debug;
                bool is_told;
        } table[] = {{NULL, false}, {"", false}, {"0", false}, {"yes", false}, {"1", true}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                begin(table[i].debug);
                log_plain(LOG_DEBUG, "detail");
                ck_assert_str_eq(lines(), table[i].is_told ? "pgcertd-test: detail\n" : "");
                log_plain(LOG_NOTICE, "notice");
                ck_assert_ptr_nonnull(strstr(lines(), "pgcertd-test: notice\n"));
        }
}
END_TEST

START_TEST(sends_fields_to_the_journal_that_stderr_is)
{
        const LogField some[] = {{"PGCERTD_CLUSTER", "main"},
                                 {"PGCERTD_SERIAL", NULL},
                                 {"PGCERTD_ERROR", "two\nlines"},
                                 {NULL, NULL},
                                 {"PGCERTD_NEVER", "x"}};

        begin(NULL);
        name_stderr(0);
        log_event(LOG_WARNING, EVENT_REFUSED, some, "refused: %s", "a\nb");
        ck_assert_str_eq(lines(), "");
        ck_assert_uint_eq(entries, 1);
        ck_assert_str_eq(fields, "MESSAGE=refused: a\nb\nPRIORITY=4\n"
                                 "SYSLOG_IDENTIFIER=pgcertd-test\nMESSAGE_ID=" EVENT_REFUSED
                                 "\nPGCERTD_CLUSTER=main\nPGCERTD_ERROR=two\nlines\n");
        log_event(LOG_INFO, "", NULL, "plain");
        ck_assert_str_eq(fields, "MESSAGE=plain\nPRIORITY=6\nSYSLOG_IDENTIFIER=pgcertd-test\n");
        log_plain(LOG_DEBUG, "never");
        ck_assert_uint_eq(entries, 2);
}
END_TEST

START_TEST(sends_no_more_fields_than_its_limit)
{
        LogField some[LOG_FIELDS_MAX + 5] = {0};

        begin(NULL);
        name_stderr(0);
        for (size_t i = 0; i < ELEMENTSOF(some) - 1; i++)
                some[i] = (LogField){"PGCERTD_X", i < LOG_FIELDS_MAX ? "in" : "out"};
        log_event(LOG_INFO, EVENT_STARTED, some, "many");
        ck_assert_uint_eq(entries, 1);
        ck_assert_ptr_nonnull(strstr(fields, "=in"));
        ck_assert_ptr_null(strstr(fields, "=out"));
}
END_TEST

START_TEST(falls_to_stderr_where_the_journal_is_another)
{
        static const char *const streams[] = {"", "x", "1", "1:", "0:0", ":"};

        begin(NULL);
        name_stderr(1);
        log_plain(LOG_INFO, "one");
        for (size_t i = 0; i < ELEMENTSOF(streams); i++) {
                setenv("JOURNAL_STREAM", streams[i], 1);
                log_init("pgcertd-test");
                log_plain(LOG_INFO, "two");
        }
        ck_assert_uint_eq(entries, 0);
        ck_assert_uint_eq(strlen(lines()),
                          (1 + ELEMENTSOF(streams)) * strlen("pgcertd-test: one\n"));
}
END_TEST

START_TEST(falls_to_stderr_where_the_journal_fails)
{
        begin(NULL);
        name_stderr(0);
        journal_answer = -ENOBUFS;
        log_plain(LOG_INFO, "kept");
        ck_assert_uint_eq(entries, 1);
        ck_assert_str_eq(lines(), "pgcertd-test: kept\n");
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("log");
        TCase *tcase = tcase_create("log");

        tcase_add_checked_fixture(tcase, judge_setup, judge_teardown);
        tcase_add_test(tcase, writes_one_line_to_stderr);
        tcase_add_test(tcase, makes_control_characters_harmless);
        tcase_add_test(tcase, makes_control_characters_of_utf8_harmless);
        tcase_add_test(tcase, cuts_what_is_too_long);
        tcase_add_test(tcase, leaves_debug_out_unless_asked);
        tcase_add_test(tcase, sends_fields_to_the_journal_that_stderr_is);
        tcase_add_test(tcase, sends_no_more_fields_than_its_limit);
        tcase_add_test(tcase, falls_to_stderr_where_the_journal_is_another);
        tcase_add_test(tcase, falls_to_stderr_where_the_journal_fails);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
