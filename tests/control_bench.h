/*
 * For tests of the control socket: one in a directory of its own, with a handler that answers
 * "status" and "renew" at once, "plan" with more than a socket holds, "reload" when the test wants,
 * and fails "check".
 */
#pragma once

#include "common/clock.h"
#include "common/text.h"
#include "daemon/control.h"

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

_unused_ static void bench_open(Bench *bench)
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

_unused_ static void bench_done(Bench *bench)
{
        control_free(bench->control);
        sd_event_unref(bench->event);
        text_done(&bench->heard);
        unlink(bench->path);
        ck_assert_int_eq(rmdir(bench->directory), 0);
}

/* Turns the loop until nothing is left to do: a local socket has no delay. */
_unused_ static void settle(Bench *bench)
{
        while (sd_event_run(bench->event, 0) > 0)
                ;
}

_unused_ static int connect_to(Bench *bench)
{
        int fd = -1;

        ck_assert_int_eq(wire_connect(bench->path, clock_boottime() + USEC_PER_SEC, &fd, NULL), 0);
        settle(bench);
        return fd;
}

_unused_ static void send_request(int fd, const char *command, unsigned flags, const char *argument)
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

_unused_ static void answer_done(Answer *answer)
{
        text_done(&answer->out);
        text_done(&answer->err);
}

/* Receives what is there. Returns the last code: -ETIMEDOUT where more may come. */
_unused_ static int receive(int fd, Answer *answer)
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

_unused_ static void expect_answer(Bench *bench, int fd)
{
        _cleanup_(answer_done) Answer answer = {0};

        settle(bench);
        ck_assert_int_eq(receive(fd, &answer), -EPIPE);
        ck_assert_str_eq(text_content(&answer.out), "out");
        ck_assert_str_eq(text_content(&answer.err), "err");
        ck_assert_int_eq(answer.status, 2);
        ck_assert_int_eq(answer.error.code, 0);
}
