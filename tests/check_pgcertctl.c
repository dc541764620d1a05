/*
 * pgcertctl against the control socket: what it sends, prints and exits with, also where it is
 * called wrongly, pgcertd dies, or its own output is read slowly.
 */
#include "tests/control_bench.h"

/* Runs pgcertctl while the loop turns; its output goes to ret, both streams. Returns its exit
 * status. with is called once it waits. */
static int run_pgcertctl(Bench *bench, const char *arguments, void (*with)(Bench *bench), Text *ret)
{
        char command[1024], buffer[4096];
        ssize_t n;
        int status;
        FILE *pipe;

        ck_assert_ptr_nonnull(getenv("PGCERTD_BUILD"));
        snprintf(command, sizeof command, "%s/daemon/pgcertctl --runtime-dir %s %s",
                 getenv("PGCERTD_BUILD"), bench->directory, arguments);
        pipe = popen(command, "re");
        ck_assert_ptr_nonnull(pipe);
        fcntl(fileno(pipe), F_SETFL, O_NONBLOCK);
        while ((n = read(fileno(pipe), buffer, sizeof buffer)) != 0) {
                if (n > 0)
                        text_add_bytes(ret, buffer, (size_t)n);
                sd_event_run(bench->event, USEC_PER_MSEC);
                if (with && bench->waiting)
                        with(bench);
        }
        status = pclose(pipe);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void end_the_daemon(Bench *bench)
{
        control_call_write(bench->waiting, STDOUT_FILENO, "begun, ");
        settle(bench);
        bench->control = control_free(bench->control);
}

static void finish_late(Bench *bench)
{
        ControlCall *call = TAKE_PTR(bench->waiting);

        control_call_write(call, STDOUT_FILENO, "done\n");
        control_call_finish(call, 1);
}

START_TEST(pgcertctl_carries_requests_and_answers)
{
        static const struct {
                const char *arguments;
                void (*with)(Bench *bench);
                int status;
                const char *heard, *output; /* parts */
        } cases[] = {
                {"2>&1", NULL, 2, "status 0", "outerr"},
                {"--json status 2>/dev/null", NULL, 2, "status 1", "out"},
                {"renew a b --no-wait --rekey", NULL, 2, "renew 10 a b", "out"},
                {"--all renew 2>/dev/null", NULL, 2, "renew 4", "out"},
                {"reload", finish_late, 1, "reload 0", "done\n"},
                {"check 2>&1", NULL, 3, "check 0", "pgcertctl: pgcertd cannot do that now"},
                {"stauts 2>&1", NULL, 3, "", "HINT: Did you mean \"status\"?\n"},
                {"revolve 2>&1", NULL, 3, "", "there is no command \"revolve\""},
                {"--jsn 2>&1", NULL, 3, "", "HINT: Did you mean \"--json\"?\n"},
                {"renew 2>&1", NULL, 3, "", "renew needs the names"},
                {"renew --all a 2>&1", NULL, 3, "", "not both"},
                {"status a 2>&1", NULL, 3, "", "status takes no names"},
                {"check --rekey 2>&1", NULL, 3, "", "check takes no --rekey"},
                {"--runtime-dir /nonexistent 2>&1", NULL, 3, "", "HINT: Is it running?"},
                {"status 2>&1 >/dev/full", NULL, 3, "status 0", "No space left"},
                {"--version", NULL, 0, "", "pgcertctl " PGCERTD_VERSION "\n"},
                {"reload 2>&1", end_the_daemon, 3, "reload 0", "begun, pgcertctl: pgcertd ended"},
        };
        Bench bench;

        bench_open(&bench);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_done) Text output = {0};
                int status;

                text_done(&bench.heard);
                status = run_pgcertctl(&bench, cases[i].arguments, cases[i].with, &output);
                ck_assert_msg(status == cases[i].status &&
                                      strstr(text_content(&output), cases[i].output) &&
                                      strcmp(text_content(&bench.heard), cases[i].heard) == 0,
                              "%s: exit %d, heard \"%s\", printed: %s", cases[i].arguments, status,
                              text_content(&bench.heard), text_content(&output));
        }
        bench_done(&bench);
}
END_TEST

START_TEST(pgcertctl_is_told_when_there_are_too_many)
{
        _cleanup_(text_done) Text output = {0};
        int fds[CONTROL_CLIENTS_MAX];
        Bench bench;

        bench_open(&bench);
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                fds[i] = connect_to(&bench);
        ck_assert_int_eq(run_pgcertctl(&bench, "2>&1", NULL, &output), 3);
        ck_assert_msg(strstr(text_content(&output), "already answers 64 clients"), "%s",
                      text_content(&output));
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                close(fds[i]);
        bench_done(&bench);
}
END_TEST

START_TEST(a_slow_pager_gets_everything)
{
        _cleanup_(text_done) Text output = {0};
        Bench bench;

        /* The pager reads later than pgcertd would wait for its client to read. */
        bench_open(&bench);
        ck_assert_int_eq(run_pgcertctl(&bench, "plan | (sleep 5.5; cat)", NULL, &output), 0);
        ck_assert_uint_ge(output.size, FLOOD);
        bench_done(&bench);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("pgcertctl");
        TCase *c = tcase_create("pgcertctl");

        signal(SIGPIPE, SIG_IGN);
        tcase_set_timeout(c, 30);
        tcase_add_test(c, pgcertctl_carries_requests_and_answers);
        tcase_add_test(c, pgcertctl_is_told_when_there_are_too_many);
        tcase_add_test(c, a_slow_pager_gets_everything);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
