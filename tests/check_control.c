/*
 * The control socket with real sockets: good and bad requests, clients that say nothing, read
 * nothing, come in floods or leave while they wait; and pgcertctl itself against it.
 */
#include "daemon/control.h"

#include "common/clock.h"
#include "common/text.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { FLOOD = 8 << 20 };

typedef struct Bench {
        char directory[64];
        char path[96];
        sd_event *event;
        Control *control;
        ControlCall *waiting; /* of the command "wait" */
        unsigned n_requests, n_closed;
        Text heard; /* the last request, in words */
} Bench;

static void write_flood(ControlCall *call)
{
        _cleanup_(text_done) Text text = {0};

        while (text.size < FLOOD)
                text_addf(&text, "%zu ", text.size);
        control_call_write(call, STDOUT_FILENO, text_content(&text));
        control_call_finish(call, 0);
}

static int on_request(void *userdata, ControlCall *call)
{
        Bench *bench = userdata;
        const char *command = control_call_command(call);
        size_t n;
        char *const *arguments = control_call_arguments(call, &n);

        bench->n_requests++;
        text_done(&bench->heard);
        text_addf(&bench->heard, "%s %u", command, control_call_flags(call));
        for (size_t i = 0; i < n; i++)
                text_addf(&bench->heard, " %s", arguments[i]);
        if (strcmp(command, "reload") == 0) {
                bench->waiting = call;
        } else if (strcmp(command, "plan") == 0) {
                write_flood(call);
        } else if (strcmp(command, "check") == 0) {
                return -EIO;
        } else {
                control_call_write(call, STDOUT_FILENO, "out");
                control_call_write(call, STDERR_FILENO, "err");
                control_call_finish(call, 2);
        }
        return 0;
}

static void on_closed(void *userdata, ControlCall *call)
{
        Bench *bench = userdata;

        ck_assert_ptr_eq(call, bench->waiting);
        bench->waiting = NULL;
        bench->n_closed++;
}

static const ControlHandler handler = {on_request, on_closed};

static void bench_open(Bench *bench)
{
        Error error = {0};

        *bench = (Bench){.directory = "/tmp/check_control.XXXXXX"};
        ck_assert_ptr_nonnull(mkdtemp(bench->directory));
        snprintf(bench->path, sizeof bench->path, "%s/control.sock", bench->directory);
        ck_assert_int_ge(sd_event_new(&bench->event), 0);
        ck_assert_msg(control_new(bench->event, bench->path, &handler, bench, &bench->control,
                                  &error) == 0,
                      "%s", error.text);
}

static void bench_done(Bench *bench)
{
        control_free(bench->control);
        sd_event_unref(bench->event);
        text_done(&bench->heard);
        unlink(bench->path);
        ck_assert_int_eq(rmdir(bench->directory), 0);
}

/* Turns the loop until nothing is left to do: a local socket has no delay. */
static void settle(Bench *bench)
{
        while (sd_event_run(bench->event, 0) > 0)
                ;
}

static int connect_to(Bench *bench)
{
        int fd = -1;

        ck_assert_int_eq(wire_connect(bench->path, clock_boottime() + USEC_PER_SEC, &fd, NULL), 0);
        settle(bench);
        return fd;
}

static void send_request(int fd, const char *command, unsigned flags, const char *argument)
{
        _cleanup_(message_freep) Message *message = NULL;

        ck_assert_int_eq(message_new(&message, NULL), 0);
        wire_request(message, WIRE_CONTROL, 0);
        wire_put_u8(message, (uint8_t)flags);
        wire_put_text(message, command);
        if (argument)
                wire_put_text(message, argument);
        ck_assert_int_eq(wire_send(fd, message, 0, NULL), 0);
}

/* What a client has of its answer. */
typedef struct Answer {
        Text out, err;
        int status; /* -1: not over */
        Error error;
} Answer;

static void answer_done(Answer *answer)
{
        text_done(&answer->out);
        text_done(&answer->err);
}

/* Receives what is there. Returns the last code: -ETIMEDOUT where more may come. */
static int receive(int fd, Answer *answer)
{
        _cleanup_(message_freep) Message *message = NULL;
        int r;

        ck_assert_int_eq(message_new(&message, NULL), 0);
        answer->status = -1;
        while ((r = wire_receive(fd, message, 0, NULL)) >= 0) {
                const uint8_t *bytes;
                size_t size;
                uint8_t kind;

                if (wire_get_reply(message, WIRE_CONTROL, &answer->error) < 0)
                        continue;
                kind = wire_get_u8(message);
                if (kind == CONTROL_END) {
                        answer->status = wire_get_u8(message);
                } else {
                        bytes = wire_get_bytes(message, CONTROL_CHUNK_MAX, &size);
                        text_add_bytes(kind == CONTROL_OUT ? &answer->out : &answer->err, bytes,
                                       size);
                }
                ck_assert_int_eq(wire_end(message, NULL), 0);
        }
        return r;
}

static void expect_answer(Bench *bench, int fd)
{
        _cleanup_(answer_done) Answer answer = {0};

        settle(bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_str_eq(text_content(&answer.out), "out");
        ck_assert_str_eq(text_content(&answer.err), "err");
        ck_assert_int_eq(answer.status, 2);
        ck_assert_int_eq(answer.error.code, 0);
}

START_TEST(answers_at_once)
{
        _cleanup_(closep) int fd = -1;
        Bench bench;
        struct stat stat;

        bench_open(&bench);
        ck_assert_int_eq(lstat(bench.path, &stat), 0);
        ck_assert_int_eq(stat.st_mode & 07777, 0660);
        fd = connect_to(&bench);
        send_request(fd, "status", CONTROL_JSON | CONTROL_REKEY, "a name");
        expect_answer(&bench, fd);
        ck_assert_str_eq(text_content(&bench.heard), "status 9 a name");
        bench_done(&bench);
}
END_TEST

START_TEST(answers_later_with_the_callers_identity)
{
        _cleanup_(closep) int fd = -1;
        _cleanup_(answer_done) Answer answer = {0};
        Bench bench;

        bench_open(&bench);
        fd = connect_to(&bench);
        send_request(fd, "reload", 0, NULL);
        settle(&bench);
        ck_assert_ptr_nonnull(bench.waiting);
        ck_assert_uint_eq(control_call_uid(bench.waiting), getuid());
        ck_assert_int_eq(control_call_pid(bench.waiting), getpid());
        control_call_write(bench.waiting, STDOUT_FILENO, "one ");
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -ETIMEDOUT);
        ck_assert_str_eq(text_content(&answer.out), "one ");
        control_call_write(bench.waiting, STDOUT_FILENO, "two");
        control_call_finish(bench.waiting, 1);
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_str_eq(text_content(&answer.out), "one two");
        ck_assert_int_eq(answer.status, 1);
        ck_assert_uint_eq(bench.n_closed, 0);
        bench_done(&bench);
}
END_TEST

START_TEST(tells_when_a_waiting_client_goes_away)
{
        for (int asks_twice = 0; asks_twice < 2; asks_twice++) {
                Bench bench;
                int fd;

                bench_open(&bench);
                fd = connect_to(&bench);
                send_request(fd, "reload", 0, NULL);
                settle(&bench);
                ck_assert_ptr_nonnull(bench.waiting);
                if (asks_twice)
                        send_request(fd, "status", 0, NULL);
                else
                        close(TAKE_FD(fd));
                settle(&bench);
                ck_assert_uint_eq(bench.n_closed, 1);
                ck_assert_uint_eq(bench.n_requests, 1);
                closep(&fd);
                bench_done(&bench);
        }
}
END_TEST

START_TEST(tells_waiting_calls_when_it_ends)
{
        _cleanup_(closep) int fd = -1;
        Bench bench;

        bench_open(&bench);
        fd = connect_to(&bench);
        send_request(fd, "reload", 0, NULL);
        settle(&bench);
        bench.control = control_free(bench.control);
        ck_assert_uint_eq(bench.n_closed, 1);
        ck_assert_int_eq(access(bench.path, F_OK), -1);
        bench_done(&bench);
}
END_TEST

/* Builds the n-th bad request; false past the last. */
static bool bad_request(unsigned n, Message *message)
{
        char text[CONTROL_ARGUMENT_MAX + 2];

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        wire_request(message, n == 1 ? WIRE_PROVE : WIRE_CONTROL, 0);
        wire_put_u8(message, n == 2 ? 0x10 : 0);
        wire_put_text(message, n == 3 ? text : "status");
        switch (n) {
        case 0: /* half of one */
                message->size = 9;
                return true;
        case 1:
        case 2:
        case 3:
                return true;
        case 4: /* a name too long */
                wire_put_text(message, text);
                return true;
        case 5: /* names too many */
                for (size_t i = 0; i <= CONTROL_ARGUMENTS_MAX; i++)
                        wire_put_text(message, "a");
                return true;
        case 6: /* a text that goes on past the end */
                wire_put_u32(message, 1000);
                return true;
        case 7: /* another version */
                message->data[0]++;
                return true;
        case 8: /* a command cut in the middle */
                message->size -= 3;
                return true;
        case 9: /* a NUL inside a name */
                wire_put_bytes(message, "a\0b", 4);
                return true;
        }
        return false;
}

START_TEST(refuses_what_is_no_request)
{
        _cleanup_(message_freep) Message *message = NULL;
        Bench bench;

        bench_open(&bench);
        ck_assert_int_eq(message_new(&message, NULL), 0);
        for (unsigned n = 0; bad_request(n, message); n++) {
                _cleanup_(answer_done) Answer answer = {0};
                _cleanup_(closep) int fd = connect_to(&bench);

                ck_assert_int_eq(wire_send(fd, message, 0, NULL), 0);
                settle(&bench);
                ck_assert_int_eq(receive(fd, &answer), -EPIPE);
                ck_assert_msg(answer.error.code > 0 && answer.error.text[0], "request %u", n);
        }
        ck_assert_uint_eq(bench.n_requests, 0);
        bench_done(&bench);
}
END_TEST

START_TEST(refuses_an_oversized_request)
{
        _cleanup_(freep) char *bytes = calloc(1, WIRE_MESSAGE_MAX + 1);
        _cleanup_(answer_done) Answer answer = {0};
        _cleanup_(closep) int fd = -1;
        Bench bench;

        bench_open(&bench);
        fd = connect_to(&bench);
        ck_assert_int_eq(send(fd, bytes, WIRE_MESSAGE_MAX + 1, 0), WIRE_MESSAGE_MAX + 1);
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_int_eq(answer.error.code, EMSGSIZE);
        bench_done(&bench);
}
END_TEST

START_TEST(a_handler_that_fails_is_told)
{
        _cleanup_(answer_done) Answer answer = {0};
        _cleanup_(closep) int fd = -1;
        Bench bench;

        bench_open(&bench);
        fd = connect_to(&bench);
        send_request(fd, "check", 0, NULL);
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_int_eq(answer.error.code, EIO);
        bench_done(&bench);
}
END_TEST

START_TEST(turns_away_one_client_too_many)
{
        _cleanup_(answer_done) Answer answer = {0};
        int fds[CONTROL_CLIENTS_MAX], fd;
        Bench bench;

        bench_open(&bench);
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                fds[i] = connect_to(&bench);
        fd = connect_to(&bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_int_eq(answer.error.code, EBUSY);
        close(fd);
        send_request(fds[3], "status", 0, NULL);
        expect_answer(&bench, fds[3]);
        fd = connect_to(&bench);
        send_request(fd, "status", 0, NULL);
        expect_answer(&bench, fd);
        close(fd);
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                close(fds[i]);
        settle(&bench);
        bench_done(&bench);
}
END_TEST

START_TEST(a_large_answer_arrives_whole)
{
        _cleanup_(text_done) Text expected = {0};
        _cleanup_(answer_done) Answer answer = {.status = -1};
        _cleanup_(closep) int fd = -1;
        Bench bench;
        int r;

        while (expected.size < FLOOD)
                text_addf(&expected, "%zu ", expected.size);
        bench_open(&bench);
        fd = connect_to(&bench);
        send_request(fd, "plan", 0, NULL);
        do {
                sd_event_run(bench.event, 0);
                r = receive(fd, &answer);
        } while (r == -ETIMEDOUT);
        ck_assert_int_eq(answer.status, 0);
        ck_assert_uint_eq(answer.out.size, expected.size);
        ck_assert_int_eq(memcmp(answer.out.data, expected.data, expected.size), 0);
        bench_done(&bench);
}
END_TEST

/* Whether the other end is closed, without reading what it sent. */
static bool is_hung_up(int fd)
{
        char byte = 0;

        return send(fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
               (errno == EPIPE || errno == ECONNRESET);
}

START_TEST(drops_the_silent_and_the_slow_and_serves_the_others)
{
        int64_t start = clock_boottime(), longest = 0;
        int silent, slow, waiting;
        Bench bench;

        bench_open(&bench);
        silent = connect_to(&bench);
        slow = connect_to(&bench);
        send_request(slow, "plan", 0, NULL); /* far more than a socket holds */
        waiting = connect_to(&bench);
        send_request(waiting, "reload", 0, NULL);
        while (clock_boottime() - start < 4 * USEC_PER_SEC) {
                int64_t before = clock_boottime();
                int fd = connect_to(&bench);

                send_request(fd, "status", 0, NULL);
                expect_answer(&bench, fd);
                close(fd);
                if (clock_boottime() - before > longest)
                        longest = clock_boottime() - before;
                sd_event_run(bench.event, 200 * USEC_PER_MSEC);
        }
        ck_assert_int_lt(longest, USEC_PER_SEC);
        while (clock_boottime() - start < 6 * USEC_PER_SEC)
                sd_event_run(bench.event, 100 * USEC_PER_MSEC);
        ck_assert(is_hung_up(silent));
        ck_assert(is_hung_up(slow));
        ck_assert_ptr_nonnull(bench.waiting); /* who waits for us may wait for ever */
        ck_assert_uint_eq(bench.n_closed, 0);
        close(silent);
        close(slow);
        close(waiting);
        bench_done(&bench);
}
END_TEST

START_TEST(drops_who_would_be_owed_too_much)
{
        _cleanup_(freep) char *text = malloc((16 << 20) + 1);
        _cleanup_(closep) int fd = -1;
        Bench bench;

        memset(text, 'x', 16 << 20);
        text[16 << 20] = '\0';
        bench_open(&bench);
        fd = connect_to(&bench);
        send_request(fd, "reload", 0, NULL);
        settle(&bench);
        for (size_t i = 0; i < 5; i++)
                control_call_write(bench.waiting, STDOUT_FILENO, text);
        ck_assert_ptr_nonnull(bench.waiting); /* not called back from inside */
        settle(&bench);
        ck_assert_ptr_null(bench.waiting);
        ck_assert(is_hung_up(fd));
        bench_done(&bench);
}
END_TEST

START_TEST(does_not_spin_where_descriptors_run_out)
{
        struct rlimit before, none;
        unsigned turns = 0;
        Bench bench;
        int fd = -1, lowest;

        bench_open(&bench);
        ck_assert_int_eq(wire_connect(bench.path, clock_boottime() + USEC_PER_SEC, &fd, NULL), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        lowest = dup(fd);
        close(lowest);
        none = before;
        none.rlim_cur = (rlim_t)lowest;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        while (turns < 1000 && sd_event_run(bench.event, 300 * USEC_PER_MSEC) > 0)
                turns++;
        ck_assert_uint_lt(turns, 10);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        send_request(fd, "status", 0, NULL);
        ck_assert_int_gt(sd_event_run(bench.event, 3 * USEC_PER_SEC), 0);
        expect_answer(&bench, fd);
        close(fd);
        bench_done(&bench);
}
END_TEST

START_TEST(replaces_a_stale_socket_and_names_who_has_a_live_one)
{
        Bench bench;
        Control *other = NULL;
        Error error = {0};
        char pid[32];
        int fd;

        bench_open(&bench);
        snprintf(pid, sizeof pid, "process %d", (int)getpid());
        ck_assert_int_eq(control_new(bench.event, bench.path, &handler, &bench, &other, &error),
                         -EADDRINUSE);
        ck_assert_msg(strstr(error.text, pid), "%s", error.text);
        /* A socket that nobody listens on is what a killed pgcertd leaves. */
        bench.control = control_free(bench.control);
        ck_assert_int_eq(wire_listen(bench.path, 0600, &fd, NULL), 0);
        close(fd);
        ck_assert_int_eq(
                control_new(bench.event, bench.path, &handler, &bench, &bench.control, &error), 0);
        /* A successor's socket is not removed by the predecessor. */
        ck_assert_int_eq(unlink(bench.path), 0);
        ck_assert_int_eq(wire_listen(bench.path, 0600, &fd, NULL), 0);
        bench.control = control_free(bench.control);
        ck_assert_int_eq(access(bench.path, F_OK), 0);
        close(fd);
        bench_done(&bench);
}
END_TEST

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
                {"rotate 2>&1", NULL, 3, "", "there is no command \"rotate\""},
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
        Suite *s = suite_create("control");
        TCase *c = tcase_create("control"), *slow = tcase_create("slow");

        signal(SIGPIPE, SIG_IGN);
        tcase_set_timeout(c, 20);
        tcase_add_test(c, answers_at_once);
        tcase_add_test(c, answers_later_with_the_callers_identity);
        tcase_add_test(c, tells_when_a_waiting_client_goes_away);
        tcase_add_test(c, tells_waiting_calls_when_it_ends);
        tcase_add_test(c, refuses_what_is_no_request);
        tcase_add_test(c, refuses_an_oversized_request);
        tcase_add_test(c, a_handler_that_fails_is_told);
        tcase_add_test(c, turns_away_one_client_too_many);
        tcase_add_test(c, a_large_answer_arrives_whole);
        tcase_add_test(c, drops_who_would_be_owed_too_much);
        tcase_add_test(c, does_not_spin_where_descriptors_run_out);
        tcase_add_test(c, replaces_a_stale_socket_and_names_who_has_a_live_one);
        suite_add_tcase(s, c);
        tcase_set_timeout(slow, 40);
        tcase_add_test(slow, drops_the_silent_and_the_slow_and_serves_the_others);
        tcase_add_test(slow, pgcertctl_carries_requests_and_answers);
        tcase_add_test(slow, pgcertctl_is_told_when_there_are_too_many);
        tcase_add_test(slow, a_slow_pager_gets_everything);
        suite_add_tcase(s, slow);
        return s;
}

#include "tests/check_main.h"
