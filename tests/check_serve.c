/*
 * A connection that is served by a table of requests, to its end.
 */
#include "common/wire.h"

#include "common/clock.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static Message *message;
static Error error;
static int ours, theirs;

static void setup(void)
{
        int fds[2];

        error = (Error){0};
        ck_assert_int_eq(message_new(&message, NULL), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        ours = fds[0];
        theirs = fds[1];
}

static void teardown(void)
{
        message = message_free(message);
        closep(&ours);
        closep(&theirs);
}

static int64_t soon(int64_t msec)
{
        return clock_boottime() + msec * USEC_PER_MSEC;
}

/* Handlers of a served table. */
static int on_stage(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        const char *name = wire_get_text(request, 63);
        int r = wire_end(request, reterr);

        if (r < 0)
                return r;
        ++*(unsigned *)userdata;
        if (strcmp(name, "fails") == 0)
                return error_set(reterr, EKEYEXPIRED, "the leaf expired");
        if (strcmp(name, "silent") == 0)
                return -EDOM;
        if (strcmp(name, "huge") == 0)
                wire_put_bytes(reply, "", WIRE_MESSAGE_MAX);
        wire_put_text(reply, name);
        wire_put_i64(reply, (int64_t)tag);
        return 0;
}

static int on_observe(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                      Error *reterr)
{
        for (unsigned i = 0; i < 100; i++) {
                int r = wire_make_room(fd, reply, WIRE_OBSERVE, 6000, soon(5000), reterr);

                if (r < 0)
                        return r;
                wire_put_u32(reply, i);
                wire_put_raw(reply, (uint8_t[4096]){0}, 4096);
        }
        return 0;
}

static const WireEntry table[] = {{WIRE_STAGE, on_stage}, {WIRE_OBSERVE, on_observe}};

/* A child serves the other end; its exit status tells how it went. */
static pid_t serve(int64_t idle_msec)
{
        pid_t pid = fork();

        if (pid == 0) {
                unsigned calls = 0;

                close(ours);
                _exit(wire_serve(theirs, table, ELEMENTSOF(table), idle_msec * USEC_PER_MSEC,
                                 &calls, NULL) < 0
                              ? 200
                              : (int)calls);
        }
        close(theirs);
        theirs = -1;
        return pid;
}

static int ended(pid_t pid)
{
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int stage(const char *name)
{
        wire_request(message, WIRE_STAGE, 77);
        wire_put_text(message, name);
        return wire_call(ours, message, WIRE_STAGE, soon(20000), &error);
}

START_TEST(serves_a_table_of_requests)
{
        pid_t pid = serve(20000);

        ck_assert_int_eq(stage("name"), 0);
        ck_assert_str_eq(wire_get_text(message, 63), "name");
        ck_assert_int_eq(wire_get_i64(message), 77);
        ck_assert_int_eq(wire_end(message, &error), 0);
        ck_assert_int_eq(stage("fails"), -EKEYEXPIRED);
        ck_assert_str_eq(error.text, "the leaf expired");
        ck_assert_int_eq(stage("silent"), -EDOM);
        ck_assert_uint_gt(strlen(error.text), 0);
        ck_assert_int_eq(stage("huge"), -EMSGSIZE);
        ck_assert_int_eq(stage("name"), 0);
        close(ours);
        ours = -1;
        ck_assert_int_eq(ended(pid), 5);
}
END_TEST

START_TEST(answers_what_is_no_request)
{
        pid_t pid = serve(20000);

        wire_request(message, WIRE_LOAD, 1);
        ck_assert_int_eq(wire_call(ours, message, WIRE_LOAD, soon(20000), &error), -EOPNOTSUPP);
        wire_request(message, (WireVerb)255, 1);
        ck_assert_int_eq(wire_call(ours, message, (WireVerb)255, soon(20000), &error), -EOPNOTSUPP);
        wire_request(message, WIRE_STAGE, 1);
        message->data[0] = WIRE_VERSION + 1;
        ck_assert_int_eq(wire_call(ours, message, WIRE_STAGE, soon(20000), &error), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(error.text, "version"));
        wire_request(message, WIRE_STAGE, 1);
        message->size = 3;
        ck_assert_int_eq(wire_call(ours, message, WIRE_STAGE, soon(20000), &error), -EBADMSG);
        ck_assert_int_eq(stage("name"), 0);
        wire_request(message, WIRE_STAGE, 1);
        ck_assert_int_eq(wire_call(ours, message, WIRE_STAGE, soon(20000), &error), -EBADMSG);
        close(ours);
        ours = -1;
        ck_assert_int_eq(ended(pid), 1);
}
END_TEST

START_TEST(serves_a_stream)
{
        pid_t pid = serve(20000);
        unsigned n = 0;

        wire_request(message, WIRE_OBSERVE, 1);
        ck_assert_int_eq(wire_send(ours, message, soon(20000), &error), 0);
        while (n < 100) {
                uint8_t bytes[4096];

                ck_assert_int_eq(wire_receive(ours, message, soon(20000), &error), 0);
                ck_assert_int_eq(wire_get_reply(message, WIRE_OBSERVE, &error), 0);
                while (wire_more(message)) {
                        ck_assert_uint_eq(wire_get_u32(message), n++);
                        wire_get_raw(message, bytes, sizeof bytes);
                }
                ck_assert_int_eq(wire_end(message, &error), 0);
        }
        close(ours);
        ours = -1;
        ck_assert_int_eq(ended(pid), 0);
}
END_TEST

START_TEST(ends_when_idle)
{
        int64_t begin = clock_boottime();
        pid_t pid = serve(100);

        ck_assert_int_eq(stage("name"), 0);
        ck_assert_int_eq(ended(pid), 1);
        ck_assert_int_ge(clock_boottime() - begin, 100 * USEC_PER_MSEC);
        ck_assert_int_eq(wire_receive(ours, message, soon(5000), &error), -EPIPE);
}
END_TEST

START_TEST(ends_at_an_oversize_message)
{
        static uint8_t bytes[WIRE_MESSAGE_MAX + 1];
        pid_t pid = serve(20000);

        ck_assert_int_eq(send(ours, bytes, sizeof bytes, 0), sizeof bytes);
        ck_assert_int_eq(ended(pid), 200);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("serve");
        TCase *tcase = tcase_create("serve");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, serves_a_table_of_requests);
        tcase_add_test(tcase, answers_what_is_no_request);
        tcase_add_test(tcase, serves_a_stream);
        tcase_add_test(tcase, ends_when_idle);
        tcase_add_test(tcase, ends_at_an_oversize_message);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
