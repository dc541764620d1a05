#include "daemon/worker/postmaster.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* postmaster.pid is written in several steps at start: one that is not whole is read again. */
enum { PID_FILE_MAX = 64 * 1024, PID_FILE_LINES = 8, READ_TRIES = 10, READ_PAUSE_MSEC = 20 };

#define BOOT_MARGIN_USEC (60 * USEC_PER_SEC)

/* Lines of postmaster.pid (PostgreSQL's src/include/utils/pidfile.h), counting from 0. */
enum {
        LINE_PID,
        LINE_DIRECTORY,
        LINE_START,
        LINE_PORT,
        LINE_SOCKET,
        LINE_ADDRESS,
        LINE_SHMEM,
        LINE_STATUS
};

static int parse_number(const char *text, long min, long max, long *ret)
{
        char *end;

        errno = 0;
        *ret = strtol(text, &end, 10);
        while (*end == ' ')
                end++;
        return errno != 0 || end == text || *end != '\0' || *ret < min || *ret > max ? -EINVAL : 0;
}

/* A wildcard is reached over loopback. */
static const char *reachable_address(const char *address)
{
        if (strcmp(address, "*") == 0 || strcmp(address, "0.0.0.0") == 0)
                return "127.0.0.1";
        if (strcmp(address, "::") == 0)
                return "::1";
        return address;
}

/* Fills what the lines say; -EAGAIN where the file is not whole yet, with the pid where that much
 * is there: the lines of the sockets are added after the TLS files were read, which may take as
 * long as a passphrase prompt does. */
static int parse_lines(char *data, Postmaster *ret, Error *reterr)
{
        char *lines[PID_FILE_LINES] = {NULL}, *rest = data;
        long pid, started, port;
        size_t n = 0;

        while (n < PID_FILE_LINES && rest)
                lines[n++] = strsep(&rest, "\n");
        if (n <= LINE_SOCKET)
                return error_set(reterr, EAGAIN, "postmaster.pid is not whole");
        if (parse_number(lines[LINE_PID], INT_MIN, INT_MAX, &pid) < 0 || pid == 0 ||
            parse_number(lines[LINE_START], 0, LONG_MAX, &started) < 0 ||
            parse_number(lines[LINE_PORT], 0, UINT16_MAX, &port) < 0)
                return error_set(reterr, EAGAIN, "postmaster.pid cannot be understood");
        *ret = (Postmaster){.pid = (pid_t)pid, .started_sec = started, .port = (uint16_t)port};
        /* The status line is written last, in its place; a server before 10 has none. */
        if (n < LINE_STATUS)
                return error_set(reterr, EAGAIN, "postmaster.pid is not whole");
        snprintf(ret->socket_directory, sizeof ret->socket_directory, "%s", lines[LINE_SOCKET]);
        snprintf(ret->address, sizeof ret->address, "%s", reachable_address(lines[LINE_ADDRESS]));
        if (lines[LINE_STATUS])
                snprintf(ret->status, sizeof ret->status, "%.*s",
                         (int)strcspn(lines[LINE_STATUS], " "), lines[LINE_STATUS]);
        return 0;
}

static int read_pid_file(int directory_fd, Postmaster *ret, int64_t *ret_written_usec,
                         Error *reterr)
{
        int r = -EAGAIN;

        for (unsigned i = 0; i < READ_TRIES && r == -EAGAIN; i++) {
                _cleanup_(file_bytes_done) FileBytes bytes = {0};

                if (i > 0)
                        poll(NULL, 0, READ_PAUSE_MSEC);
                *ret = (Postmaster){0};
                r = fdio_read(directory_fd, "postmaster.pid", PID_FILE_MAX, &bytes, reterr);
                if (r >= 0)
                        r = parse_lines((char *)bytes.data, ret, reterr);
                *ret_written_usec = bytes.stat.st_mtim.tv_sec * USEC_PER_SEC;
        }
        return r;
}

/* Whether the process works in the data directory and is a postgres: what nobody but its own user
 * could pretend. Its start time is not compared: line 3 is of the realtime clock, the kernel's
 * figure of the boot's, and they drift apart whenever the clock is set. A pid that was used again
 * by another postgres of the same directory is that directory's postmaster. */
static bool is_postmaster(int directory_fd, pid_t pid)
{
        char path[64], program[PATH_MAX];
        struct stat wanted, found;
        const char *name;

        snprintf(path, sizeof path, "/proc/%ld/cwd", (long)pid);
        if (fstat(directory_fd, &wanted) < 0 || stat(path, &found) < 0 ||
            wanted.st_dev != found.st_dev || wanted.st_ino != found.st_ino)
                return false;
        snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
        if (fdio_readlink(AT_FDCWD, path, program, sizeof program, NULL) < 0)
                return false;
        name = strrchr(program, '/');
        /* A package upgrade leaves a running server with "postgres (deleted)". */
        return name && (strcmp(name, "/postgres") == 0 || strcmp(name, "/postgres (deleted)") == 0);
}

/* What a process that is not the postmaster that we look for is. */
static PostmasterOutcome judge_other(pid_t pid, int64_t written_usec)
{
        char path[64];
        struct stat stat_buffer;

        /* A file from before the machine's start (a power cut) is of nobody, whoever has the number
         * now. The margin is for a clock that was set since. */
        if (written_usec < clock_realtime() - clock_boottime() - BOOT_MARGIN_USEC)
                return POSTMASTER_DOWN;
        /* A postmaster in a pid namespace of its own writes 1 or another process's number. */
        if (pid == 1)
                return POSTMASTER_ELSEWHERE;
        if (kill(pid, 0) < 0 && errno == ESRCH)
                return POSTMASTER_DOWN;
        snprintf(path, sizeof path, "/proc/%ld", (long)pid);
        if (stat(path, &stat_buffer) == 0 && stat_buffer.st_uid != geteuid())
                return POSTMASTER_ELSEWHERE;
        return POSTMASTER_DOWN;
}

/* unix_socket_directories may be relative to the data directory; an abstract name begins with @. */
static void make_absolute(const char *data_directory, Postmaster *postmaster)
{
        char relative[POSTMASTER_TEXT_MAX];
        int n;

        if (strchr("/@", postmaster->socket_directory[0])) /* or none at all */
                return;
        memcpy(relative, postmaster->socket_directory, sizeof relative);
        n = snprintf(postmaster->socket_directory, sizeof postmaster->socket_directory, "%s/%s",
                     data_directory, relative);
        if (n >= (int)sizeof postmaster->socket_directory)
                postmaster->socket_directory[0] = '\0'; /* too long for any socket */
}

int postmaster_find(const char *data_directory, PostmasterOutcome *ret_outcome, Postmaster *ret,
                    Error *reterr)
{
        _cleanup_(closep) int fd = open(data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int64_t written_usec = 0;
        bool is_starting;
        int r;

        *ret = (Postmaster){0};
        if (fd < 0 && errno == ENOENT) {
                *ret_outcome = POSTMASTER_ABSENT;
                return 0;
        }
        if (fd < 0)
                return error_set(reterr, errno, "cannot open the data directory %s: %m",
                                 data_directory);
        r = read_pid_file(fd, ret, &written_usec, reterr);
        if (r == -ENOENT) {
                *ret_outcome = POSTMASTER_DOWN;
                return 0;
        }
        is_starting = r == -EAGAIN && ret->pid > 0;
        if (r < 0 && !is_starting)
                return error_prefix(reterr, "%s", data_directory);
        make_absolute(data_directory, ret);
        if (ret->pid < 0)
                *ret_outcome = POSTMASTER_SINGLE;
        else if (is_postmaster(fd, ret->pid))
                *ret_outcome = is_starting ? POSTMASTER_STARTING : POSTMASTER_RUNNING;
        else
                *ret_outcome = judge_other(ret->pid, written_usec);
        return 0;
}

int postmaster_reload(const char *data_directory, const Postmaster *postmaster, Error *reterr)
{
        _cleanup_(closep) int pidfd = -1;
        PostmasterOutcome outcome;
        Postmaster now;
        int r;

        if (postmaster->pid <= 1)
                return error_set(reterr, ESRCH, "the process id %ld is no postmaster's",
                                 (long)postmaster->pid);
        /* Opened before the checks: after them the descriptor still means the process that passed.
         */
        pidfd = (int)syscall(SYS_pidfd_open, postmaster->pid, 0);
        if (pidfd < 0)
                return error_set(reterr, errno, "the postmaster %ld is gone: %m",
                                 (long)postmaster->pid);
        r = postmaster_find(data_directory, &outcome, &now, reterr);
        if (r < 0)
                return r;
        if (outcome != POSTMASTER_RUNNING || now.pid != postmaster->pid ||
            now.started_sec != postmaster->started_sec)
                return error_set(reterr, ESRCH, "the postmaster %ld is not the one of %s any more",
                                 (long)postmaster->pid, data_directory);
        if (syscall(SYS_pidfd_send_signal, pidfd, SIGHUP, NULL, 0) < 0)
                return error_set(reterr, errno, "cannot signal the postmaster %ld: %m",
                                 (long)postmaster->pid);
        return 0;
}
