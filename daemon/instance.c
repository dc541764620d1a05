#include "daemon/instance.h"

#include "common/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int instance_directory(const char *path, mode_t mode, Error *reterr)
{
        struct stat stat_buffer;

        if (mkdir(path, mode) == 0)
                return 1;
        if (errno != EEXIST)
                return error_set(reterr, errno,
                                 "cannot make the directory %s: %m HINT: Its parent must "
                                 "exist and be writable.",
                                 path);
        if (stat(path, &stat_buffer) < 0)
                return error_set(reterr, errno, "cannot look at %s: %m", path);
        if (!S_ISDIR(stat_buffer.st_mode))
                return error_set(reterr, ENOTDIR, "%s is not a directory", path);
        return 0;
}

int instance_lock(const char *state_dir, int64_t wait_usec, int *ret_fd, Error *reterr)
{
        _cleanup_(closep) int directory_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (directory_fd < 0)
                return error_set(reterr, errno, "cannot open the directory %s: %m", state_dir);
        r = lock_open(directory_fd, state_dir, wait_usec, ret_fd, reterr);
        if (r == -EWOULDBLOCK)
                return error_prefix(reterr, "another pgcertd works on this state directory"), r;
        return r;
}
