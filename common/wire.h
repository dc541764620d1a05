/*
 * Messages between our programs: sent and received over SOCK_SEQPACKET sockets, one datagram each,
 * and served by a table of the requests that a program permits. The same code serves socketpairs
 * and named sockets.
 */
#pragma once

#include "common/message.h"

#include <sys/types.h>

/* Sending and receiving. deadline_usec is of clock_boottime(). -ETIMEDOUT after it; -EPIPE where
 * the other end is closed; -EMSGSIZE for a message that is marked bad, or a datagram that is larger
 * than a message, which is then lost. */
int wire_send(int fd, const Message *message, int64_t deadline_usec, Error *reterr);
int wire_receive(int fd, Message *message, int64_t deadline_usec, Error *reterr);

/* Sends a request and receives one reply into the same message, header read. */
int wire_call(int fd, Message *message, WireVerb verb, int64_t deadline_usec, Error *reterr);

/* Makes room for size more bytes of a stream of replies: where they might not fit, sends what there
 * is and begins the next message with the same header. */
int wire_make_room(int fd, Message *reply, WireVerb verb, size_t size, int64_t deadline_usec,
                   Error *reterr);

/* The listening side. A stale socket at the path is replaced, a live one is -EADDRINUSE, what is no
 * socket -EEXIST. Descriptors are non-blocking. */
int wire_listen(const char *path, mode_t mode, int *ret_fd, Error *reterr);

/* The next connection and the user at its other end (SO_PEERCRED). -EAGAIN where there is none. */
int wire_accept(int listening_fd, int *ret_fd, uid_t *ret_uid, Error *reterr);

/* The calling side. Waits until the deadline where the listener's backlog is full. -ENOENT or
 * -ECONNREFUSED where nobody listens. */
int wire_connect(const char *path, int64_t deadline_usec, int *ret_fd, Error *reterr);

/* A table of the requests that a program permits. A handler reads the request's fields, calls
 * wire_end() before it acts, and puts fields into a reply whose header is there; it may send
 * replies of its own first (a stream), the last is sent for it. On failure the reply carries the
 * error. */
typedef struct WireEntry {
        WireVerb verb;
        int (*handle)(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                      Error *reterr);
} WireEntry;

/* Serves one connection until its end (0), until idle_usec without a request (0), or a failure: a
 * message of no use, or a reply that its reader does not take. */
int wire_serve(int fd, const WireEntry *table, size_t n, int64_t idle_usec, void *userdata,
               Error *reterr);
