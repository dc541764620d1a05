/*
 * The control socket with real sockets: good and bad requests, clients that say nothing, read
 * nothing, come in floods or leave while they wait.
 */
#include "tests/control_bench.h"

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
        control_call_write(bench.waiting, STDOUT_FILENO, "one\033 ");
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -ETIMEDOUT);
        ck_assert_str_eq(text_content(&answer.out), "one? ");
        control_call_write(bench.waiting, STDOUT_FILENO, "two");
        control_call_finish(bench.waiting, 1);
        settle(&bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_str_eq(text_content(&answer.out), "one? two");
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
        wire_put_u8(message, n == 2 ? CONTROL_FLAGS + 1 : 0);
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

static Suite *suite(void)
{
        Suite *s = suite_create("control");
        TCase *c = tcase_create("control");

        signal(SIGPIPE, SIG_IGN);
        tcase_set_timeout(c, 30);
        tcase_add_test(c, answers_at_once);
        tcase_add_test(c, answers_later_with_the_callers_identity);
        tcase_add_test(c, tells_when_a_waiting_client_goes_away);
        tcase_add_test(c, tells_waiting_calls_when_it_ends);
        tcase_add_test(c, refuses_what_is_no_request);
        tcase_add_test(c, refuses_an_oversized_request);
        tcase_add_test(c, a_handler_that_fails_is_told);
        tcase_add_test(c, turns_away_one_client_too_many);
        tcase_add_test(c, a_large_answer_arrives_whole);
        tcase_add_test(c, drops_the_silent_and_the_slow_and_serves_the_others);
        tcase_add_test(c, drops_who_would_be_owed_too_much);
        tcase_add_test(c, does_not_spin_where_descriptors_run_out);
        tcase_add_test(c, replaces_a_stale_socket_and_names_who_has_a_live_one);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
