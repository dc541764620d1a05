/*
 * Every wait has a deadline, and every descriptor is treated as non-blocking (MSG_DONTWAIT),
 * whoever made it: a peer that stops, or that sends half of what it should, costs its caller the
 * time allowed and nothing else. A peer may lie, but a datagram is bounded by the buffer it is read
 * into, and its fields by common/message.
 */
#include "common/wire.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { LISTEN_BACKLOG = 64, POLL_MAX_MSEC = 60 * 1000, CONNECT_PAUSE_MSEC = 10 };

/* How long a reply may wait for its reader before the connection is given up. */
#define REPLY_WAIT_USEC (10 * USEC_PER_SEC)

/* Waits for events until the deadline. An end of the connection is an event too: the call that
 * follows tells it. */
static int wait_for(int fd, short events, int64_t deadline_usec, Error *reterr)
{
        for (;;) {
                struct pollfd pollfd = {.fd = fd, .events = events};
                int64_t now = clock_boottime(), msec;
                int r;

                if (deadline_usec <= now)
                        return error_set(reterr, ETIMEDOUT, "no answer within the time allowed");
                msec = (deadline_usec - now) / USEC_PER_MSEC + 1;
                r = poll(&pollfd, 1, msec > POLL_MAX_MSEC ? POLL_MAX_MSEC : (int)msec);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return error_set(reterr, errno, "cannot wait for a message: %m");
        }
}

int wire_send(int fd, const Message *message, int64_t deadline_usec, Error *reterr)
{
        if (message->bad)
                return error_set(reterr, EMSGSIZE, "a message would be larger than %d bytes",
                                 WIRE_MESSAGE_MAX);
        for (;;) {
                ssize_t n = send(fd, message->data, message->size, MSG_NOSIGNAL | MSG_DONTWAIT);
                int r;

                if (n >= 0)
                        return 0;
                if (errno == EINTR)
                        continue;
                if (errno == EPIPE || errno == ECONNRESET)
                        return error_set(reterr, EPIPE, "the other end is gone");
                if (errno != EAGAIN)
                        return error_set(reterr, errno, "cannot send a message: %m");
                r = wait_for(fd, POLLOUT, deadline_usec, reterr);
                if (r < 0)
                        return r;
        }
}

int wire_receive(int fd, Message *message, int64_t deadline_usec, Error *reterr)
{
        message->size = message->position = 0;
        message->bad = false;
        for (;;) {
                /* MSG_TRUNC gives the size that was sent: a cut message must not pass for one. */
                ssize_t n = recv(fd, message->data, WIRE_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
                int r;

                if (n > WIRE_MESSAGE_MAX)
                        return error_set(reterr, EMSGSIZE, "a message of %zd bytes is too large",
                                         n);
                if (n > 0) {
                        message->size = (size_t)n;
                        return 0;
                }
                /* Nobody sends an empty datagram, which would look the same. */
                if (n == 0 || errno == ECONNRESET)
                        return error_set(reterr, EPIPE, "the other end is gone");
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return error_set(reterr, errno, "cannot receive a message: %m");
                r = wait_for(fd, POLLIN, deadline_usec, reterr);
                if (r < 0)
                        return r;
        }
}

int wire_call(int fd, Message *message, WireVerb verb, int64_t deadline_usec, Error *reterr)
{
        int r = wire_send(fd, message, deadline_usec, reterr);

        if (r < 0)
                return r;
        r = wire_receive(fd, message, deadline_usec, reterr);
        if (r < 0)
                return r;
        return wire_get_reply(message, verb, reterr);
}

int wire_make_room(int fd, Message *reply, WireVerb verb, size_t size, int64_t deadline_usec,
                   Error *reterr)
{
        int r;

        if (wire_room(reply) >= size)
                return 0;
        r = wire_send(fd, reply, deadline_usec, reterr);
        if (r >= 0)
                wire_reply(reply, verb);
        return r;
}

/* A new socket, and the address that the path is to it. */
static int new_socket(const char *path, struct sockaddr_un *ret_address, int *ret_fd, Error *reterr)
{
        int fd;

        *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof ret_address->sun_path)
                return error_set(reterr, ENAMETOOLONG,
                                 "the socket's path %s is longer than %zu bytes", path,
                                 sizeof ret_address->sun_path - 1);
        strcpy(ret_address->sun_path, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_set(reterr, errno, "cannot make a socket: %m");
        *ret_fd = fd;
        return 0;
}

int wire_connect(const char *path, int64_t deadline_usec, int *ret_fd, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        struct sockaddr_un address;
        int r = new_socket(path, &address, &fd, reterr);

        if (r < 0)
                return r;
        /* A full backlog is EAGAIN, and nothing tells when it is not: look again until the
         * deadline. */
        while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        return error_set(reterr, errno, "cannot connect to %s: %m", path);
                if (clock_boottime() >= deadline_usec)
                        return error_set(reterr, ETIMEDOUT, "cannot connect to %s: it is busy",
                                         path);
                poll(NULL, 0, CONNECT_PAUSE_MSEC);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Removes a socket that nobody listens on. Two programs that do so at the same time are kept apart
 * by the lock of their state directory, not here. */
static int remove_stale(const char *path, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        struct stat stat;

        if (lstat(path, &stat) < 0)
                return errno == ENOENT ? 0
                                       : error_set(reterr, errno, "cannot look at %s: %m", path);
        if (!S_ISSOCK(stat.st_mode))
                return error_set(reterr, EEXIST, "%s is in the way: it is not a socket", path);
        if (wire_connect(path, 0, &fd, NULL) != -ECONNREFUSED)
                return error_set(reterr, EADDRINUSE, "another program listens on %s", path);
        if (unlink(path) < 0 && errno != ENOENT)
                return error_set(reterr, errno, "cannot remove the stale socket %s: %m", path);
        return 0;
}

int wire_listen(const char *path, mode_t mode, int *ret_fd, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        struct sockaddr_un address;
        int r = new_socket(path, &address, &fd, reterr);

        if (r >= 0)
                r = remove_stale(path, reterr);
        if (r < 0)
                return r;
        /* The mode is set before anybody can connect: nothing listens until then. */
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return error_set(reterr, errno, "cannot bind to %s: %m", path);
        if (chmod(address.sun_path, mode) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
                r = error_set(reterr, errno, "cannot listen on %s: %m", address.sun_path);
                unlink(address.sun_path);
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int wire_accept(int listening_fd, int *ret_fd, uid_t *ret_uid, Error *reterr)
{
        _cleanup_(closep) int fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct ucred peer;
        socklen_t size = sizeof peer;

        if (fd < 0)
                return error_set(reterr, errno, "cannot accept a connection: %m");
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return error_set(reterr, errno, "cannot tell who connects: %m");
        *ret_uid = peer.uid;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Answers one request. What is no request is answered too, so that its sender is told and does not
 * wait for its deadline. */
static int serve_one(int fd, const WireEntry *table, size_t n, void *userdata, Message *request,
                     Message *reply, Error *reterr)
{
        const WireEntry *entry = NULL;
        Error error = {0};
        WireVerb verb;
        uint64_t tag;
        int r = wire_get_request(request, &verb, &tag, &error);

        for (size_t i = 0; r >= 0 && i < n; i++)
                if (table[i].verb == verb)
                        entry = &table[i];
        if (r >= 0 && !entry)
                r = error_set(&error, EOPNOTSUPP, "there is no request %u", (unsigned)verb);
        wire_reply(reply, verb);
        if (r >= 0)
                r = entry->handle(userdata, fd, tag, request, reply, &error);
        if (r >= 0 && reply->bad)
                r = error_set(&error, EMSGSIZE, "the answer is too large");
        if (r < 0) {
                /* A reply with the code 0 would mean success. */
                if (error.code == 0)
                        error_set(&error, -r, "%s", strerror(-r));
                wire_reply_error(reply, verb, &error);
        }
        return wire_send(fd, reply, usec_add(clock_boottime(), REPLY_WAIT_USEC), reterr);
}

int wire_serve(int fd, const WireEntry *table, size_t n, int64_t idle_usec, void *userdata,
               Error *reterr)
{
        _cleanup_(message_freep) Message *request = NULL, *reply = NULL;
        int r = message_new(&request, reterr);

        if (r >= 0)
                r = message_new(&reply, reterr);
        while (r >= 0) {
                r = wire_receive(fd, request, usec_add(clock_boottime(), idle_usec), reterr);
                if (r == -ETIMEDOUT) /* idle; a reply that nobody takes is a failure */
                        return 0;
                if (r >= 0)
                        r = serve_one(fd, table, n, userdata, request, reply, reterr);
        }
        return r == -EPIPE ? 0 : r;
}
