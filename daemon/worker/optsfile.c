#include "daemon/worker/optsfile.h"

#include "common/fdio.h"
#include "daemon/worker/startup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { FILE_MAX = 64 * 1024, ARGUMENTS_MAX = 256, ARGUMENTS_OURS = 5 };

/* One line: the program, then each argument as ` "text"`, nothing escaped. */
static size_t parse_line(char *line, char *arguments[ARGUMENTS_MAX])
{
        size_t n = 0;
        char *next;

        line[strcspn(line, "\n")] = '\0';
        for (; line && n < ARGUMENTS_MAX - ARGUMENTS_OURS; line = next) {
                size_t size;

                next = strstr(line, n == 0 ? " \"" : "\" \"");
                if (next) {
                        *next = '\0';
                        next += n == 0 ? 2 : 3;
                } else if (n > 0 && (size = strlen(line)) > 0 && line[size - 1] == '"') {
                        line[size - 1] = '\0';
                }
                arguments[n++] = line;
        }
        return n;
}

static bool is_postgres(const char *program)
{
        const char *slash = strrchr(program, '/');

        return program[0] == '/' && strcmp(slash, "/postgres") == 0;
}

/* Reads what the program writes until its end. */
static int read_output(int fd, int64_t deadline_usec, char *ret, size_t size)
{
        size_t done = 0;

        for (;;) {
                int r = startup_wait(fd, POLLIN, deadline_usec);
                ssize_t n;

                if (r < 0)
                        return r;
                n = read(fd, ret + done, size - 1 - done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
                if (done == size - 1)
                        return -EFBIG;
        }
        if (done > 0 && ret[done - 1] == '\n')
                done--;
        ret[done] = '\0';
        return 0;
}

static int spawn(char *const arguments[], int output_fd, pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r != 0)
                return -r;
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        r = posix_spawn(ret, arguments[0], &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int run(char *const arguments[], int64_t deadline_usec, char *ret, size_t size)
{
        _cleanup_(closep) int read_fd = -1, write_fd = -1;
        int pipe_fds[2], status, r;
        pid_t pid = -1;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        read_fd = pipe_fds[0];
        write_fd = pipe_fds[1];
        r = spawn(arguments, write_fd, &pid);
        if (r != 0)
                return r;
        assert(pid > 0);
        closep(&write_fd);
        write_fd = -1;
        r = read_output(read_fd, deadline_usec, ret, size);
        if (r < 0)
                kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
                r = -EIO;
        return r;
}

int optsfile_ask(const char *data_directory, const char *name, int64_t deadline_usec, char *ret,
                 size_t size)
{
        _cleanup_(closep) int fd = -1;
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char *arguments[ARGUMENTS_MAX] = {0};
        char directory_option[] = "-D", name_option[] = "-C";
        _cleanup_(freep) char *directory = strdup(data_directory), *setting = strdup(name);
        size_t n;
        int r;

        if (!directory || !setting)
                return -ENOMEM;
        r = fdio_open_directory(AT_FDCWD, data_directory, &fd, NULL);
        if (r >= 0)
                r = fdio_read(fd, "postmaster.opts", FILE_MAX, &bytes, NULL);
        if (r < 0)
                return r;
        n = parse_line((char *)bytes.data, arguments);
        if (n == 0 || !is_postgres(arguments[0]))
                return -ENOEXEC;
        arguments[n++] = directory_option;
        arguments[n++] = directory;
        arguments[n++] = name_option;
        arguments[n++] = setting;
        return run(arguments, deadline_usec, ret, size);
}
