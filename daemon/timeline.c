#include "daemon/timeline.h"

#include "common/clock.h"
#include "daemon/forecast.h"

#include <string.h>

enum {
        ROUNDS_MAX = 16,      /* of plans at one instant; what is due then waits for somebody */
        INSTANTS_MAX = 20000, /* at which a CA moves on: below the rows' own limit anyway */
};

/* The sets by their next renewal, the first on top. */
typedef struct Queue {
        size_t *sets;
        int64_t *at_usec; /* by set */
        size_t n;
} Queue;

typedef struct Outlook {
        Timeline *timeline;
        Forecast forecast;
        Queue queue;
        int64_t until_usec;
} Outlook;

void timeline_done(Timeline *timeline)
{
        for (size_t i = 0; i < timeline->n; i++)
                free(timeline->items[i].step.reason);
        free(timeline->items);
        *timeline = (Timeline){0};
}

static void outlook_done(Outlook *outlook)
{
        forecast_done(&outlook->forecast);
        free(outlook->queue.sets);
        free(outlook->queue.at_usec);
}

/* Takes the reason. */
static int add_row(Timeline *timeline, int64_t at_usec, const Step *step, char *reason,
                   Error *reterr)
{
        TimelineRow *row;

        if (!reason)
                return error_oom(reterr);
        if (timeline->n == timeline->allocated) {
                size_t allocated = timeline->allocated ? 2 * timeline->allocated : 256;
                TimelineRow *items = reallocarray(timeline->items, allocated, sizeof *items);

                if (!items) {
                        free(reason);
                        return error_oom(reterr);
                }
                timeline->items = items;
                timeline->allocated = allocated;
        }
        row = &timeline->items[timeline->n++];
        *row = (TimelineRow){.at_usec = at_usec, .step = *step};
        row->step.reason = reason;
        timeline->is_cut = timeline->n >= TIMELINE_ROWS_MAX;
        return 0;
}

static void sift(Queue *queue, size_t i)
{
        for (size_t child = 2 * i + 1; child < queue->n; child = 2 * i + 1) {
                size_t set = queue->sets[i];

                if (child + 1 < queue->n &&
                    queue->at_usec[queue->sets[child + 1]] < queue->at_usec[queue->sets[child]])
                        child++;
                if (queue->at_usec[set] <= queue->at_usec[queue->sets[child]])
                        return;
                queue->sets[i] = queue->sets[child];
                queue->sets[child] = set;
                i = child;
        }
}

/* What the plan has for each set. One that is not as it should be is the plan's concern. */
static void queue_fill(Queue *queue, const Forecast *forecast, const Plan *plan)
{
        queue->n = 0;
        for (size_t i = 0; i < plan->n_certificates; i++) {
                queue->at_usec[i] = plan->certificates[i].renew_at_usec;
                if (queue->at_usec[i] > forecast->input.now_usec &&
                    queue->at_usec[i] != USEC_INFINITY)
                        queue->sets[queue->n++] = i;
        }
        for (size_t i = queue->n / 2; i-- > 0;)
                sift(queue, i);
}

static bool is_told(const Step *step)
{
        return step->verb != STEP_LOGIN && step->verb != STEP_PRUNE;
}

/* The steps that are due, told and done. 1 where something was. */
static int do_steps(Outlook *outlook, const Plan *plan, Error *reterr)
{
        int done = 0;

        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];
                int r = forecast_apply(&outlook->forecast, step, reterr);

                if (r >= 0 && is_told(step)) {
                        done = 1;
                        r = add_row(outlook->timeline, outlook->forecast.input.now_usec, step,
                                    strdup(step->reason), reterr);
                }
                if (r < 0)
                        return r;
                if (outlook->timeline->is_cut)
                        return 0;
        }
        return done;
}

/* Everything that is due at this instant; ret is the plan that has nothing left to do. */
static int do_instant(Outlook *outlook, Plan **ret, Error *reterr)
{
        for (unsigned round = 0;; round++) {
                _cleanup_(plan_freep) Plan *plan = NULL;
                int r = plan_make(&outlook->forecast.input, &plan, reterr);

                if (r >= 0)
                        r = do_steps(outlook, plan, reterr);
                if (r < 0)
                        return r;
                if (r == 0 || round == ROUNDS_MAX) {
                        *ret = TAKE_PTR(plan);
                        return 0;
                }
                forecast_settle(&outlook->forecast);
        }
}

/* When a CA moves on next. */
static int64_t next_turn(const Outlook *outlook, const Plan *plan)
{
        int64_t next = outlook->until_usec;

        for (size_t a = 0; a < plan->n_authorities; a++) {
                int64_t at = plan->authorities[a].next_usec;

                if (at > outlook->forecast.input.now_usec && at < next)
                        next = at;
        }
        return next;
}

/* The renewal of a set, and what its clusters load. */
static int renew(Outlook *outlook, size_t set, int64_t at_usec, Error *reterr)
{
        Forecast *forecast = &outlook->forecast;
        Step step = {.verb = STEP_ISSUE, .object = set};
        char *reason;
        int r;

        forecast->input.now_usec = at_usec;
        step.rekey = forecast_is_rekey(forecast, set);
        reason = forecast_renewal_reason(forecast, set);
        forecast_renew(forecast, set, step.rekey);
        r = add_row(outlook->timeline, at_usec, &step, reason, reterr);
        for (size_t c = forecast->first_cluster[set];
             c != SIZE_MAX && r >= 0 && !outlook->timeline->is_cut; c = forecast->next_cluster[c]) {
                step = (Step){.verb = STEP_LOAD, .object = c};
                if (forecast->observation->clusters[c].state != CLUSTER_RUNNING)
                        continue;
                r = forecast_apply(forecast, &step, reterr);
                if (r >= 0)
                        r = add_row(outlook->timeline, at_usec, &step,
                                    strdup("a new leaf is published"), reterr);
        }
        return r;
}

/* Renewals alone, until then. */
static int do_renewals(Outlook *outlook, int64_t until_usec, Error *reterr)
{
        Queue *queue = &outlook->queue;

        while (queue->n > 0 && queue->at_usec[queue->sets[0]] < until_usec &&
               !outlook->timeline->is_cut) {
                size_t set = queue->sets[0];
                int r = renew(outlook, set, queue->at_usec[set], reterr);

                if (r < 0)
                        return r;
                queue->at_usec[set] = forecast_renew_at(&outlook->forecast, set);
                if (queue->at_usec[set] == USEC_INFINITY)
                        queue->sets[0] = queue->sets[--queue->n];
                sift(queue, 0);
        }
        return 0;
}

static int run(Outlook *outlook, Error *reterr)
{
        for (unsigned i = 0; i < INSTANTS_MAX && !outlook->timeline->is_cut; i++) {
                _cleanup_(plan_freep) Plan *plan = NULL;
                int64_t turn;
                int r = do_instant(outlook, &plan, reterr);

                if (r < 0 || outlook->timeline->is_cut)
                        return r;
                queue_fill(&outlook->queue, &outlook->forecast, plan);
                turn = next_turn(outlook, plan);
                r = do_renewals(outlook, turn, reterr);
                if (r < 0 || turn >= outlook->until_usec)
                        return r;
                forecast_go(&outlook->forecast, turn);
        }
        outlook->timeline->is_cut = true;
        return 0;
}

int timeline_make(const PlanInput *input, int64_t until_usec, Timeline *ret, Error *reterr)
{
        _cleanup_(timeline_done) Timeline timeline = {0};
        _cleanup_(outlook_done) Outlook outlook = {.timeline = &timeline, .until_usec = until_usec};
        int r = forecast_init(&outlook.forecast, input, reterr);

        outlook.queue.sets = calloc(input->policy->n_certificates + 1, sizeof *outlook.queue.sets);
        outlook.queue.at_usec =
                calloc(input->policy->n_certificates + 1, sizeof *outlook.queue.at_usec);
        if (r >= 0 && (!outlook.queue.sets || !outlook.queue.at_usec))
                r = error_oom(reterr);
        if (r >= 0)
                r = run(&outlook, reterr);
        if (r < 0)
                return r;
        timeline.until_usec = timeline.is_cut && timeline.n > 0
                                      ? timeline.items[timeline.n - 1].at_usec
                                      : until_usec;
        *ret = timeline;
        timeline = (Timeline){0};
        return 0;
}
