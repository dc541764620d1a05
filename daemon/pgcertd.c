/*
 * pgcertd: arguments, directories, and one of four modes: judge the policy, print what is due, do
 * what is due once, or keep at it as a service.
 */
#include "common/clock.h"
#include "common/duration.h"
#include "common/events.h"
#include "common/log.h"
#include "daemon/answer.h"
#include "daemon/instance.h"
#include "daemon/news.h"
#include "daemon/notify.h"
#include "daemon/sockets.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define POLICY_FILE "/etc/pgcertd/pgcertd.yaml" /* of the service */
/* An instance that is ending is waited for. */
#define LOCK_WAIT_USEC (5 * USEC_PER_SEC)
/* --once does not go on for ever where lives are shorter than a pass. */
enum { ONCE_PASSES_MAX = 16, EXIT_USAGE = 3 };

typedef enum Mode { MODE_SERVICE, MODE_CHECK, MODE_PLAN, MODE_ONCE } Mode;

typedef struct Arguments {
        PeerPlaces places;
        char *state_dir; /* where places point without an option */
        char *runtime_dir;
        Mode mode;
        bool print;
        bool json;
        int64_t until_usec; /* of --plan: how far ahead; 0 for not */
} Arguments;

static void arguments_done(Arguments *arguments)
{
        free(arguments->state_dir);
        free(arguments->runtime_dir);
}

static int usage(FILE *stream, int status)
{
        fputs("usage: pgcertd [--policy FILE] [--state-dir DIR] [--runtime-dir DIR] [--sockets]\n"
              "               [--check [--print] | --plan [--until SPAN] [--json] | --once]\n"
              "\n"
              "Keeps the TLS certificates of PostgreSQL fresh. Without a mode it is the service.\n"
              "  --check   judge the policy and change nothing; --print shows it with its "
              "defaults\n"
              "  --plan    print the steps that are due now and change nothing; with --until, "
              "what\n"
              "            happens when\n"
              "  --once    do what is due, then exit with the health (0 OK, 1 WARNING, 2 "
              "CRITICAL)\n"
              "  --sockets reach worker and signer at the runtime directory, never start them\n"
              "See pgcertd(8) and pgcertd.yaml(5).\n",
              stream);
        return status;
}

/* The first of the directories that systemd made for the unit, or the usual one. */
static char *place(const char *variable, const char *usual)
{
        const char *value = getenv(variable);

        return value && value[0] == '/' ? strndup(value, strcspn(value, ":")) : strdup(usual);
}

static int set_until(Arguments *arguments, const char *span)
{
        Error error;

        if (duration_parse(span, &arguments->until_usec, &error) >= 0)
                return 0;
        fprintf(stderr, "pgcertd: --until: %s\n", error.text);
        return -EINVAL;
}

static int set_mode(Arguments *arguments, Mode mode)
{
        if (arguments->mode != MODE_SERVICE && arguments->mode != mode) {
                fputs("pgcertd: only one of --check, --plan and --once can be given\n", stderr);
                return -EINVAL;
        }
        arguments->mode = mode;
        return 0;
}

/* 0, a negative errno for wrong usage, or 1 where help or version was asked for and given. */
static int parse_option(Arguments *arguments, int option)
{
        switch (option) {
        case 'p':
                arguments->places.policy_file = optarg;
                return 0;
        case 's':
                arguments->places.state_dir = optarg;
                return 0;
        case 'r':
                arguments->places.runtime_dir = optarg;
                return 0;
        case 'S':
                arguments->places.sockets = true;
                return 0;
        case 'c':
                return set_mode(arguments, MODE_CHECK);
        case 'P':
                return set_mode(arguments, MODE_PLAN);
        case 'o':
                return set_mode(arguments, MODE_ONCE);
        case 'd':
                arguments->print = true;
                return 0;
        case 'j':
                arguments->json = true;
                return 0;
        case 'u':
                return set_until(arguments, optarg);
        case 'h':
                usage(stdout, 0);
                return 1;
        case 'v':
                puts("pgcertd " PGCERTD_VERSION);
                return 1;
        default:
                usage(stderr, EXIT_USAGE);
                return -EINVAL;
        }
}

static int parse_arguments(Arguments *arguments, int argc, char *argv[])
{
        static const struct option options[] = {
                {"policy", required_argument, NULL, 'p'},
                {"state-dir", required_argument, NULL, 's'},
                {"runtime-dir", required_argument, NULL, 'r'},
                {"sockets", no_argument, NULL, 'S'},
                {"check", no_argument, NULL, 'c'},
                {"print", no_argument, NULL, 'd'},
                {"plan", no_argument, NULL, 'P'},
                {"until", required_argument, NULL, 'u'},
                {"json", no_argument, NULL, 'j'},
                {"once", no_argument, NULL, 'o'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {NULL, 0, NULL, 0},
        };
        int option, r;

        arguments->state_dir = place("STATE_DIRECTORY", "/var/lib/pgcertd");
        arguments->runtime_dir = place("RUNTIME_DIRECTORY", "/run/pgcertd");
        if (!arguments->state_dir || !arguments->runtime_dir)
                return -ENOMEM;
        arguments->places = (PeerPlaces){
                .policy_file = POLICY_FILE,
                .state_dir = arguments->state_dir,
                .runtime_dir = arguments->runtime_dir,
        };
        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                r = parse_option(arguments, option);
                if (r != 0)
                        return r;
        }
        if (optind < argc) {
                fprintf(stderr, "pgcertd: unexpected argument \"%s\"\n", argv[optind]);
                return -EINVAL;
        }
        if ((arguments->print && arguments->mode != MODE_CHECK) ||
            ((arguments->json || arguments->until_usec > 0) && arguments->mode != MODE_PLAN)) {
                fputs("pgcertd: --print belongs to --check, --until and --json to --plan\n",
                      stderr);
                return -EINVAL;
        }
        return 0;
}

static void print_errors(const Errors *errors)
{
        char text[ERROR_TEXT_MAX + ERROR_FILE_MAX + 32];

        for (size_t i = 0; i < errors->n; i++)
                fprintf(stderr, "%s\n", error_format(&errors->items[i], text, sizeof text));
        if (errors->omitted > 0)
                fprintf(stderr, "and %zu more\n", errors->omitted);
}

/* An answer that was cut off must not look like one that was given, or the policy like a bad one.
 */
static int print(const Text *text)
{
        Error error;

        if (text_check(text, &error) >= 0) {
                if (fputs(text_content(text), stdout) >= 0 && fflush(stdout) == 0)
                        return 0;
                error_set(&error, errno, "cannot write standard output: %m");
        }
        fprintf(stderr, "pgcertd: %s\n", error.text);
        return -EIO;
}

/* Who has no worker: for the policy of the installed service, or where it is asked for. */
static void check_sockets(const Arguments *arguments, const Policy *policy)
{
        const PeerPlaces *places = &arguments->places;
        _cleanup_(errors_done) Errors warnings = {0};

        if (!places->sockets && (strcmp(places->policy_file, POLICY_FILE) != 0 ||
                                 sd_booted() <= 0 || !sockets_are_due(places->runtime_dir)))
                return;
        sockets_check(policy, places->runtime_dir, &warnings);
        print_errors(&warnings);
}

static int check_policy(const Arguments *arguments)
{
        _cleanup_(policy_unrefp) Policy *policy = NULL;
        _cleanup_(errors_done) Errors errors = {0};
        _cleanup_(text_done) Text text = {0};
        char outage[DURATION_TEXT_MAX];

        if (policy_load(arguments->places.policy_file, &policy, &errors) < 0) {
                print_errors(&errors);
                return 1;
        }
        print_errors(&policy->warnings);
        check_sockets(arguments, policy);
        if (arguments->print)
                policy_print(policy, &text);
        else
                text_addf(
                        &text,
                        "%s: the policy is good: %zu authorit%s, %zu certificate%s, %zu cluster%s\n"
                        "The longest outage that costs nothing: %s\n",
                        policy->file, policy->n_authorities,
                        policy->n_authorities == 1 ? "y" : "ies", policy->n_certificates,
                        policy->n_certificates == 1 ? "" : "s", policy->n_clusters,
                        policy->n_clusters == 1 ? "" : "s",
                        duration_format_rough(policy_outage(policy), outage));
        return print(&text) < 0 ? 1 : 0;
}

/* Of the service all errors are events, which `journalctl -p err` and the catalog know. */
static int load_or_print(State *state, Mode mode)
{
        _cleanup_(errors_done) Errors errors = {0};
        int r = state_load(state, &errors);

        if (r < 0 && mode == MODE_SERVICE) {
                news_policy_errors(&errors);
                notify_status("the policy is broken: see pgcertd --check");
        } else if (r < 0) {
                print_errors(&errors);
        } else {
                print_errors(&state->policy->warnings);
        }
        return r;
}

/* One pass in this thread. */
static int pass_here(State *state, WorkMode mode, bool *ret_did_steps)
{
        _cleanup_(work_freep) Work *pass = NULL;
        Error error;

        if (state_pass_new(state, mode, news_event, NULL, &pass, &error) < 0) {
                log_plain(LOG_ERR, "%s", error.text);
                return -ENOMEM;
        }
        pass_run(pass);
        if (pass->failed) {
                log_plain(LOG_ERR, "%s", pass->error.text);
                return -EIO;
        }
        *ret_did_steps = pass->did_steps;
        state_take(state, pass);
        pass_tidy(pass);
        return 0;
}

static int print_plan(const Arguments *arguments, State *state)
{
        _cleanup_(text_done) Text text = {0};
        bool did_steps;
        Report report;

        if (pass_here(state, WORK_LOOK, &did_steps) < 0)
                return HEALTH_UNKNOWN;
        state_report(state, &report);
        if (arguments->until_usec > 0)
                (arguments->json ? report_timeline_json : report_timeline)(
                        &report, state->host, usec_add(report.now_usec, arguments->until_usec),
                        &text);
        else
                (arguments->json ? report_plan_json : report_plan)(&report, &text);
        return print(&text) < 0 ? HEALTH_UNKNOWN : 0;
}

static int once(State *state)
{
        _cleanup_(plan_freep) Plan *before = NULL;
        bool did_steps = true;

        for (unsigned i = 0; i < ONCE_PASSES_MAX && did_steps; i++) {
                before = plan_free(before);
                before = TAKE_PTR(state->plan);
                if (pass_here(state, WORK_ACT, &did_steps) < 0)
                        return HEALTH_UNKNOWN;
                news_compare(state, before);
                if (state->plan->n_steps == 0)
                        break;
        }
        return (int)state->plan->health;
}

static int run_loop(State *state, sd_event *event, Error *reterr)
{
        _cleanup_(answers_freep) Answers *answers = NULL;
        _cleanup_(control_freep) Control *control = NULL;
        _cleanup_(keeper_freep) Keeper *keeper = NULL;
        char path[PATH_MAX];
        int r = answers_new(state, &answers, reterr);

        if (r < 0)
                return r;
        if (snprintf(path, sizeof path, "%s/control.sock", state->places.runtime_dir) >=
            (int)sizeof path)
                return error_set(reterr, ENAMETOOLONG, "the runtime directory's path is too long");
        r = keeper_new(event, state, answers_pass_ended, answers, &keeper, reterr);
        if (r < 0)
                return r;
        answers_set_keeper(answers, keeper);
        r = control_new(event, path, &answers_handler, answers, &control, reterr);
        if (r < 0)
                return r;
        log_event(LOG_NOTICE, EVENT_STARTED, NULL,
                  "pgcertd " PGCERTD_VERSION " keeps %zu certificates of %s",
                  state->policy->n_certificates, state->policy->file);
        if (clock_synchronisation() == CLOCK_UNSYNCHRONISED)
                log_event(LOG_NOTICE, EVENT_CLOCK_UNSYNCHRONISED, NULL,
                          "the clock is not synchronised");
        r = sd_event_loop(event);
        return r < 0 ? error_set(reterr, -r, "the event loop failed: %s", strerror(-r)) : 0;
}

static int serve(State *state)
{
        sd_event *event = NULL;
        sigset_t signals;
        Error error = {0};
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGHUP);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        r = sd_event_new(&event);
        if (r < 0)
                error_set(&error, -r, "cannot make an event loop: %s", strerror(-r));
        else
                r = run_loop(state, event, &error);
        sd_event_unref(event);
        if (r < 0)
                log_plain(LOG_ERR, "%s", error.text);
        else
                log_event(LOG_NOTICE, EVENT_STOPPED, NULL, "pgcertd has ended");
        return r < 0 ? 1 : 0;
}

/* The modes that look at more than the policy. */
static int run(const Arguments *arguments)
{
        _cleanup_(state_done) State state;
        _cleanup_(closep) int lock = -1;
        const PeerPlaces *places = &arguments->places;
        bool once_only = arguments->mode == MODE_ONCE;
        Error error;
        int r;

        state_init(&state, places);
        if (arguments->mode != MODE_PLAN) {
                r = instance_directory(places->state_dir, 0700, &error);
                if (r >= 0 && !once_only)
                        r = instance_directory(places->runtime_dir, 0755, &error);
                if (r >= 0)
                        r = instance_lock(places->state_dir, once_only ? 0 : LOCK_WAIT_USEC, &lock,
                                          &error);
                if (r >= 0)
                        r = record_open(places->state_dir, &state.record, &error);
                if (r < 0) {
                        log_plain(LOG_ERR, "%s", error.text);
                        return once_only ? HEALTH_UNKNOWN : 1;
                }
        }
        if (load_or_print(&state, arguments->mode) < 0)
                return arguments->mode == MODE_SERVICE ? 1 : HEALTH_UNKNOWN;
        switch (arguments->mode) {
        case MODE_PLAN:
                return print_plan(arguments, &state);
        case MODE_ONCE:
                return once(&state);
        case MODE_SERVICE:
        case MODE_CHECK:
                return serve(&state);
        }
        return 1;
}

int main(int argc, char *argv[])
{
        _cleanup_(arguments_done) Arguments arguments = {0};
        int r = parse_arguments(&arguments, argc, argv);

        if (r != 0)
                return r < 0 ? EXIT_USAGE : 0;
        log_init("pgcertd");
        if (arguments.mode == MODE_CHECK)
                return check_policy(&arguments);
        if (geteuid() == 0 || getuid() == 0) {
                log_plain(LOG_ERR, "pgcertd does not run as root HINT: Run it as the database's "
                                   "user: runuser -u postgres -- pgcertd ...");
                return arguments.mode == MODE_SERVICE ? 1 : HEALTH_UNKNOWN;
        }
        return run(&arguments);
}
