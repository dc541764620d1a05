#include "daemon/signer/state.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { STATE_LOOK_MSEC = 20, STATE_PID_MAX = 32 };

static const char lock_name[] = "lock";

void state_close(State *state)
{
        closep(&state->fd);
        closep(&state->lock_fd);
        *state = (State){.fd = -1, .lock_fd = -1};
}

static int tell_holder(int fd, const char *path, Error *reterr)
{
        char pid[STATE_PID_MAX] = "";
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

        pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
        return error_set(reterr, EWOULDBLOCK, "another pgcertd-signer%s%s holds %s/%s",
                         pid[0] ? ", process " : "", pid, path, lock_name);
}

/* The process is written for people; what holds is the lock alone. */
static int lock(int fd, const char *path, int64_t wait_usec, Error *reterr)
{
        int64_t deadline_usec = usec_add(clock_boottime(), wait_usec);
        char pid[STATE_PID_MAX];

        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(reterr, errno, "cannot lock %s/%s: %m", path, lock_name);
                if (clock_boottime() >= deadline_usec)
                        return tell_holder(fd, path, reterr);
                poll(NULL, 0, STATE_LOOK_MSEC);
        }
        snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0)
                return error_set(reterr, errno, "cannot write %s/%s: %m", path, lock_name);
        return fdio_write_all(fd, pid, strlen(pid), lock_name, reterr);
}

/* A directory that was made must be on disk before anything in it counts. */
static int sync_parent(int fd, Error *reterr)
{
        _cleanup_(closep) int parent_fd = -1;
        int r = fdio_open_directory(fd, "..", &parent_fd, reterr);

        return r < 0 ? r : fdio_sync(parent_fd, "the parent of the state directory", reterr);
}

int state_open(const char *path, bool make, int64_t wait_usec, State *ret, Error *reterr)
{
        _cleanup_(state_close) State state = {.fd = -1, .lock_fd = -1};
        bool is_made = make && mkdir(path, 0700) == 0;
        int r;

        if (make && !is_made && errno != EEXIST)
                return error_set(reterr, errno, "cannot make the state directory %s: %m", path);
        r = fdio_open_directory(AT_FDCWD, path, &state.fd, reterr);
        if (r >= 0 && is_made)
                r = sync_parent(state.fd, reterr);
        if (r < 0)
                return r;
        state.lock_fd = openat(state.fd, lock_name,
                               O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (state.lock_fd < 0)
                return error_set(reterr, errno, "cannot open %s/%s: %m", path, lock_name);
        r = lock(state.lock_fd, path, wait_usec, reterr);
        if (r < 0)
                return r;
        *ret = state;
        state = (State){.fd = -1, .lock_fd = -1};
        return 0;
}
