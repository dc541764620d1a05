#include "common/program.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define IDLE_USEC USEC_PER_SEC
#define LOOK_USEC USEC_PER_SEC /* how long a look at the policy's files counts */

static int parse_arguments(Program *program, int argc, char *argv[])
{
        static const struct option options[] = {
                {"policy", required_argument, NULL, 'p'},
                {"state-dir", required_argument, NULL, 's'},
                {NULL, 0, NULL, 0},
        };
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (option == 'p')
                        program->policy_file = optarg;
                else if (option == 's')
                        program->state_dir = optarg;
                else
                        return -EINVAL;
        }
        if (optind == argc && program->policy_file)
                return 0;
        log_plain(LOG_ERR,
                  "this program is started by pgcertd or by systemd HINT: See pgcertd(8).");
        return -EINVAL;
}

/* No core file, no /proc/PID/mem: this process holds private keys. */
static void harden(void)
{
        const struct rlimit none = {0};

        /* Lowering one's own limit and giving up a right cannot fail. */
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
        umask(077);
}

int program_start(Program *program, const char *name, int argc, char *argv[])
{
        harden(); /* before anything is read that could end up in a core file */
        log_init(name);
        if (geteuid() == 0 || getuid() == 0) {
                log_plain(LOG_ERR,
                          "%s does not run as root HINT: It runs as the owner of its files.", name);
                return -EPERM;
        }
        return parse_arguments(program, argc, argv);
}

void program_done(Program *program)
{
        policy_unref(TAKE_PTR(program->policy));
}

/* Whether what was read is what the sender means, and still what the files say: nobody keeps an old
 * policy alive by asking often. */
static bool is_in_force(Program *program, uint64_t tag)
{
        uint64_t found;

        if (!program->policy || program->policy->tag != tag)
                return false;
        if (clock_boottime() < program->looked_usec + LOOK_USEC)
                return true;
        return policy_tag(program->policy_file, &found, NULL) >= 0 && found == tag;
}

int program_policy(Program *program, uint64_t tag, Error *reterr)
{
        Errors errors = {0};
        Policy *policy;
        int64_t begin_usec = clock_boottime();
        int r;

        if (is_in_force(program, tag)) {
                if (begin_usec >= program->looked_usec + LOOK_USEC)
                        program->looked_usec = begin_usec;
                return 0;
        }
        r = policy_load(program->policy_file, &policy, &errors);
        if (r < 0) {
                if (errors.n > 0) {
                        char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];

                        r = error_set(reterr, EINVAL, "the policy is broken: %s",
                                      error_format(&errors.items[0], text, sizeof text));
                } else {
                        r = error_set(reterr, -r, "cannot read the policy %s",
                                      program->policy_file);
                }
                errors_done(&errors);
                return r;
        }
        errors_done(&errors);
        policy_unref(program->policy);
        program->policy = policy;
        program->looked_usec = begin_usec;
        if (policy->tag != tag)
                return error_set(reterr, ESTALE,
                                 "the policy on disk is not the one in force "
                                 "HINT: Reload pgcertd.");
        return 0;
}

static int serve_connection(int fd, const WireEntry *table, size_t n, void *userdata)
{
        Error error = {0};
        int r = wire_serve(fd, table, n, IDLE_USEC, userdata, &error);

        if (r < 0)
                log_plain(LOG_WARNING, "a connection failed: %s", error.text);
        return r;
}

/* One connection after another: pgcertd makes one for a pass. */
static int serve_socket(int listening_fd, const WireEntry *table, size_t n, void *userdata)
{
        for (;;) {
                _cleanup_(closep) int fd = -1;
                struct pollfd pollfd = {.fd = listening_fd, .events = POLLIN};
                Error error = {0};
                uid_t uid;
                int r = poll(&pollfd, 1, IDLE_USEC / USEC_PER_MSEC);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        r = error_set(&error, errno, "cannot wait for a connection: %m");
                else if (r == 0)
                        return 0;
                else
                        r = wire_accept(listening_fd, &fd, &uid, &error);
                if (r >= 0) {
                        serve_connection(fd, table, n, userdata);
                } else if (r != -EAGAIN && r != -ECONNABORTED) { /* who came is gone again */
                        /* The connection stays in the backlog, so looking again would spin. The
                         * socket is systemd's: it starts another one of us. */
                        log_plain(LOG_ERR, "%s", error.text);
                        return r;
                }
        }
}

int program_find(const char *name, char *path, Error *reterr)
{
        char self[PATH_MAX];
        int r = fdio_readlink(AT_FDCWD, "/proc/self/exe", self, sizeof self, reterr);

        if (r < 0)
                return r;
        if (snprintf(path, PATH_MAX, "%s/%s", dirname(self), name) < PATH_MAX &&
            access(path, X_OK) == 0)
                return 0;
        if (snprintf(path, PATH_MAX, "%s/%s", PGCERTD_LIBEXECDIR, name) < PATH_MAX &&
            access(path, X_OK) == 0)
                return 0;
        return error_set(reterr, ENOENT,
                         "cannot find the program %s HINT: It belongs beside pgcertd or into %s.",
                         name, PGCERTD_LIBEXECDIR);
}

bool program_is_activated(void)
{
        return sd_listen_fds(0) > 0;
}

int program_serve(Program *program, const WireEntry *table, size_t n, void *userdata)
{
        int handed_over = sd_listen_fds(1);

        if (handed_over < 0) {
                log_plain(LOG_ERR, "cannot tell which sockets were handed over: %s",
                          strerror(-handed_over));
                return handed_over;
        }
        if (handed_over > 1) {
                log_plain(LOG_ERR, "one socket was expected, %d were handed over", handed_over);
                return -EINVAL;
        }
        if (handed_over == 1)
                return serve_socket(SD_LISTEN_FDS_START, table, n, userdata);
        return serve_connection(STDIN_FILENO, table, n, userdata);
}
