/*
 * One client of the control socket and what it asked: the request, the queue of output towards it,
 * and its deadlines. Runs inside the event loop and never blocks it: a reader that does not take
 * its output in CONTROL_DRAIN_USEC is dropped, and so is a client that connects and says nothing.
 *
 * A call's life: handler->request() is given a new call. From then on it is the handler's, until
 * exactly one of these: control_call_finish() (by the handler, at once or any time later), or
 * handler->closed() (the client went away or had to be dropped). After either the pointer is
 * dangling. Functions on a call only queue: none of them ever calls the handler back.
 */
#pragma once

#include "common/error.h"
#include "common/wire.h"
#include "common/wire_control.h"

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum { CONTROL_PENDING_MAX = 64 << 20 }; /* bytes queued for one client; more drops it */
#define CONTROL_SILENCE_USEC (5 * UINT64_C(1000000))
#define CONTROL_DRAIN_USEC                                                                         \
        (5 * UINT64_C(1000000)) /* from the first byte queued to the last taken */

typedef struct ControlCall ControlCall;

typedef struct ControlHandler {
        /* A well-formed request whose command may be unknown to the handler. A negative errno ends
         * a call that was not finished yet with that error. */
        int (*request)(void *userdata, ControlCall *call);
        /* The client of an unfinished call is gone: forget the pointer. What was asked for may go
         * on. May be NULL where request() always finishes. */
        void (*closed)(void *userdata, ControlCall *call);
} ControlHandler;

/* The request; strings live as long as the call. */
const char *control_call_command(const ControlCall *call);
unsigned control_call_flags(const ControlCall *call); /* ControlFlag bits */
char *const *control_call_arguments(const ControlCall *call, size_t *ret_n);
uid_t control_call_uid(const ControlCall *call);
pid_t control_call_pid(const ControlCall *call);

/* Queues text for pgcertctl's standard output (fd 1) or standard error (fd 2). Out of memory or
 * over CONTROL_PENDING_MAX, the client is dropped on the next turn of the loop. Control characters
 * of C0 and C1 other than newline and tab go out as "?". */
void control_call_write(ControlCall *call, int fd, const char *sentences);

/* The exit status follows what was written, and the call is over. */
void control_call_finish(ControlCall *call, int exit_status);

/* All clients of a socket; for control.c. */
typedef struct ControlCalls {
        const ControlHandler *handler;
        void *userdata;
        sd_event *event;
        Message *message; /* for what is being received or formed */
        ControlCall *first;
        size_t n;
} ControlCalls;

/* Takes the connection, also on failure. */
int control_call_new(ControlCalls *calls, int fd, uid_t uid, pid_t pid);

/* Ends every connection; closed() is called for unfinished calls. */
void control_call_end_all(ControlCalls *calls);
