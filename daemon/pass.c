#include "daemon/pass.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/delivery.h"
#include "daemon/due.h"
#include "daemon/handover.h"
#include "daemon/issuance.h"
#include "daemon/notify.h"
#include "daemon/putback.h"
#include "daemon/succession.h"
#include "daemon/survey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* The clock that the plan is made with is the one that is judged: a step while we looked counts. */
static void look_at_clock(Work *work, const PlanInput *input)
{
        ClockReading reading = {.now_usec = input->now_usec,
                                .boot_usec = input->boot_usec,
                                .is_synchronised = clock_synchronisation() == CLOCK_SYNCHRONISED};

        clockstep_look(&work->memory->clock, &reading, work->input.policy->max_clock_step_usec);
}

static int make_plan(Work *work, Plan **ret, Error *reterr)
{
        PlanInput input = {
                .policy = work->input.policy,
                .observation = work->observation,
                .memory = work->memory,
                .now_usec = clock_realtime(),
                .boot_usec = clock_boottime(),
                .host = work->input.host,
                .check_all = work->input.mode == WORK_CHECK,
        };

        look_at_clock(work, &input);
        return plan_make(&input, ret, reterr);
}

/* What is remembered is not what the plan was made with. */
static int plan_again(Work *work, Error *reterr)
{
        plan_free(TAKE_PTR(work->plan));
        return make_plan(work, &work->plan, reterr);
}

/* What is as the policy wants it, so that what differs later was changed by somebody else. */
static void settle(Work *work)
{
        for (size_t i = 0; i < work->observation->n_sets; i++) {
                const ObservedSet *set = &work->observation->sets[i];

                if (set->state == SET_OURS && !due_damage(set))
                        work->memory->certificates[i].repair.is_settled = true;
        }
        for (size_t i = 0; i < work->observation->n_clusters; i++)
                if (work->observation->clusters[i].configuration == CONFIGURATION_WANTED)
                        work->memory->clusters[i].repair.is_settled = true;
}

/* What is served may have been proved by the look alone: after a restart of ours or of PostgreSQL.
 */
static void take_proofs(Work *work)
{
        const Policy *policy = work->input.policy;

        for (size_t i = 0; i < policy->n_clusters; i++) {
                size_t set = (size_t)(policy->clusters[i].certificate - policy->certificates);
                const Served *served = &work->observation->clusters[i].served;
                const uint8_t *disk = work->observation->sets[set].leaf.sha256;
                MemoryCluster *memory = &work->memory->clusters[i];

                if (work->observation->sets[set].state != SET_OURS ||
                    served->outcome != HANDSHAKE_TLS ||
                    memcmp(served->leaf.sha256, disk, CERT_FINGERPRINT) != 0)
                        continue;
                memory->is_refused = false;
                if (memory->has_proven && memcmp(memory->proven, disk, CERT_FINGERPRINT) == 0)
                        continue;
                delivery_proven(work, i, &work->observation->sets[set].leaf);
        }
}

static int look(Work *work, Error *reterr)
{
        int r = survey_run(&work->peers, work->input.policy, work->observation, reterr);

        if (r < 0)
                return r;
        take_proofs(work);
        settle(work);
        return make_plan(work, &work->plan, reterr);
}

/* What was published and is not as it was published when looked at again counts as a failed try, so
 * that whoever works against us is not fought with pass after pass. */
static int judge_published(Work *work, const Issuance *issuances, Error *reterr)
{
        bool is_judged = false;

        for (size_t i = 0; i < work->input.policy->n_certificates; i++) {
                const ObservedSet *set = &work->observation->sets[i];
                char sentence[OBSERVED_PROBLEM_MAX + 64];

                if (issuances[i].state != ISSUANCE_PUBLISHED || set->state == SET_OURS)
                        continue;
                snprintf(sentence, sizeof sentence, "it changed right after it was published: %s",
                         set->problem ? set->problem : "it is gone");
                work_certificate_failed(work, i, sentence);
                is_judged = true;
        }
        return is_judged ? plan_again(work, reterr) : 0;
}

/* The steps of the plan, in its order, and another look. */
static int act(Work *work, const Plan *plan, Error *reterr)
{
        size_t n = work->input.policy->n_certificates;
        _cleanup_(freep) Issuance *issuances = calloc(n + 1, sizeof *issuances);
        int r;

        if (!issuances)
                return error_oom(reterr);
        r = succession_run(work, plan, reterr);
        if (r >= 0)
                r = issuance_run(work, plan, issuances, reterr);
        notify_ready(); /* what follows speaks with PostgreSQL, which may wait for us to be ready */
        if (r >= 0)
                r = delivery_run(work, plan, issuances, reterr);
        if (r >= 0)
                r = putback_run(work, plan, issuances, reterr);
        /* A request is for one try, however it went. */
        for (size_t i = 0; i < n; i++)
                work->memory->certificates[i].is_requested =
                        work->memory->certificates[i].is_rekey_requested = false;
        succession_settle(work);
        if (r >= 0)
                r = look(work, reterr);
        if (r >= 0)
                r = judge_published(work, issuances, reterr);
        for (size_t i = 0; i < n; i++)
                issuance_done(&issuances[i]);
        return r;
}

/* Only what changes nothing, the logins; and another look. */
static int check(Work *work, const Plan *plan, Error *reterr)
{
        const Policy *policy = work->input.policy;

        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];
                size_t set;

                if (step->verb != STEP_LOGIN)
                        continue;
                set = (size_t)(policy->clusters[step->object].certificate - policy->certificates);
                delivery_login(work, step->object, work->observation->sets[set].leaf.sha256);
                work->did_steps = true;
        }
        return look(work, reterr);
}

/* Whether the request for a set is met by the plan. A new trust bundle is what follows where a set
 * was handed over and its CA does not sign yet; nothing at all may, while others are awaited. */
static bool is_met(const Work *work, size_t certificate)
{
        const Plan *plan = work->plan;

        for (size_t i = 0; i < plan->n_steps; i++)
                if ((plan->steps[i].verb == STEP_ISSUE || plan->steps[i].verb == STEP_TRUST) &&
                    plan->steps[i].object == certificate)
                        return true;
        return (work->observation->sets[certificate].defects & SET_ADOPTED) &&
               !plan->certificates[certificate].error;
}

/* A renewal that was asked for and that something stands in the way of is a failed try: whoever
 * asked is told, and it is not done unasked when the obstacle goes away, hours later. */
static int decline_requests(Work *work, Error *reterr)
{
        bool is_declined = false;

        for (size_t i = 0; i < work->input.policy->n_certificates; i++) {
                const char *error = work->plan->certificates[i].error;

                if (!work->memory->certificates[i].is_requested || is_met(work, i))
                        continue;
                work_certificate_failed(work, i, error ? error : "it cannot be renewed now");
                is_declined = true;
        }
        return is_declined ? plan_again(work, reterr) : 0;
}

/* What is taken over is ours from then on: the steps that follow are those of another look. */
static int hand_over(Work *work, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = TAKE_PTR(work->plan);
        int r = handover_run(work, plan, reterr);

        if (r != 0)
                return r < 0 ? r : look(work, reterr);
        work->plan = TAKE_PTR(plan);
        return 0;
}

static int run(Work *work, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = NULL;
        int r = look(work, reterr);

        if (r >= 0 && work->input.mode == WORK_ACT)
                r = hand_over(work, reterr);
        if (r >= 0 && work->input.mode == WORK_ACT)
                r = decline_requests(work, reterr);
        if (r < 0 || work->plan->n_steps == 0 || work->input.mode == WORK_LOOK)
                return r;
        plan = TAKE_PTR(work->plan);
        return work->input.mode == WORK_ACT ? act(work, plan, reterr) : check(work, plan, reterr);
}

/* What the policy names no more is looked for when it or what is published may have changed, and
 * whenever somebody asks. A list that cannot be made harms nothing but itself. */
static void find_leftovers(Work *work)
{
        Leftovers *known = &work->memory->leftovers, found;
        bool is_acting = work->input.mode == WORK_ACT;

        if (known->is_known && !work->did_steps && is_acting)
                return;
        if (leftovers_find(work->input.places.state_dir, work->input.policy, work->observation,
                           is_acting, &found, NULL) < 0)
                return;
        leftovers_done(known);
        *known = found;
        for (size_t i = 0; is_acting && i < found.n; i++)
                if (found.items[i].is_new)
                        work_tell(work,
                                  &(WorkEvent){.level = LOG_WARNING,
                                               .message_id = EVENT_UNMANAGED,
                                               .certificate = found.items[i].certificate},
                                  "%s: %s is not managed any more: its files stay as they are",
                                  found.items[i].certificate, found.items[i].directory);
}

void pass_run(Work *work)
{
        work->failed = run(work, &work->error) < 0;
        if (!work->failed)
                find_leftovers(work);
        if (work->failed || work->input.mode != WORK_ACT)
                return;
        handover_settle(work);
        succession_settle(work);
}

void pass_tidy(Work *work)
{
        delivery_tidy(work);
}
