/*
 * Messages over sockets: sent, awaited, and the sockets themselves.
 */
#include "common/wire.h"

#include "common/clock.h"
#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static Message *message;
static Error error;
static int ours, theirs;
static char path[100];

static void setup(void)
{
        int fds[2];

        judge_setup();
        error = (Error){0};
        snprintf(path, sizeof path, "%s/socket", judge_directory);
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
        judge_teardown();
}

static int64_t soon(int64_t msec)
{
        return clock_boottime() + msec * USEC_PER_MSEC;
}

START_TEST(sends_and_receives_messages_of_every_size)
{
        static const size_t sizes[] = {0, 1, 1000, WIRE_MESSAGE_MAX - 10};
        static uint8_t bytes[WIRE_MESSAGE_MAX];

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                WireVerb verb;
                uint64_t tag;

                memset(bytes, (int)i + 1, sizeof bytes);
                wire_request(message, WIRE_FILL, 7);
                wire_put_raw(message, bytes, sizes[i]);
                ck_assert_int_eq(wire_send(ours, message, soon(5000), &error), 0);
                wire_request(message, WIRE_OBSERVE, 0);
                ck_assert_int_eq(wire_receive(theirs, message, soon(5000), &error), 0);
                ck_assert_uint_eq(message->size, sizes[i] + 10);
                ck_assert_int_eq(wire_get_request(message, &verb, &tag, &error), 0);
                ck_assert_int_eq(verb, WIRE_FILL);
                ck_assert_mem_eq(message->data + 10, bytes, sizes[i]);
        }
}
END_TEST

START_TEST(sends_nothing_that_is_too_large)
{
        wire_request(message, WIRE_FILL, 7);
        wire_put_bytes(message, "", WIRE_MESSAGE_MAX);
        ck_assert_int_eq(wire_send(ours, message, soon(5000), &error), -EMSGSIZE);
        ck_assert_int_eq(wire_receive(theirs, message, soon(1), &error), -ETIMEDOUT);
}
END_TEST

START_TEST(refuses_a_larger_message_whole)
{
        static uint8_t bytes[WIRE_MESSAGE_MAX + 1];

        ck_assert_int_eq(send(ours, bytes, sizeof bytes, 0), sizeof bytes);
        ck_assert_int_eq(wire_receive(theirs, message, soon(5000), &error), -EMSGSIZE);
        ck_assert_ptr_nonnull(strstr(error.text, "65537"));
}
END_TEST

START_TEST(waits_until_the_deadline)
{
        int64_t begin = clock_boottime();

        ck_assert_int_eq(wire_receive(theirs, message, soon(50), &error), -ETIMEDOUT);
        ck_assert_int_ge(clock_boottime() - begin, 50 * USEC_PER_MSEC);
        ck_assert_int_lt(clock_boottime() - begin, 5 * USEC_PER_SEC);
        /* One that is over, and one at the end of time. */
        ck_assert_int_eq(wire_receive(theirs, message, 0, &error), -ETIMEDOUT);
        ck_assert_int_eq(wire_receive(theirs, message, INT64_MIN, &error), -ETIMEDOUT);
        wire_request(message, WIRE_LOAD, 1);
        ck_assert_int_eq(wire_send(ours, message, 0, &error), 0);
        ck_assert_int_eq(wire_receive(theirs, message, USEC_INFINITY, &error), 0);
}
END_TEST

START_TEST(stops_sending_at_the_deadline)
{
        static uint8_t bytes[WIRE_MESSAGE_MAX - 10];
        int r = 0;

        wire_request(message, WIRE_FILL, 7);
        wire_put_raw(message, bytes, sizeof bytes);
        for (unsigned i = 0; i < 1000 && r == 0; i++)
                r = wire_send(ours, message, soon(20), &error);
        ck_assert_int_eq(r, -ETIMEDOUT);
}
END_TEST

START_TEST(tells_that_the_other_end_is_gone)
{
        wire_request(message, WIRE_LOAD, 1);
        ck_assert_int_eq(wire_send(theirs, message, soon(5000), &error), 0);
        close(theirs);
        theirs = -1;
        ck_assert_int_eq(wire_send(ours, message, soon(5000), &error), -EPIPE);
        /* What it sent before is still had. */
        ck_assert_int_eq(wire_receive(ours, message, soon(5000), &error), 0);
        ck_assert_int_eq(wire_receive(ours, message, soon(5000), &error), -EPIPE);
        ck_assert_int_eq(wire_call(ours, message, WIRE_LOAD, soon(5000), &error), -EPIPE);
        ck_assert_int_eq(wire_receive(-1, message, soon(5000), &error), -EBADF);
}
END_TEST

START_TEST(begins_the_next_message_of_a_stream)
{
        wire_reply(message, WIRE_OBSERVE);
        wire_put_u32(message, 1);
        ck_assert_int_eq(
                wire_make_room(ours, message, WIRE_OBSERVE, wire_room(message), soon(5000), &error),
                0);
        ck_assert_uint_eq(message->size, 10);
        ck_assert_int_eq(wire_make_room(ours, message, WIRE_OBSERVE, wire_room(message) + 1,
                                        soon(5000), &error),
                         0);
        ck_assert_uint_eq(message->size, 6);
        ck_assert_int_eq(wire_receive(theirs, message, soon(5000), &error), 0);
        ck_assert_uint_eq(message->size, 10);
        close(theirs);
        theirs = -1;
        ck_assert_int_eq(
                wire_make_room(ours, message, WIRE_OBSERVE, WIRE_MESSAGE_MAX, soon(5000), &error),
                -EPIPE);
}
END_TEST

START_TEST(listens_with_its_mode_and_tells_who_connects)
{
        _cleanup_(closep) int fd = -1, client = -1, server = -1;
        struct stat stat;
        uid_t uid = 12345;

        umask(077);
        ck_assert_int_eq(wire_listen(path, 0660, &fd, &error), 0);
        ck_assert_int_eq(lstat(path, &stat), 0);
        ck_assert_uint_eq(stat.st_mode, S_IFSOCK | 0660);
        ck_assert_int_eq(wire_accept(fd, &server, &uid, &error), -EAGAIN);
        ck_assert_int_eq(wire_connect(path, soon(5000), &client, &error), 0);
        ck_assert_int_eq(wire_accept(fd, &server, &uid, &error), 0);
        ck_assert_uint_eq(uid, geteuid());
        ck_assert_int_eq(fcntl(server, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(client, F_GETFD), FD_CLOEXEC);
        wire_request(message, WIRE_LOAD, 1);
        ck_assert_int_eq(wire_send(client, message, soon(5000), &error), 0);
        ck_assert_int_eq(wire_receive(server, message, soon(5000), &error), 0);
}
END_TEST

START_TEST(replaces_stale_sockets_only)
{
        _cleanup_(closep) int fd = -1, other = -1;
        _cleanup_(freep) char *content = NULL;
        size_t size;

        ck_assert_int_eq(wire_listen(path, 0600, &fd, &error), 0);
        ck_assert_int_eq(wire_listen(path, 0600, &other, &error), -EADDRINUSE);
        ck_assert_ptr_nonnull(strstr(error.text, path));
        close(fd);
        fd = -1;
        ck_assert_int_eq(wire_listen(path, 0600, &other, &error), 0);
        close(other);
        other = -1;
        ck_assert_int_eq(unlink(path), 0);
        judge_write("socket", "mine", 4);
        ck_assert_int_eq(wire_listen(path, 0600, &fd, &error), -EEXIST);
        content = judge_read("socket", &size);
        ck_assert_str_eq(content, "mine");
        ck_assert_int_eq(judge_run("rm socket && ln -s gone socket"), 0);
        ck_assert_int_eq(wire_listen(path, 0600, &fd, &error), -EEXIST);
        ck_assert_int_eq(judge_run("rm socket && mkdir socket"), 0);
        ck_assert_int_eq(wire_listen(path, 0600, &fd, &error), -EEXIST);
        ck_assert_int_lt(fd, 0);
}
END_TEST

/* A listener whose backlog is full is alive: its socket stays. */
START_TEST(gives_up_where_nobody_accepts)
{
        _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), again = -1;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int clients[8], r = 0;
        size_t n = 0;

        strcpy(address.sun_path, path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(listen(fd, 0), 0);
        while (r == 0 && n < ELEMENTSOF(clients))
                r = wire_connect(path, soon(30), &clients[n++], &error);
        ck_assert_int_eq(r, -ETIMEDOUT);
        ck_assert_int_eq(wire_listen(path, 0600, &again, &error), -EADDRINUSE);
        ck_assert_int_eq(access(path, F_OK), 0);
        for (size_t i = 0; i + 1 < n; i++)
                close(clients[i]);
}
END_TEST

START_TEST(tells_why_a_socket_cannot_be_had)
{
        char longer[200];
        int fd = -1;

        ck_assert_int_eq(wire_connect(path, soon(5000), &fd, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, path));
        judge_write("socket", "", 0);
        ck_assert_int_eq(wire_connect(path, soon(5000), &fd, &error), -ECONNREFUSED);
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        ck_assert_int_eq(wire_connect(longer, soon(5000), &fd, &error), -ENAMETOOLONG);
        ck_assert_int_eq(wire_listen(longer, 0600, &fd, &error), -ENAMETOOLONG);
        snprintf(longer, sizeof longer, "%s/none/socket", judge_directory);
        ck_assert_int_eq(wire_listen(longer, 0600, &fd, &error), -ENOENT);
        ck_assert_int_lt(fd, 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("wire");
        TCase *tcase = tcase_create("wire");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, sends_and_receives_messages_of_every_size);
        tcase_add_test(tcase, sends_nothing_that_is_too_large);
        tcase_add_test(tcase, refuses_a_larger_message_whole);
        tcase_add_test(tcase, waits_until_the_deadline);
        tcase_add_test(tcase, stops_sending_at_the_deadline);
        tcase_add_test(tcase, tells_that_the_other_end_is_gone);
        tcase_add_test(tcase, begins_the_next_message_of_a_stream);
        tcase_add_test(tcase, listens_with_its_mode_and_tells_who_connects);
        tcase_add_test(tcase, replaces_stale_sockets_only);
        tcase_add_test(tcase, gives_up_where_nobody_accepts);
        tcase_add_test(tcase, tells_why_a_socket_cannot_be_had);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
