#include "common/lock.h"

#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

/* flock() cannot be waited for with a deadline: it is tried again, first soon, then seldom. */
enum {
        PAUSE_FIRST_MSEC = 2,
        PAUSE_MAX_MSEC = 100,
        LOCKS_MAX = 100000, /* lines of /proc/locks */
        LINE_MAX_BYTES = 256,
        PID_TEXT_MAX = 32,
};

static const char file_name[] = "lock";

/* The process that has the lock, by proc_locks(5); 0 where it is not told: it lives in another pid
 * namespace, or the unit's sandbox hides the file. */
static long kernels_holder(const struct stat *stat)
{
        FILE *locks = fopen("/proc/locks", "re");
        char line[LINE_MAX_BYTES];
        long found = 0;

        for (unsigned i = 0; locks && i < LOCKS_MAX && found == 0; i++) {
                unsigned major_number, minor_number;
                unsigned long inode;
                long pid;

                if (!fgets(line, sizeof line, locks))
                        break;
                if (sscanf(line, "%*u: FLOCK %*s WRITE %ld %x:%x:%lu", &pid, &major_number,
                           &minor_number, &inode) == 4 &&
                    inode == stat->st_ino && major_number == major(stat->st_dev) &&
                    minor_number == minor(stat->st_dev) && pid > 0)
                        found = pid;
        }
        if (locks)
                fclose(locks);
        return found;
}

/* The process that the locked file names; 0 where it names none. */
static long written_holder(int fd)
{
        char text[PID_TEXT_MAX] = "";
        ssize_t n = pread(fd, text, sizeof text - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        return strspn(text, "0123456789") > 0 ? strtol(text, NULL, 10) : 0;
}

static int tell_holder(int fd, const char *path, Error *reterr)
{
        struct stat stat;
        long pid = 0;

        if (fstat(fd, &stat) == 0)
                pid = S_ISREG(stat.st_mode) ? written_holder(fd) : kernels_holder(&stat);
        if (pid > 0)
                return error_set(reterr, EWOULDBLOCK, "process %ld holds the lock on %s", pid,
                                 path);
        return error_set(reterr, EWOULDBLOCK, "another program holds the lock on %s", path);
}

int lock_take(int fd, const char *path, int64_t wait_usec, Error *reterr)
{
        int64_t deadline_usec = usec_add(clock_boottime(), wait_usec);
        int pause_msec = PAUSE_FIRST_MSEC;

        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(reterr, errno, "cannot lock %s: %m", path);
                if (clock_boottime() >= deadline_usec)
                        return tell_holder(fd, path, reterr);
                poll(NULL, 0, pause_msec);
                pause_msec = pause_msec * 2 > PAUSE_MAX_MSEC ? PAUSE_MAX_MSEC : pause_msec * 2;
        }
        return 0;
}

static int write_holder(int fd, const char *path, Error *reterr)
{
        char text[PID_TEXT_MAX];

        snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0)
                return error_set(reterr, errno, "cannot write %s: %m", path);
        return fdio_write_all(fd, text, strlen(text), path, reterr);
}

int lock_open(int directory_fd, const char *directory, int64_t wait_usec, int *ret_fd,
              Error *reterr)
{
        _cleanup_(closep) int fd =
                openat(directory_fd, file_name,
                       O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        _cleanup_(freep) char *path = NULL;
        int r;

        if (fd < 0)
                return error_set(reterr, errno, "cannot open %s/%s: %m", directory, file_name);
        if (asprintf(&path, "%s/%s", directory, file_name) < 0) {
                path = NULL;
                return error_oom(reterr);
        }
        r = lock_take(fd, path, wait_usec, reterr);
        if (r >= 0)
                r = write_holder(fd, path, reterr);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
