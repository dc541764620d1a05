#include "daemon/keeper.h"

#include "common/clock.h"
#include "common/events.h"
#include "common/log.h"
#include "daemon/metrics.h"
#include "daemon/news.h"
#include "daemon/notify.h"
#include "daemon/requests.h"
#include "daemon/runner.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

/* Seconds-long certificates are renewed on time; coalescing with other timers gains nothing. */
#define TIMER_ACCURACY_USEC UINT64_C(1000)
/* After this many passes in a row that left steps due, the next one waits a moment. A rollover
 * with nothing to wait for takes five. */
enum { ROUNDS_MAX = 8 };
#define ROUND_PAUSE_USEC USEC_PER_SEC
/* After a pass that failed: its plan is missing, so nothing says when the next one is due. */
#define FAILURE_PAUSE_USEC (5 * USEC_PER_SEC)
/* The start of PostgreSQL may wait for us to be ready: no longer than this, whatever hangs. */
#define READY_LIMIT_USEC UINT64_C(5000000)

struct Keeper {
        sd_event *event;
        State *state;
        KeeperEnded ended;
        void *userdata;
        sd_event_source *sources[8];
        size_t n_sources;
        sd_event_source *deadline; /* realtime */
        sd_event_source *retry;    /* boottime: back-off, check_every, requests */
        sd_event_source *late;     /* the first pass takes long: ready all the same */
        int clock_fd;              /* readable when the clock was set */
        Runner runner;             /* of the pass that runs, or tidies up: its outcome was taken */
        uint64_t number;           /* of the pass that runs, or ran last */
        Requests requests;         /* that came since it began */
        bool is_confirmed;  /* a renewal was asked for while the clock was known to be doubted */
        unsigned rounds;    /* passes in a row that left something due */
        bool lacks_metrics; /* their file could not be written, which is told once */
};

static void set_timer(sd_event_source *source, int64_t at_usec)
{
        if (at_usec == USEC_INFINITY) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return;
        }
        sd_event_source_set_time(source, at_usec < 0 ? 0 : (uint64_t)at_usec);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* A pass as soon as the loop turns, unless one runs: then after it. */
static void wake(Keeper *keeper)
{
        if (!keeper->runner.work)
                set_timer(keeper->retry, 0);
}

uint64_t keeper_request(Keeper *keeper, WorkMode mode)
{
        requests_add(&keeper->requests, mode);
        wake(keeper);
        return keeper->number + 1;
}

static int request(Keeper *keeper, const RequestedRenewal *renewal, uint64_t *ret_number)
{
        int r = requests_add_renewal(&keeper->requests, renewal);

        if (r >= 0)
                *ret_number = keeper_request(keeper, WORK_ACT);
        return r;
}

int keeper_request_renewal(Keeper *keeper, const char *certificate, bool rekey,
                           uint64_t *ret_number)
{
        /* Whoever asks before the step was told cannot mean it. */
        keeper->is_confirmed |= keeper->state->memory && keeper->state->memory->clock.is_doubted;
        return request(keeper, &(RequestedRenewal){.name = (char *)certificate, .rekey = rekey},
                       ret_number);
}

int keeper_request_consent(Keeper *keeper, bool is_cluster, const char *name, uint64_t *ret_number)
{
        return request(keeper,
                       &(RequestedRenewal){
                               .name = (char *)name, .is_consent = true, .is_cluster = is_cluster},
                       ret_number);
}

int keeper_request_rotation(Keeper *keeper, const char *authority, bool is_emergency,
                            uint64_t *ret_number)
{
        return request(keeper,
                       &(RequestedRenewal){.name = (char *)authority,
                                           .is_rotation = true,
                                           .is_emergency = is_emergency},
                       ret_number);
}

/* Writes what was asked for into the memory of the pass that begins. */
static void take_requests(Keeper *keeper, Work *pass)
{
        if (keeper->requests.n_renewals > 0 && keeper->is_confirmed)
                clockstep_confirm(&pass->memory->clock);
        keeper->is_confirmed = false;
        requests_take_renewals(&keeper->requests, pass->input.policy, pass->memory);
}

/* How things stand, for whoever asks systemd or reads the metrics. */
static void tell_state(Keeper *keeper)
{
        const char *directory = keeper->state->places.runtime_dir;
        Report report;
        Error error;
        int r;

        state_report(keeper->state, &report);
        r = metrics_write(&report, directory, &error);
        if (r < 0 && !keeper->lacks_metrics)
                log_plain(LOG_WARNING, "the metrics file %s/%s is not written: %s", directory,
                          METRICS_NAME, error.text);
        keeper->lacks_metrics = r < 0;
        news_status(keeper->state);
}

int keeper_reload(Keeper *keeper, Errors *errors, uint64_t *ret_number)
{
        int r = state_load(keeper->state, errors);

        tell_state(keeper); /* broken, or mended, from now on: not from the end of a pass on */
        if (r < 0)
                return r;
        log_event(LOG_INFO, EVENT_POLICY_LOADED, NULL, "%s is in force",
                  keeper->state->policy->file);
        *ret_number = keeper_request(keeper, WORK_ACT);
        return 0;
}

/* Sleeps until an instant of realtime or one of boottime, or not at all where somebody waits for a
 * further pass. */
static void rest(Keeper *keeper, int64_t usec, int64_t boot_usec)
{
        set_timer(keeper->deadline, usec);
        set_timer(keeper->retry, requests_is_empty(&keeper->requests) ? boot_usec : 0);
}

static void told_ended(Keeper *keeper, WorkMode mode, const char *failure)
{
        notify_pass_ended();
        tell_state(keeper);
        notify_ready(); /* the first pass did what it could */
        sd_event_source_set_enabled(keeper->late, SD_EVENT_OFF);
        keeper->ended(keeper->userdata, keeper->number, mode, failure);
}

/* No pass came to its end. The last plan's deadline is not set again: it may be over, and would
 * fire at once, for ever. */
static void give_up(Keeper *keeper, WorkMode mode, int64_t pause_usec, const char *failure)
{
        told_ended(keeper, mode, failure);
        rest(keeper, USEC_INFINITY, usec_add(clock_boottime(), pause_usec));
}

static void pass_failed(Keeper *keeper, WorkMode mode, const char *failure)
{
        int64_t check_every = keeper->state->policy->check_every_usec;

        log_plain(LOG_ERR, "a pass failed: %s", failure);
        give_up(keeper, mode, check_every < FAILURE_PAUSE_USEC ? check_every : FAILURE_PAUSE_USEC,
                failure);
}

/* The files differ from what is in force, and are broken: nothing can be done, which is told. */
static void hold(Keeper *keeper, WorkMode mode)
{
        const State *state = keeper->state;
        char held[ERROR_TEXT_MAX + 64];
        Error error;

        /* Without memory for the reason the fact alone is told. */
        snprintf(held, sizeof held, "the policy on disk is broken: %s",
                 state->policy_error ? state->policy_error : "see pgcertd --check");
        if (state_hold(keeper->state, held, &error) < 0)
                log_plain(LOG_ERR, "%s", error.text);
        requests_drop_renewals(&keeper->requests); /* whoever asked is told, and may ask again */
        give_up(keeper, mode, state->policy->check_every_usec, held);
}

static int begin_pass(Keeper *keeper)
{
        State *state = keeper->state;
        WorkMode mode = requests_take_mode(&keeper->requests);
        bool was_broken = state->policy_error != NULL;
        Errors errors = {0};
        Work *pass;
        Error error;
        int r = state_refresh(state, &errors);

        keeper->number++;
        if (r < 0) {
                if (!was_broken)
                        news_policy_errors(&errors);
                errors_done(&errors);
                hold(keeper, mode);
                return 0;
        }
        if (r == 1 || was_broken)
                log_event(LOG_INFO, EVENT_POLICY_LOADED, NULL, "%s is in force",
                          state->policy->file);
        r = state_pass_new(state, mode, news_event, NULL, &pass, &error);
        if (r >= 0) {
                take_requests(keeper, pass);
                notify_pass_begins();
                r = runner_start(&keeper->runner, pass, pass_run, &error);
        }
        if (r < 0) {
                requests_drop_renewals(&keeper->requests);
                pass_failed(keeper, mode, error.text);
        }
        return 0;
}

static void schedule(Keeper *keeper)
{
        const State *state = keeper->state;
        Report report;
        int64_t boot = clock_boottime(), next = boot + state->policy->check_every_usec;

        if (state->plan && state->plan->next_boot_usec < next)
                next = state->plan->next_boot_usec;
        state_report(state, &report);
        if (report_is_due(&report, STEP_VERBS, 0)) {
                keeper->rounds++;
                next = keeper->rounds <= ROUNDS_MAX ? boot : boot + ROUND_PAUSE_USEC;
        } else {
                keeper->rounds = 0;
        }
        rest(keeper, state->plan ? state->plan->next_usec : USEC_INFINITY, next);
}

/* False where there is nothing to tidy up, or no thread for it. */
static bool begin_tidy(Keeper *keeper, Work **pass)
{
        if ((*pass)->n_old == 0 ||
            runner_start(&keeper->runner, TAKE_PTR(*pass), pass_tidy, NULL) < 0)
                return false;
        notify_pass_begins();
        return true;
}

static void end_tidy(Keeper *keeper)
{
        notify_pass_ended();
        schedule(keeper);
}

static void end_pass(Keeper *keeper, Work **pass)
{
        _cleanup_(plan_freep) Plan *before = NULL;
        WorkMode mode = (*pass)->input.mode;
        bool is_same_policy;
        ClockStep clock;

        if ((*pass)->failed) {
                pass_failed(keeper, mode, (*pass)->error.text);
                return;
        }
        is_same_policy = (*pass)->input.policy == keeper->state->last_policy;
        before = TAKE_PTR(keeper->state->plan);
        clock = keeper->state->memory->clock;
        state_take(keeper->state, *pass);
        news_clock(&clock, &keeper->state->memory->clock);
        news_compare(keeper->state, is_same_policy ? before : NULL);
        news_notices(keeper->state);
        told_ended(keeper, mode, NULL);
        if (!begin_tidy(keeper, pass))
                schedule(keeper);
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Keeper *keeper = userdata;
        _cleanup_(work_freep) Work *work = runner_take(&keeper->runner);

        if (!work)
                return 0;
        if (keeper->runner.run == pass_tidy)
                end_tidy(keeper);
        else
                end_pass(keeper, &work);
        /* What a pass needs beside what it leaves is not kept over the quarter of an hour until the
         * next one. */
        work = work_free(work);
        malloc_trim(0);
        return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        Keeper *keeper = userdata;

        return keeper->runner.work ? 0 : begin_pass(keeper);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Keeper *keeper = userdata;
        Errors errors = {0};
        uint64_t number;

        if (keeper_reload(keeper, &errors, &number) < 0) {
                news_policy_errors(&errors);
                log_event(LOG_ERR, EVENT_POLICY_BROKEN, NULL,
                          "the policy was not loaded: the old one stays in force");
        }
        errors_done(&errors);
        return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Keeper *keeper = userdata;

        notify_stopping();
        return sd_event_exit(keeper->event, 0);
}

/* Makes the kernel tell when the clock is set: a timer that never comes, cancelled by the step. */
static int watch_clock(int fd)
{
        struct itimerspec never = {.it_value.tv_sec = INT64_C(1) << 40};

        return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static int on_clock_set(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Keeper *keeper = userdata;
        uint64_t count;

        if (read(fd, &count, sizeof count) < 0 && errno != ECANCELED)
                return 0;
        watch_clock(fd);
        log_event(LOG_NOTICE, EVENT_CLOCK_STEPPED, NULL, "the clock was set: looking again");
        keeper_request(keeper, WORK_ACT);
        return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
        notify_ready();
        return 0;
}

static sd_event_source **next_source(Keeper *keeper)
{
        return &keeper->sources[keeper->n_sources++];
}

static int add_timers(Keeper *keeper)
{
        int r = sd_event_add_time(keeper->event, &keeper->deadline, CLOCK_REALTIME, UINT64_MAX,
                                  TIMER_ACCURACY_USEC, on_time, keeper);

        if (r >= 0)
                r = sd_event_source_set_enabled(keeper->deadline, SD_EVENT_OFF);
        /* The first pass begins at once. */
        if (r >= 0)
                r = sd_event_add_time(keeper->event, &keeper->retry, CLOCK_BOOTTIME, 0,
                                      TIMER_ACCURACY_USEC, on_time, keeper);
        if (r >= 0)
                r = sd_event_add_time_relative(keeper->event, &keeper->late, CLOCK_BOOTTIME,
                                               READY_LIMIT_USEC, 0, on_late, keeper);
        return r;
}

static int add_sources(Keeper *keeper)
{
        static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
        int r = runner_open(&keeper->runner);

        if (r < 0)
                return r;
        keeper->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (keeper->clock_fd < 0 || watch_clock(keeper->clock_fd) < 0)
                return -errno;
        r = add_timers(keeper);
        if (r >= 0)
                r = sd_event_add_io(keeper->event, next_source(keeper), keeper->runner.fd, EPOLLIN,
                                    on_done, keeper);
        if (r >= 0)
                r = sd_event_add_io(keeper->event, next_source(keeper), keeper->clock_fd, EPOLLIN,
                                    on_clock_set, keeper);
        for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
                r = sd_event_add_signal(keeper->event, next_source(keeper), signals[i],
                                        signals[i] == SIGHUP ? on_hangup : on_end, keeper);
        return r;
}

int keeper_new(sd_event *event, State *state, KeeperEnded ended, void *userdata, Keeper **ret,
               Error *reterr)
{
        _cleanup_(keeper_freep) Keeper *keeper = calloc(1, sizeof *keeper);
        int r;

        if (!keeper)
                return error_oom(reterr);
        *keeper = (Keeper){.event = event,
                           .state = state,
                           .ended = ended,
                           .userdata = userdata,
                           .runner.fd = -1,
                           .clock_fd = -1};
        r = add_sources(keeper);
        if (r < 0)
                return error_set(reterr, -r, "cannot prepare the event loop: %s", strerror(-r));
        *ret = TAKE_PTR(keeper);
        return 0;
}

Keeper *keeper_free(Keeper *keeper)
{
        if (!keeper)
                return NULL;
        for (size_t i = 0; i < keeper->n_sources; i++)
                sd_event_source_disable_unref(keeper->sources[i]);
        sd_event_source_disable_unref(keeper->deadline);
        sd_event_source_disable_unref(keeper->retry);
        sd_event_source_disable_unref(keeper->late);
        runner_close(&keeper->runner);
        closep(&keeper->clock_fd);
        requests_done(&keeper->requests);
        free(keeper);
        return NULL;
}
