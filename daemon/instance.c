#include "daemon/instance.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* flock() cannot be waited for with a deadline: it is tried again this often. */
enum { LOCK_PAUSE_MSEC = 50, PID_TEXT_MAX = 32 };

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

/* Who holds the lock, as the file tells. */
static int held_by(int fd, const char *path, Error *reterr)
{
        char text[PID_TEXT_MAX] = "";
        ssize_t n = pread(fd, text, sizeof text - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        text[strspn(text, "0123456789")] = '\0';
        return error_set(reterr, EWOULDBLOCK,
                         "another pgcertd%s%s works on this state directory (%s)",
                         text[0] ? " with the process id " : "", text, path);
}

int instance_lock(const char *state_dir, int64_t wait_usec, int *ret_fd, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        int64_t deadline = usec_add(clock_boottime(), wait_usec);
        char path[PATH_MAX], text[PID_TEXT_MAX];
        int n;

        if (snprintf(path, sizeof path, "%s/lock", state_dir) >= (int)sizeof path)
                return error_set(reterr, ENAMETOOLONG, "the path of %s is too long", state_dir);
        fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set(reterr, errno, "cannot open %s: %m", path);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(reterr, errno, "cannot lock %s: %m", path);
                if (clock_boottime() >= deadline)
                        return held_by(fd, path, reterr);
                poll(NULL, 0, LOCK_PAUSE_MSEC);
        }
        n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        /* Only for the sentence that the next one is told. */
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
                return error_set(reterr, errno ? errno : EIO, "cannot write %s: %m", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}
