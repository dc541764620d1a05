/*
 * A plan is made in one go over sets, then clusters: what is due and why (`due`), whether it can be
 * signed (`issuer`), what else is in the way (`draft`); then what each cluster has to load and
 * prove (`proof`); then the rows, which say how things stand before the steps, and the steps in the
 * order of their doing.
 */
#include "daemon/plan.h"

#include "common/clock.h"
#include "daemon/wake.h"

#include <assert.h>
#include <string.h>

Plan *plan_free(Plan *plan)
{
        if (!plan)
                return NULL;
        steps_done(&(Steps){.items = plan->steps, .n = plan->n_steps});
        for (size_t i = 0; plan->certificates && i < plan->n_certificates; i++)
                free(plan->certificates[i].error);
        for (size_t i = 0; plan->clusters && i < plan->n_clusters; i++)
                free(plan->clusters[i].error);
        for (size_t i = 0; plan->authorities && i < plan->n_authorities; i++) {
                free(plan->authorities[i].error);
                free(plan->authorities[i].waits_for);
        }
        free(plan->certificates);
        free(plan->clusters);
        free(plan->authorities);
        free(plan->next_what);
        free(plan);
        return NULL;
}

static int plan_new(const Policy *policy, Plan **ret, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = calloc(1, sizeof *plan);

        if (!plan)
                return error_oom(reterr);
        plan->n_certificates = policy->n_certificates;
        plan->n_clusters = policy->n_clusters;
        plan->n_authorities = policy->n_authorities;
        plan->certificates = calloc(policy->n_certificates + 1, sizeof *plan->certificates);
        plan->clusters = calloc(policy->n_clusters + 1, sizeof *plan->clusters);
        plan->authorities = calloc(policy->n_authorities + 1, sizeof *plan->authorities);
        if (!plan->certificates || !plan->clusters || !plan->authorities)
                return error_oom(reterr);
        *ret = TAKE_PTR(plan);
        return 0;
}

static int fill_certificates(Task *task, Plan *plan, Error *reterr)
{
        for (size_t i = 0; i < plan->n_certificates; i++) {
                DraftRow row;
                int r = draftrow_make(&task->draft, i, &task->drafts[i], &row, reterr);

                plan->certificates[i] = (PlanCertificate){
                        .state = row.state,
                        .health = row.health,
                        .renew_at_usec = due_at(&task->draft.due, i),
                        .error = row.error,
                };
                if (r < 0)
                        return r;
                plan->health = health_worse(plan->health, row.health);
        }
        return 0;
}

static void fill_clusters(Task *task, Plan *plan)
{
        for (size_t c = 0; c < plan->n_clusters; c++) {
                const ObservedCluster *observed = &task->input->observation->clusters[c];
                Proof *proof = &task->proofs[c];

                plan->clusters[c] = (PlanCluster){
                        .proof = proof->verdict,
                        .health = proof->health,
                        .running = observed->state == CLUSTER_RUNNING,
                        .reachable = observed->served.outcome == HANDSHAKE_TLS ||
                                     observed->served.outcome == HANDSHAKE_PLAIN,
                        .is_told = proof->is_told,
                        .error = TAKE_PTR(proof->error),
                };
                plan->health = health_worse(plan->health, proof->health);
        }
}

/* What keeps the CA from signing matters more than what comes next for it. One that is to be
 * trusted before it signs is on its way, which is no trouble. */
static const char *authority_error(const Task *task, size_t a)
{
        const Issuer *issuer = &task->draft.issuers.items[a];
        const Attempt *attempt = &task->input->memory->authorities[a].attempt;

        if (issuer->problem && issuer->state != ISSUER_PENDING)
                return issuer->problem;
        if (issuer->state == ISSUER_BLANK && attempt->failures > 0)
                return attempt->error;
        return task->rollovers[a].error;
}

static int fill_authorities(Task *task, Plan *plan, Error *reterr)
{
        for (size_t a = 0; a < plan->n_authorities; a++) {
                PlanAuthority *row = &plan->authorities[a];
                Rollover *rollover = &task->rollovers[a];
                const char *error = authority_error(task, a);

                *row = (PlanAuthority){.health = rollover->health,
                                       .next_verb = rollover->verb,
                                       .next_generation = rollover->generation,
                                       .next_usec = rollover->at_usec,
                                       .waits_for = TAKE_PTR(rollover->waits_for)};
                if (!error)
                        continue;
                row->health =
                        health_worse(row->health, task->draft.issuers.items[a].state == ISSUER_LOST
                                                          ? HEALTH_CRITICAL
                                                          : HEALTH_WARNING);
                row->error = strdup(error);
                if (!row->error)
                        return error_oom(reterr);
                plan->health = health_worse(plan->health, row->health);
        }
        return 0;
}

static int add_set_steps(const Task *task, StepVerb verb, Steps *steps, Error *reterr)
{
        for (size_t i = 0; i < task->input->policy->n_certificates; i++) {
                const Draft *draft = &task->drafts[i];
                bool is_wanted = (verb == STEP_ADOPT && draft->is_adopting) ||
                                 (verb == STEP_ISSUE && draft_does(draft, DUE_ISSUE)) ||
                                 (verb == STEP_TRUST && draft_does(draft, DUE_TRUST)) ||
                                 (verb == STEP_RETRY && draft_does(draft, DUE_RETRY)) ||
                                 (verb == STEP_PUBLISH && draft->is_publishing &&
                                  !draft_does(draft, DUE_RETRY)) ||
                                 (verb == STEP_PRUNE &&
                                  (draft_does(draft, DUE_ISSUE) || draft_does(draft, DUE_TRUST) ||
                                   draft_does(draft, DUE_RETRY)));
                int r;

                if (!is_wanted)
                        continue;
                r = steps_add(steps, verb, i, verb == STEP_ISSUE && draft->due.rekey,
                              verb == STEP_PRUNE   ? "a new generation is in place"
                              : verb == STEP_ADOPT ? "its files were handed over to pgcertd"
                                                   : draft->due.reason,
                              reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The reasons stand in the order of their verbs. */
static int add_cluster_steps(const Task *task, StepVerb verb, Steps *steps, Error *reterr)
{
        for (size_t c = 0; c < task->input->policy->n_clusters; c++) {
                const Proof *proof = &task->proofs[c];
                const char *const reasons[] = {proof->configure, proof->load, proof->prove,
                                               proof->login};
                const char *reason = reasons[verb - STEP_CONFIGURE];
                int r = reason ? steps_add(steps, verb, c, false, reason, reterr) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_authority_step(const Task *task, size_t a, Steps *steps, Error *reterr)
{
        const Rollover *rollover = &task->rollovers[a];
        bool adopts = task->input->policy->authorities[a].adopt_certificate != NULL;
        bool as_next = task->draft.issuers.items[a].as_next;
        int r;

        if (task->makes[a])
                r = steps_add(steps, STEP_AUTHORITY, a, false,
                              adopts    ? "no CA yet, and `adopt` names one"
                              : as_next ? "no CA yet, and readers trust another one: it is made to "
                                          "be trusted first"
                                        : "no CA yet",
                              reterr);
        else if (rollover->is_due)
                r = steps_add(steps, rollover->verb, a, false, rollover->reason, reterr);
        else
                return 0;
        if (r < 0)
                return r;
        steps->items[steps->n - 1].is_next = task->makes[a] && as_next;
        steps->items[steps->n - 1].generation = task->makes[a] ? 0 : rollover->generation;
        return 0;
}

static int add_steps(const Task *task, Steps *steps, Error *reterr)
{
        int r = 0;

        for (size_t a = 0; r >= 0 && a < task->input->policy->n_authorities; a++)
                r = add_authority_step(task, a, steps, reterr);
        for (StepVerb verb = STEP_ADOPT; r >= 0 && verb <= STEP_PUBLISH; verb++)
                r = add_set_steps(task, verb, steps, reterr);
        for (StepVerb verb = STEP_CONFIGURE; r >= 0 && verb <= STEP_LOGIN; verb++)
                r = add_cluster_steps(task, verb, steps, reterr);
        return r < 0 ? r : add_set_steps(task, STEP_PRUNE, steps, reterr);
}

/* What comes then for a CA, in words: "prepare the next CA of main". */
static const char *wake_word(const Rollover *rollover)
{
        switch (rollover->verb) {
        case STEP_PREPARE:
                return "prepare the next CA of";
        case STEP_ANNOUNCE:
        case STEP_ACTIVATE:
                return "activate the next CA of";
        case STEP_RETIRE:
                return "retire the former CA of";
        case STEP_AUTHORITY:
        case STEP_EMERGENCY:
        case STEP_ADOPT:
        case STEP_ISSUE:
        case STEP_TRUST:
        case STEP_RETRY:
        case STEP_PUBLISH:
        case STEP_CONFIGURE:
        case STEP_LOAD:
        case STEP_PROVE:
        case STEP_LOGIN:
        case STEP_PRUNE:
        case STEP_VERBS:
                break;
        }
        return "look at the CA of";
}

/* What lies in the future. What is due now needs no wake-up: it is done, waits, or is held until
 * something changes. */
static int fill_next(Task *task, Plan *plan, Error *reterr)
{
        const PlanInput *input = task->input;
        const Policy *policy = input->policy;
        Wake wake = {.now_usec = input->now_usec,
                     .boot_usec = input->boot_usec,
                     .next_usec = USEC_INFINITY,
                     .next_boot_usec = USEC_INFINITY};

        for (size_t i = 0; i < plan->n_certificates; i++) {
                wake_at(&wake, plan->certificates[i].renew_at_usec, "renew",
                        policy->certificates[i].name);
                if (task->drafts[i].is_waiting)
                        wake_retry(&wake, task->drafts[i].retry_boot_usec,
                                   policy->certificates[i].name);
        }
        for (size_t c = 0; c < plan->n_clusters; c++)
                if (task->proofs[c].is_waiting)
                        wake_retry(&wake, input->memory->clusters[c].attempt.retry_boot_usec,
                                   policy->clusters[c].name);
        for (size_t a = 0; a < plan->n_authorities; a++) {
                const Rollover *rollover = &task->rollovers[a];

                if (rollover->wake_usec != USEC_INFINITY)
                        wake_at(&wake, rollover->wake_usec, wake_word(rollover),
                                policy->authorities[a].name);
                if (task->draft.issuers.items[a].state == ISSUER_BLANK)
                        wake_retry(&wake, input->memory->authorities[a].attempt.retry_boot_usec,
                                   policy->authorities[a].name);
                if (rollover->is_waiting)
                        wake_retry(&wake, rollover->retry_boot_usec, policy->authorities[a].name);
        }
        plan->next_usec = wake.next_usec;
        plan->next_boot_usec = wake.next_boot_usec;
        if (clockstep_until(&input->memory->clock) < plan->next_boot_usec)
                plan->next_boot_usec = clockstep_until(&input->memory->clock);
        return wake_take_what(&wake, &plan->next_what, &plan->next_what_usec, reterr);
}

int plan_make(const PlanInput *input, Plan **ret, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(task_done) Task task = {.input = input};
        Steps steps = {0};
        int r;

        assert(input->observation->n_sets == input->policy->n_certificates);
        assert(input->observation->n_clusters == input->policy->n_clusters);
        assert(input->observation->n_authorities == input->policy->n_authorities);
        assert(input->memory->n_certificates == input->policy->n_certificates);
        r = plan_new(input->policy, &plan, reterr);
        if (r >= 0)
                r = task_make(input, &task, reterr);
        if (r >= 0)
                r = fill_certificates(&task, plan, reterr);
        if (r < 0)
                return r;
        fill_clusters(&task, plan);
        r = fill_authorities(&task, plan, reterr);
        if (r >= 0)
                r = fill_next(&task, plan, reterr);
        if (r >= 0)
                r = add_steps(&task, &steps, reterr);
        plan->steps = steps.items;
        plan->n_steps = steps.n;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(plan);
        return 0;
}
