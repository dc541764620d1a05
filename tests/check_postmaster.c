#include "tests/postgres.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* A directory with nothing but a pid file. */
static const char *pretend(const char *pid_file)
{
        static char path[POSTGRES_PATH_MAX];

        postgres_must("rm -rf fake; mkdir fake; printf '%%b' '%s' >fake/postmaster.pid", pid_file);
        snprintf(path, sizeof path, "%s/fake", postgres.directory);
        return path;
}

START_TEST(finds_one_that_runs)
{
        Postmaster found;
        char pid[32];

        postgres_start("");
        postgres_find(&found);
        postgres_must("head -1 $PGDATA/postmaster.pid");
        snprintf(pid, sizeof pid, "%ld\n", (long)found.pid);
        ck_assert_str_eq(postgres.output, pid);
        ck_assert_uint_eq(found.port, postgres.port);
        ck_assert_str_eq(found.socket_directory, postgres.directory);
        ck_assert_str_eq(found.address, "127.0.0.1");
        ck_assert_str_eq(found.status, "ready");
        ck_assert_int_gt(found.started_sec, clock_realtime() / USEC_PER_SEC - 60);
}
END_TEST

START_TEST(reads_where_it_listens)
{
        static const struct {
                const char *listen, *address;
        } table[] = {
                {"*", "127.0.0.1"},
                {"0.0.0.0", "127.0.0.1"},
                {"localhost", "localhost"},
                {"", ""},
        };
        Postmaster found;
        char options[64];

        snprintf(options, sizeof options, "-c listen_addresses='%s'", table[_i].listen);
        postgres_start(options);
        postgres_find(&found);
        ck_assert_str_eq(found.address, table[_i].address);
}
END_TEST

START_TEST(tells_what_does_not_run)
{
        static const struct {
                const char *pid; /* NULL: none */
                PostmasterOutcome outcome;
        } table[] = {
                {NULL, POSTMASTER_DOWN},
                {"4194303", POSTMASTER_DOWN}, /* more than the kernel gives by default */
                {"-123", POSTMASTER_SINGLE},
                {"1", POSTMASTER_ELSEWHERE},
                {"ours", POSTMASTER_DOWN}, /* the pid of another program */
        };
        PostmasterOutcome outcome;
        Postmaster found;
        char text[200], pid[32];
        const char *fake;

        snprintf(pid, sizeof pid, "%ld", (long)getpid());
        snprintf(text, sizeof text, "%s\\n/x\\n1700000000\\n5432\\n/tmp\\n*\\n  1 2\\nready   \\n",
                 !table[_i].pid                       ? ""
                 : strcmp(table[_i].pid, "ours") == 0 ? pid
                                                      : table[_i].pid);
        fake = pretend(text);
        if (!table[_i].pid)
                postgres_must("rm fake/postmaster.pid");
        ck_assert_int_eq(postmaster_find(fake, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, table[_i].outcome);
        postgres_must("rm -rf fake");
        ck_assert_int_eq(postmaster_find(fake, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, POSTMASTER_ABSENT);
}
END_TEST

/* After a power cut the number may be anybody's: 1 is always another user's here. */
START_TEST(believes_no_file_from_before_the_machine_started)
{
        const char *fake = pretend("1\\n/x\\n1700000000\\n5432\\n/tmp\\n*\\n\\nready\\n");
        PostmasterOutcome outcome;
        Postmaster found;

        postgres_must("touch -d '2001-01-01' fake/postmaster.pid");
        ck_assert_int_eq(postmaster_find(fake, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, POSTMASTER_DOWN);
        postgres_must("touch fake/postmaster.pid");
        ck_assert_int_eq(postmaster_find(fake, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, POSTMASTER_ELSEWHERE);
}
END_TEST

START_TEST(knows_single_user_mode)
{
        PostmasterOutcome outcome = POSTMASTER_DOWN;
        int64_t deadline = postgres_within(5000);
        Postmaster found;

        postgres_must("(sleep 2 | postgres --single postgres >single 2>&1) >single 2>&1 &");
        while (outcome == POSTMASTER_DOWN && clock_boottime() < deadline)
                ck_assert_int_eq(postmaster_find(postgres.data, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, POSTMASTER_SINGLE);
        ck_assert_int_eq(postmaster_reload(postgres.data, &found, NULL), -ESRCH);
        postgres_must("kill $(head -1 $PGDATA/postmaster.pid | tr -d -)");
        postgres_must("for i in $(seq 50); do test -f $PGDATA/postmaster.pid || exit 0; "
                      "sleep 0.1; done; exit 1");
}
END_TEST

START_TEST(refuses_a_file_that_is_not_whole)
{
        static const char *const table[] = {
                "",
                "123\\n",
                "abc\\n/x\\n1\\n5432\\n/tmp\\n*\\n\\nready\\n",
                "12x\\n/x\\n1\\n5432\\n/tmp\\n*\\n\\nready\\n",
                "99\\n/x\\n1\\n70000\\n/tmp\\n*\\n\\nready\\n",
        };
        PostmasterOutcome outcome;
        Postmaster found;
        Error error = {0};

        ck_assert_int_eq(postmaster_find(pretend(table[_i]), &outcome, &found, &error), -EAGAIN);
        ck_assert_ptr_nonnull(strstr(error.text, "postmaster.pid"));
}
END_TEST

/* Its pid is known before its sockets are: a process that has gone since is none that starts. */
START_TEST(takes_a_cut_file_of_nobody_for_down)
{
        PostmasterOutcome outcome;
        Postmaster found;

        ck_assert_int_eq(postmaster_find(pretend("99999999\\n/x\\n1700000000\\n5432\\n\\n"),
                                         &outcome, &found, NULL),
                         0);
        ck_assert_int_eq(outcome, POSTMASTER_DOWN);
}
END_TEST

START_TEST(waits_while_the_file_is_written)
{
        const char *fake = pretend("-5\\n/x\\n");
        PostmasterOutcome outcome;
        Postmaster found;

        postgres_must("(sleep 0.05; printf '1700000000\\n5432\\n/tmp\\n*\\n1 2\\nstarting\\n' "
                      ">>fake/postmaster.pid) >/dev/null 2>&1 &");
        ck_assert_int_eq(postmaster_find(fake, &outcome, &found, NULL), 0);
        ck_assert_int_eq(outcome, POSTMASTER_SINGLE);
        ck_assert_str_eq(found.status, "starting");
}
END_TEST

START_TEST(makes_it_read_its_settings)
{
        Postmaster found;

        postgres_start("");
        postgres_find(&found);
        postgres_configure("work_mem = 7MB", "");
        ck_assert_int_eq(postmaster_reload(postgres.data, &found, NULL), 0);
        postgres_must("for i in $(seq 50); do test \"$(psql -XAtc 'show work_mem')\" = 7MB && "
                      "exit 0; sleep 0.05; done; exit 1");
        postgres_must("grep -c 'received SIGHUP' log");
        ck_assert_str_eq(postgres.output, "1\n");
}
END_TEST

START_TEST(signals_nobody_else)
{
        Postmaster found, wrong;
        char text[200];
        pid_t other = fork();

        if (other == 0) {
                pause();
                _exit(0);
        }
        postgres_start("");
        postgres_find(&found);
        wrong = found;
        wrong.started_sec--;
        ck_assert_int_eq(postmaster_reload(postgres.data, &wrong, NULL), -ESRCH);
        wrong = found;
        wrong.pid = other;
        ck_assert_int_eq(postmaster_reload(postgres.data, &wrong, NULL), -ESRCH);
        snprintf(text, sizeof text, "%ld\\n/x\\n%lld\\n5432\\n/tmp\\n*\\n\\nready\\n", (long)other,
                 (long long)found.started_sec);
        ck_assert_int_eq(postmaster_reload(pretend(text), &wrong, NULL), -ESRCH);
        /* The postmaster of another directory. */
        snprintf(text, sizeof text, "%ld\\n/x\\n%lld\\n5432\\n/tmp\\n*\\n\\nready\\n",
                 (long)found.pid, (long long)found.started_sec);
        ck_assert_int_eq(postmaster_reload(pretend(text), &found, NULL), -ESRCH);
        for (pid_t pid = -1; pid <= 1; pid++) {
                wrong.pid = pid;
                ck_assert_int_eq(postmaster_reload(postgres.data, &wrong, NULL), -ESRCH);
        }
        ck_assert_int_eq(waitpid(other, NULL, WNOHANG), 0);
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
        ck_assert_int_ne(postgres_run("grep 'received SIGHUP' log"), 0);
        postgres_stop();
        ck_assert_int_eq(postmaster_reload(postgres.data, &found, NULL), -ESRCH);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("postmaster");
        TCase *c = tcase_create("postmaster");

        postgres_become();
        tcase_set_timeout(c, 30);
        tcase_add_unchecked_fixture(c, postgres_create, postgres_remove);
        tcase_add_checked_fixture(c, postgres_reset, NULL);
        tcase_add_test(c, finds_one_that_runs);
        tcase_add_loop_test(c, reads_where_it_listens, 0, 4);
        tcase_add_loop_test(c, tells_what_does_not_run, 0, 5);
        tcase_add_test(c, believes_no_file_from_before_the_machine_started);
        tcase_add_test(c, knows_single_user_mode);
        tcase_add_loop_test(c, refuses_a_file_that_is_not_whole, 0, 5);
        tcase_add_test(c, takes_a_cut_file_of_nobody_for_down);
        tcase_add_test(c, waits_while_the_file_is_written);
        tcase_add_test(c, makes_it_read_its_settings);
        tcase_add_test(c, signals_nobody_else);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
