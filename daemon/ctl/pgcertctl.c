/*
 * pgcertctl: carries a command to pgcertd over its control socket and the answer back. It decides
 * nothing and forms nothing: pgcertd does, and says with which status to exit.
 *
 * What arrives is kept until the answer is over, and printed then: a pager that reads slowly holds
 * up this program and never pgcertd, which drops a client that does not take its output.
 */
#include "common/clock.h"
#include "common/duration.h"
#include "common/fdio.h"
#include "common/nearest.h"
#include "common/text.h"
#include "common/wire.h"
#include "common/wire_control.h"
#include "daemon/ctl/forward.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_UNKNOWN = 3 };

#define RUNTIME_DIR "/run/pgcertd"
#define CONNECT_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define ANSWER_TIMEOUT_USEC (30 * USEC_PER_SEC)
/* More than any answer has: pgcertd itself queues no more for one client. */
enum { ANSWER_MAX = 64 << 20 };

typedef struct Command {
        const char *name;
        const char *help;
        unsigned flags;    /* ControlFlag bits that it takes */
        const char *names; /* what it takes names of; NULL for no names */
        bool is_single;    /* exactly one */
        bool is_patient;   /* waits as long as pgcertd lives, for it runs a pass */
} Command;

static const Command commands[] = {
        {"status", "show every reader, what it is served, and what comes next", CONTROL_JSON, NULL,
         false, false},
        {"check", "look at everything now, change nothing, and explain", CONTROL_JSON, NULL, false,
         true},
        {"plan", "show the steps that are due now, and when the next ones will be", CONTROL_JSON,
         NULL, false, true},
        {"renew", "issue new certificates now, and wait until they are served",
         CONTROL_JSON | CONTROL_NO_WAIT | CONTROL_ALL | CONTROL_REKEY, "certificates, or --all",
         false, true},
        {"adopt", "hand files over that pgcertd did not make; without --yes only tell",
         CONTROL_NO_WAIT | CONTROL_YES, "certificates or clusters", false, true},
        {"rotate", "roll the CA of an authority over, and wait until the next one is published",
         CONTROL_JSON | CONTROL_NO_WAIT | CONTROL_EMERGENCY | CONTROL_YES, "an authority", true,
         true},
        {"bundle", "print the anchors of an authority that readers are to trust", CONTROL_JSON,
         "an authority", true, false},
        {"reload", "read the policy again, and wait until it is in force", CONTROL_JSON, NULL,
         false, true},
};

enum { OPTION_RUNTIME_DIR = 256, OPTION_UNTIL, OPTION_HELP, OPTION_VERSION };
static const struct option options[] = {
        {"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
        {"until", required_argument, NULL, OPTION_UNTIL},
        {"json", no_argument, NULL, CONTROL_JSON},
        {"no-wait", no_argument, NULL, CONTROL_NO_WAIT},
        {"all", no_argument, NULL, CONTROL_ALL},
        {"rekey", no_argument, NULL, CONTROL_REKEY},
        {"yes", no_argument, NULL, CONTROL_YES},
        {"emergency", no_argument, NULL, CONTROL_EMERGENCY},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
};

typedef struct Request {
        const char *runtime_dir;
        const Command *command;
        unsigned flags;
        char *until; /* of plan: a span, or NULL */
        char **names;
        size_t n_names;
} Request;

/* Tells an error, its hint on a line of its own. Returns the exit status. */
static int fail(const Error *error)
{
        int n;
        const char *hint = error_hint(error, &n);

        fprintf(stderr, "pgcertctl: %.*s\n", n, error->text);
        if (hint)
                fprintf(stderr, "%s\n", hint);
        return EXIT_UNKNOWN;
}

static int find_command(const char *name, const Command **ret, Error *reterr)
{
        const char *names[ELEMENTSOF(commands)], *other;

        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                names[i] = commands[i].name;
                if (strcmp(names[i], name) == 0) {
                        *ret = &commands[i];
                        return 0;
                }
        }
        other = nearest_word(name, names, ELEMENTSOF(names));
        if (other)
                return error_set(reterr, EINVAL,
                                 "there is no command \"%s\" HINT: Did you mean \"%s\"?", name,
                                 other);
        return error_set(reterr, EINVAL, "there is no command \"%s\" HINT: See pgcertctl --help.",
                         name);
}

static int wrong_option(const char *argument, int unknown, Error *reterr)
{
        const char *names[ELEMENTSOF(options) - 1], *other;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = options[i].name;
        other = strncmp(argument, "--", 2) == 0
                        ? nearest_word(argument + 2, names, ELEMENTSOF(names))
                        : NULL;
        if (unknown == OPTION_RUNTIME_DIR)
                return error_set(reterr, EINVAL,
                                 "--runtime-dir needs a directory HINT: It is %s "
                                 "where nothing else was configured.",
                                 RUNTIME_DIR);
        if (unknown == OPTION_UNTIL)
                return error_set(reterr, EINVAL, "--until needs a time span HINT: For example 1y.");
        if (other)
                return error_set(
                        reterr, EINVAL,
                        "\"%s\" is not an option as it stands HINT: Did you mean \"--%s\"?",
                        argument, other);
        return error_set(reterr, EINVAL, "there is no option \"%s\" HINT: See pgcertctl --help.",
                         argument);
}

/* The span of plan --until goes as its one argument. */
static int check_until(Request *request, Error *reterr)
{
        int64_t span;
        int r;

        if (!request->until)
                return 0;
        if (strcmp(request->command->name, "plan") != 0)
                return error_set(reterr, EINVAL, "%s takes no --until HINT: See pgcertctl(1).",
                                 request->command->name);
        r = duration_parse(request->until, &span, reterr);
        if (r < 0)
                return error_prefix(reterr, "--until");
        request->names = &request->until;
        request->n_names = 1;
        return 0;
}

/* Whether the command takes the options and names that were given. */
static int check_usage(const Request *request, Error *reterr)
{
        const Command *command = request->command;
        unsigned wrong = request->flags & ~command->flags;
        bool is_all = request->flags & CONTROL_ALL;

        for (size_t i = 0; options[i].name; i++)
                if (options[i].val < OPTION_RUNTIME_DIR && (wrong & (unsigned)options[i].val))
                        return error_set(reterr, EINVAL, "%s takes no --%s HINT: See pgcertctl(1).",
                                         command->name, options[i].name);
        if (!command->names && request->n_names > 0)
                return error_set(reterr, EINVAL,
                                 "%s takes no names, but \"%s\" was given HINT: It is about "
                                 "everything in the policy.",
                                 command->name, request->names[0]);
        if (command->is_single && request->n_names != 1)
                return error_set(reterr, EINVAL,
                                 "%s needs the name of %s HINT: pgcertctl status shows the names.",
                                 command->name, command->names);
        if (command->names && is_all == (request->n_names > 0))
                return error_set(reterr, EINVAL,
                                 "%s needs the names of %s%s HINT: pgcertctl status shows the "
                                 "names.",
                                 command->name, command->names, is_all ? ", but not both" : "");
        for (size_t i = 0; i < request->n_names; i++)
                if (strlen(request->names[i]) > CONTROL_ARGUMENT_MAX)
                        return error_set(reterr, EINVAL, "a name is longer than %d bytes",
                                         CONTROL_ARGUMENT_MAX);
        if (request->n_names > CONTROL_ARGUMENTS_MAX)
                return error_set(reterr, EINVAL, "more than %d names at once HINT: Use --all.",
                                 CONTROL_ARGUMENTS_MAX);
        return 0;
}

static int help(void)
{
        printf("Usage: pgcertctl [--runtime-dir DIR] [--json] [COMMAND] [NAME...]\n"
               "\n"
               "Asks pgcertd, which keeps the TLS certificates of PostgreSQL fresh.\n"
               "\n"
               "Commands (without one: status):\n");
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                printf("  %-8s %s\n", commands[i].name, commands[i].help);
        printf("\n"
               "Without pgcertd:\n"
               "  probe    show what any PostgreSQL serves now; see pgcertctl probe --help\n");
        printf("\n"
               "Options:\n"
               "  --until SPAN       plan: what happens when, until then\n"
               "  --all              renew: every certificate, instead of names\n"
               "  --rekey            renew: with new keys\n"
               "  --no-wait          renew, adopt, rotate: return when queued\n"
               "  --emergency        rotate: the CA's key was stolen; without --yes only tell\n"
               "  --yes              adopt, rotate --emergency: do it\n"
               "  --json             all but adopt: answer in JSON\n"
               "  --runtime-dir DIR  where pgcertd's control socket is (" RUNTIME_DIR ")\n"
               "  --help             show this\n"
               "  --version          show the version\n"
               "\n"
               "Exit status: 0 OK, 1 warning, 2 critical, 3 unknown or not reachable.\n"
               "See pgcertctl(1).\n");
        return fflush(stdout) == 0 ? 0 : EXIT_UNKNOWN;
}

/* 0: ask; 1: all is done, exit with ret_status. */
static int parse_arguments(int argc, char **argv, Request *ret, int *ret_status, Error *reterr)
{
        int option, r;

        *ret = (Request){.runtime_dir = RUNTIME_DIR, .command = &commands[0]};
        opterr = 0;
        while ((option = getopt_long(argc, argv, ":", options, NULL)) >= 0) {
                if (option == '?' || option == ':')
                        return wrong_option(argv[optind - 1], optopt, reterr);
                if (option == OPTION_RUNTIME_DIR) {
                        ret->runtime_dir = optarg;
                } else if (option == OPTION_UNTIL) {
                        ret->until = optarg;
                } else if (option == OPTION_HELP) {
                        *ret_status = help();
                        return 1;
                } else if (option == OPTION_VERSION) {
                        *ret_status = puts("pgcertctl " PGCERTD_VERSION) >= 0 && fflush(stdout) == 0
                                              ? 0
                                              : EXIT_UNKNOWN;
                        return 1;
                } else {
                        ret->flags |= (unsigned)option;
                }
        }
        if (optind < argc && find_command(argv[optind++], &ret->command, reterr) < 0)
                return -EINVAL;
        ret->names = argv + optind;
        ret->n_names = optind < argc ? (size_t)(argc - optind) : 0;
        r = check_usage(ret, reterr);
        return r < 0 ? r : check_until(ret, reterr);
}

static int connect_to(const char *runtime_dir, int *ret_fd, Error *reterr)
{
        char path[PATH_MAX];
        int r;

        if (snprintf(path, sizeof path, "%s/control.sock", runtime_dir) >= (int)sizeof path)
                return error_set(reterr, ENAMETOOLONG, "the runtime directory's path is too long");
        r = wire_connect(path, clock_boottime() + CONNECT_TIMEOUT_USEC, ret_fd, reterr);
        if (r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED)
                return error_set(reterr, -r,
                                 "cannot reach pgcertd: nothing listens on %s HINT: Is it running? "
                                 "See systemctl status pgcertd; PostgreSQL keeps serving what it "
                                 "has.",
                                 path);
        if (r == -EACCES || r == -EPERM)
                return error_set(reterr, -r,
                                 "cannot reach pgcertd: no permission to open %s HINT: Members of "
                                 "the group pgcertd may: usermod -aG pgcertd USER, then log in "
                                 "again.",
                                 path);
        return r;
}

/* Prints what has arrived and empties it. A closed pipe is the reader's own choice: nothing more is
 * said then. */
static int print(int fd, Text *text, Error *reterr)
{
        int r = text_check(text, reterr);

        if (r >= 0 && text->size > 0)
                r = fdio_write_all(fd, text->data, text->size,
                                   fd == STDOUT_FILENO ? "standard output" : "standard error",
                                   reterr);
        text->size = 0;
        return r;
}

typedef struct Answer {
        Text output, errors;
        bool is_over;
        int status;
} Answer;

static void answer_done(Answer *answer)
{
        text_done(&answer->output);
        text_done(&answer->errors);
}

/* Takes one message of the stream. */
static int take(Message *message, Answer *answer, Error *reterr)
{
        int r = wire_get_reply(message, WIRE_CONTROL, reterr);
        const uint8_t *bytes;
        uint8_t kind;
        size_t size;

        if (r < 0)
                return r;
        kind = wire_get_u8(message);
        if (kind == CONTROL_END) {
                answer->status = wire_get_u8(message);
                answer->is_over = true;
        } else if (kind == CONTROL_OUT || kind == CONTROL_ERR) {
                bytes = wire_get_bytes(message, CONTROL_CHUNK_MAX, &size);
                text_add_bytes(kind == CONTROL_OUT ? &answer->output : &answer->errors, bytes,
                               size);
        } else {
                message->bad = true;
        }
        return wire_end(message, reterr);
}

static int print_all(Answer *answer, Error *reterr)
{
        int r = print(STDOUT_FILENO, &answer->output, reterr);

        return r < 0 ? r : print(STDERR_FILENO, &answer->errors, reterr);
}

/* Receives until the end. */
static int receive_all(int fd, Message *message, bool is_patient, Answer *answer, Error *reterr)
{
        int64_t timeout_usec = is_patient ? USEC_INFINITY : ANSWER_TIMEOUT_USEC;
        int r;

        while (!answer->is_over) {
                r = wire_receive(fd, message, usec_add(clock_boottime(), timeout_usec), reterr);
                if (r == -ETIMEDOUT)
                        return error_set(reterr, ETIMEDOUT,
                                         "pgcertd does not answer HINT: See journalctl -u pgcertd; "
                                         "PostgreSQL keeps serving what it has.");
                else if (r == -EPIPE)
                        return error_set(reterr, EPIPE,
                                         "pgcertd ended before its answer was whole HINT: See "
                                         "journalctl -u pgcertd; what was asked may have been "
                                         "done, pgcertctl status tells.");
                else if (r >= 0)
                        r = take(message, answer, reterr);
                if (r >= 0 && answer->output.size + answer->errors.size > ANSWER_MAX)
                        r = error_set(reterr, EMSGSIZE, "the answer of pgcertd does not end");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int ask(const Request *request, Answer *answer, Error *reterr)
{
        _cleanup_(message_freep) Message *message = NULL;
        _cleanup_(closep) int fd = -1;
        Error error = {0};
        int r = message_new(&message, reterr);

        if (r >= 0)
                r = connect_to(request->runtime_dir, &fd, reterr);
        if (r < 0)
                return r;
        wire_request(message, WIRE_CONTROL, 0);
        wire_put_u8(message, (uint8_t)request->flags);
        wire_put_text(message, request->command->name);
        for (size_t i = 0; i < request->n_names; i++)
                wire_put_text(message, request->names[i]);
        r = wire_send(fd, message, clock_boottime() + CONNECT_TIMEOUT_USEC, reterr);
        /* A pgcertd with too many clients says so and closes, which may come before our request:
         * then what it said is still there to be read, after the broken pipe was told once. */
        if (r >= 0 || r == -EPIPE)
                r = receive_all(fd, message, request->command->is_patient, answer, reterr);
        if (r == -EPIPE && wire_receive(fd, message, 0, NULL) >= 0 &&
            take(message, answer, &error) < 0 && error.code != EBADMSG)
                r = error_set(reterr, error.code, "%s", error.text);
        return r;
}

int main(int argc, char **argv)
{
        _cleanup_(answer_done) Answer answer = {0};
        Request request;
        Error error = {0}, output_error = {0};
        int r, status = 0;

        if (forward_is_probe(argc, argv) && forward_probe(argc, argv, &error) < 0)
                return fail(&error);
        signal(SIGPIPE, SIG_IGN);
        r = parse_arguments(argc, argv, &request, &status, &error);
        if (r < 0)
                return fail(&error);
        if (r > 0)
                return status;
        r = ask(&request, &answer, &error);
        /* What came before a failure is printed all the same. */
        if (print_all(&answer, &output_error) < 0)
                return output_error.code == EPIPE ? EXIT_UNKNOWN : fail(&output_error);
        return r < 0 ? fail(&error) : answer.status;
}
