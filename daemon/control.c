#include "daemon/control.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define ACCEPT_PAUSE_USEC UINT64_C(1000000)

struct Control {
        char *path;
        dev_t device; /* of the socket's file, to tell whether it is still ours */
        ino_t inode;
        int fd;
        sd_event_source *io, *pause;
        ControlCalls calls;
};

/* Says no to one client too many; what the socket does not take at once is not sent. */
static void turn_away(Control *control, int fd)
{
        Error error;

        error_set(&error, EBUSY,
                  "pgcertd already answers %d clients HINT: Try again in a few seconds.",
                  CONTROL_CLIENTS_MAX);
        wire_reply_error(control->calls.message, WIRE_CONTROL, &error);
        wire_send(fd, control->calls.message, 0, NULL);
        close(fd);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Control *control = userdata;

        return sd_event_source_set_enabled(control->io, SD_EVENT_ON);
}

static int on_connection(sd_event_source *source, int listening_fd, uint32_t events, void *userdata)
{
        Control *control = userdata;
        struct ucred peer = {0};
        socklen_t size = sizeof peer;
        uid_t uid;
        int fd, r = wire_accept(listening_fd, &fd, &uid, NULL);

        if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS) {
                /* The connection stays in the backlog and would wake us for ever. */
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                sd_event_source_set_time_relative(control->pause, ACCEPT_PAUSE_USEC);
                return sd_event_source_set_enabled(control->pause, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                return 0;
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
        if (control->calls.n >= CONTROL_CLIENTS_MAX) {
                turn_away(control, fd);
                return 0;
        }
        control_call_new(&control->calls, fd, uid, peer.pid);
        return 0;
}

/* Says which process listens, as the kernel knows it. */
static int taken(const char *path, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        struct ucred peer = {0};
        socklen_t size = sizeof peer;

        if (wire_connect(path, 0, &fd, NULL) >= 0 &&
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) >= 0 && peer.pid > 0)
                return error_set(reterr, EADDRINUSE,
                                 "pgcertd runs already: process %d listens on %s", (int)peer.pid,
                                 path);
        return error_set(reterr, EADDRINUSE, "another program listens on %s", path);
}

static int listen_on(Control *control, Error *reterr)
{
        struct stat stat;
        int r = wire_listen(control->path, 0660, &control->fd, reterr);

        if (r == -EADDRINUSE)
                return taken(control->path, reterr);
        if (r < 0)
                return r;
        if (lstat(control->path, &stat) < 0)
                return error_set(reterr, errno, "cannot look at %s: %m", control->path);
        control->device = stat.st_dev;
        control->inode = stat.st_ino;
        r = sd_event_add_io(control->calls.event, &control->io, control->fd, EPOLLIN, on_connection,
                            control);
        if (r >= 0)
                r = sd_event_add_time_relative(control->calls.event, &control->pause,
                                               CLOCK_BOOTTIME, ACCEPT_PAUSE_USEC, 0, on_pause_over,
                                               control);
        if (r >= 0)
                r = sd_event_source_set_enabled(control->pause, SD_EVENT_OFF);
        return r < 0 ? error_set(reterr, -r, "cannot watch %s: %s", control->path, strerror(-r))
                     : 0;
}

int control_new(sd_event *event, const char *socket_path, const ControlHandler *handler,
                void *userdata, Control **ret, Error *reterr)
{
        _cleanup_(control_freep) Control *control = calloc(1, sizeof *control);
        int r;

        assert(handler && handler->request);
        if (!control)
                return error_oom(reterr);
        control->fd = -1;
        control->calls.handler = handler;
        control->calls.userdata = userdata;
        control->calls.event = sd_event_ref(event);
        control->path = strdup(socket_path);
        if (!control->path)
                return error_oom(reterr);
        r = message_new(&control->calls.message, reterr);
        if (r >= 0)
                r = listen_on(control, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(control);
        return 0;
}

Control *control_free(Control *control)
{
        struct stat stat;

        if (!control)
                return NULL;
        control_call_end_all(&control->calls);
        if (control->fd >= 0 && lstat(control->path, &stat) == 0 &&
            stat.st_dev == control->device && stat.st_ino == control->inode)
                unlink(control->path);
        sd_event_source_disable_unref(control->io);
        sd_event_source_disable_unref(control->pause);
        closep(&control->fd);
        sd_event_unref(control->calls.event);
        message_free(control->calls.message);
        free(control->path);
        free(control);
        return NULL;
}
