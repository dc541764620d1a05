#include "daemon/worker/lock.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LOCK_WAIT_MSEC = 5000, LOCK_STEP_MAX_MSEC = 200, LOCK_LINES_MAX = 100000 };

/* The process that holds a flock on the inode, from proc_locks(5); 0 where it is not told: it may
 * live in another pid namespace. */
static int find_holder(ino_t inode)
{
        FILE *locks = fopen("/proc/locks", "re");
        char line[256];
        int found = 0;

        if (!locks)
                return 0;
        for (unsigned i = 0; i < LOCK_LINES_MAX && found == 0; i++) {
                unsigned long number;
                int pid;

                if (!fgets(line, sizeof line, locks))
                        break;
                if (sscanf(line, "%*u: FLOCK %*s WRITE %d %*x:%*x:%lu", &pid, &number) == 2 &&
                    number == inode && pid > 0)
                        found = pid;
        }
        fclose(locks);
        return found;
}

static int tell_holder(int fd, const char *path, Error *reterr)
{
        struct stat stat;
        int pid = fstat(fd, &stat) == 0 ? find_holder(stat.st_ino) : 0;

        if (pid > 0)
                return error_set(reterr, EWOULDBLOCK, "process %d holds the lock on %s", pid, path);
        return error_set(reterr, EWOULDBLOCK, "another program holds the lock on %s", path);
}

int lock_directory(int fd, const char *path, Error *reterr)
{
        int64_t deadline = clock_boottime() + LOCK_WAIT_MSEC * USEC_PER_MSEC;
        int step = 2;

        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(reterr, errno, "cannot lock %s: %m", path);
                if (clock_boottime() >= deadline)
                        return tell_holder(fd, path, reterr);
                poll(NULL, 0, step);
                step = step * 2 > LOCK_STEP_MAX_MSEC ? LOCK_STEP_MAX_MSEC : step * 2;
        }
        return 0;
}
