#include "daemon/signer/state.h"

#include "common/fdio.h"
#include "common/lock.h"

#include <errno.h>
#include <fcntl.h>

void state_close(State *state)
{
        closep(&state->fd);
        closep(&state->lock_fd);
        *state = (State){.fd = -1, .lock_fd = -1};
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
        r = lock_open(state.fd, path, wait_usec, &state.lock_fd, reterr);
        if (r == -EWOULDBLOCK)
                return error_prefix(reterr, "another pgcertd-signer"), r;
        if (r < 0)
                return r;
        *ret = state;
        state = (State){.fd = -1, .lock_fd = -1};
        return 0;
}
