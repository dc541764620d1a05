/*
 * A plan is made in one go over sets, then clusters: what is due and why (`due`), whether it can be
 * signed (`issuer`), what else is in the way (`draft`); then what each cluster has to load and
 * prove (`proof`); then the rows, which say how things stand before the steps, and the steps in the
 * order of their doing.
 */
#include "daemon/plan.h"

#include "common/clock.h"
#include "daemon/due.h"
#include "daemon/issuer.h"
#include "daemon/wake.h"

#include <assert.h>
#include <string.h>

/* A plan in the making. */
typedef struct Task {
        const PlanInput *input;
        DraftInput draft;
        Draft *drafts; /* in the order of the certificates */
        Proof *proofs; /* of the clusters */
        bool *makes;   /* the authorities whose CA is made */
        char *doubt;   /* NULL, or why the clock is not believed */
        Steps steps;
} Task;

static void task_done(Task *work)
{
        for (size_t i = 0; work->drafts && i < work->input->policy->n_certificates; i++)
                draft_done(&work->drafts[i]);
        for (size_t c = 0; work->proofs && c < work->input->policy->n_clusters; c++)
                proof_done(&work->proofs[c]);
        issuers_done(&work->draft.issuers);
        steps_done(&work->steps);
        free(work->drafts);
        free(work->proofs);
        free(work->makes);
        free(work->doubt);
}

static int task_init(Task *work, const PlanInput *input, Error *reterr)
{
        const Policy *policy = input->policy;
        Text doubt = {0};
        int r;

        *work = (Task){
                .input = input,
                .draft = {.due = {.policy = policy,
                                  .observation = input->observation,
                                  .memory = input->memory,
                                  .now_usec = input->now_usec,
                                  .host = input->host},
                          .held = input->held,
                          .boot_usec = input->boot_usec},
        };
        work->drafts = calloc(policy->n_certificates + 1, sizeof *work->drafts);
        work->proofs = calloc(policy->n_clusters + 1, sizeof *work->proofs);
        work->makes = calloc(policy->n_authorities + 1, sizeof *work->makes);
        if (!work->drafts || !work->proofs || !work->makes)
                return error_oom(reterr);
        if (!input->memory->clock.is_doubted)
                return 0;
        clockstep_describe(&input->memory->clock, &doubt);
        r = text_take(&doubt, &work->doubt, reterr);
        work->draft.doubt = work->doubt;
        return r;
}

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

static size_t set_of(const Task *work, const PolicyCertificate *certificate)
{
        return (size_t)(certificate - work->input->policy->certificates);
}

/* What the clusters of each set say of it, in one go over the clusters. */
static void look_at_clusters(Task *work)
{
        const Policy *policy = work->input->policy;

        for (size_t i = 0; i < policy->n_certificates; i++)
                work->drafts[i].served_until_usec = USEC_INFINITY;
        for (size_t c = 0; c < policy->n_clusters; c++) {
                const ObservedCluster *observed = &work->input->observation->clusters[c];
                size_t i = set_of(work, policy->clusters[c].certificate);
                Draft *draft = &work->drafts[i];
                int64_t until = proof_served_until(observed, &work->input->observation->sets[i]);

                if (observed->state == CLUSTER_ABSENT)
                        continue;
                draft->has_reader = true;
                if (until < draft->served_until_usec)
                        draft->served_until_usec = until;
                if (!draft->override)
                        draft->override = observed->override;
                if (!draft->foreign &&
                    proof_is_foreign(observed, &work->input->memory->clusters[c]))
                        draft->foreign = &policy->clusters[c];
        }
}

static int look_at_issuers(Task *work, Error *reterr)
{
        const PlanInput *input = work->input;
        _cleanup_(freep) bool *foreign = calloc(input->policy->n_certificates + 1, sizeof *foreign);

        if (!foreign)
                return error_oom(reterr);
        for (size_t i = 0; i < input->policy->n_certificates; i++)
                foreign[i] = draft_is_foreign(&work->drafts[i], &input->observation->sets[i]) &&
                             !draft_has_consent(&work->draft.due, i);
        return issuers_look(input->policy, input->observation, foreign, input->now_usec,
                            &work->draft.issuers, reterr);
}

static int judge_sets(Task *work, Error *reterr)
{
        const PlanInput *input = work->input;

        for (size_t i = 0; i < input->policy->n_certificates; i++) {
                const ObservedSet *set = &input->observation->sets[i];
                Draft *draft = &work->drafts[i];
                size_t a = (size_t)(input->policy->certificates[i].authority -
                                    input->policy->authorities);
                int r;

                /* Clients, and servers without a cluster, are read from disk. */
                if (!draft->has_reader && set->has_leaf)
                        draft->served_until_usec = set->leaf.not_after_usec;
                r = draft_judge(&work->draft, i, draft, reterr);
                if (r < 0)
                        return r;
                if (draft->is_issuing && work->draft.issuers.items[a].state == ISSUER_BLANK)
                        work->makes[a] = true;
        }
        return 0;
}

static bool is_issuing_client(const Task *work, const PolicyCluster *cluster)
{
        for (size_t i = 0; i < cluster->n_as; i++)
                if (work->drafts[set_of(work, cluster->as[i])].is_issuing)
                        return true;
        return false;
}

static int judge_clusters(Task *work, Error *reterr)
{
        const PlanInput *input = work->input;

        for (size_t c = 0; c < input->policy->n_clusters; c++) {
                const PolicyCluster *cluster = &input->policy->clusters[c];
                size_t i = set_of(work, cluster->certificate);
                Draft *draft = &work->drafts[i];
                Proof *proof = &work->proofs[c];
                ProofInput of = {
                        .policy = input->policy,
                        .cluster = cluster,
                        .observed = &input->observation->clusters[c],
                        .set = &input->observation->sets[i],
                        .memory = &input->memory->clusters[c],
                        .is_issuing = draft->is_issuing || draft->is_retrying,
                        .is_issuing_client = is_issuing_client(work, cluster),
                        .is_foreign = draft->is_foreign,
                        .check_all = input->check_all,
                        .held = input->held,
                        .now_usec = input->now_usec,
                        .boot_usec = input->boot_usec,
                };
                int r = proof_make(&of, proof, reterr);

                if (r < 0)
                        return r;
                if (!proof->counts)
                        continue;
                draft->is_owed |= proof->verdict == PROOF_OWED;
                draft->is_refused |= proof->verdict == PROOF_REFUSED;
                if (proof->verdict == PROOF_REFUSED ||
                    (proof->verdict == PROOF_OWED && !draft->blame))
                        draft->blame = proof->error;
        }
        return 0;
}

static int fill_certificates(Task *work, Plan *plan, Error *reterr)
{
        for (size_t i = 0; i < plan->n_certificates; i++) {
                DraftRow row;
                int r = draft_row(&work->draft, i, &work->drafts[i], &row, reterr);

                plan->certificates[i] = (PlanCertificate){
                        .state = row.state,
                        .health = row.health,
                        .renew_at_usec = due_at(&work->draft.due, i),
                        .error = row.error,
                };
                if (r < 0)
                        return r;
                plan->health = health_worse(plan->health, row.health);
        }
        return 0;
}

static void fill_clusters(Task *work, Plan *plan)
{
        for (size_t c = 0; c < plan->n_clusters; c++) {
                const ObservedCluster *observed = &work->input->observation->clusters[c];
                Proof *proof = &work->proofs[c];

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

static int fill_authorities(Task *work, Plan *plan, Error *reterr)
{
        for (size_t a = 0; a < plan->n_authorities; a++) {
                PlanAuthority *row = &plan->authorities[a];
                const Issuer *issuer = &work->draft.issuers.items[a];
                const Attempt *attempt = &work->input->memory->authorities[a].attempt;
                const char *error = issuer->problem;

                row->next_verb = STEP_VERBS;
                row->next_usec = USEC_INFINITY;
                if (!error && issuer->state == ISSUER_BLANK && attempt->failures > 0)
                        error = attempt->error;
                if (!error)
                        continue;
                row->health = issuer->state == ISSUER_LOST ? HEALTH_CRITICAL : HEALTH_WARNING;
                row->error = strdup(error);
                if (!row->error)
                        return error_oom(reterr);
                plan->health = health_worse(plan->health, row->health);
        }
        return 0;
}

static int add_set_steps(Task *work, StepVerb verb, Error *reterr)
{
        for (size_t i = 0; i < work->input->policy->n_certificates; i++) {
                const Draft *draft = &work->drafts[i];
                bool is_wanted =
                        (verb == STEP_ADOPT && draft->is_adopting) ||
                        (verb == STEP_ISSUE && draft->is_issuing) ||
                        (verb == STEP_RETRY && draft->is_retrying) ||
                        (verb == STEP_PUBLISH && draft->is_publishing && !draft->is_retrying) ||
                        (verb == STEP_PRUNE && (draft->is_issuing || draft->is_retrying));
                int r;

                if (!is_wanted)
                        continue;
                r = steps_add(&work->steps, verb, i, verb == STEP_ISSUE && draft->due.rekey,
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
static int add_cluster_steps(Task *work, StepVerb verb, Error *reterr)
{
        for (size_t c = 0; c < work->input->policy->n_clusters; c++) {
                const Proof *proof = &work->proofs[c];
                const char *const reasons[] = {proof->configure, proof->load, proof->prove,
                                               proof->login};
                const char *reason = reasons[verb - STEP_CONFIGURE];
                int r = reason ? steps_add(&work->steps, verb, c, false, reason, reterr) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_steps(Task *work, Error *reterr)
{
        int r = 0;

        for (size_t a = 0; r >= 0 && a < work->input->policy->n_authorities; a++)
                if (work->makes[a])
                        r = steps_add(&work->steps, STEP_AUTHORITY, a, false, "no CA yet", reterr);
        for (StepVerb verb = STEP_ADOPT; r >= 0 && verb <= STEP_PUBLISH; verb++)
                r = add_set_steps(work, verb, reterr);
        for (StepVerb verb = STEP_CONFIGURE; r >= 0 && verb <= STEP_LOGIN; verb++)
                r = add_cluster_steps(work, verb, reterr);
        return r < 0 ? r : add_set_steps(work, STEP_PRUNE, reterr);
}

/* What lies in the future. What is due now needs no wake-up: it is done, waits, or is held until
 * something changes. */
static int fill_next(Task *work, Plan *plan, Error *reterr)
{
        const PlanInput *input = work->input;
        const Policy *policy = input->policy;
        Wake wake = {.now_usec = input->now_usec,
                     .boot_usec = input->boot_usec,
                     .next_usec = USEC_INFINITY,
                     .next_boot_usec = USEC_INFINITY};

        for (size_t i = 0; i < plan->n_certificates; i++) {
                wake_at(&wake, plan->certificates[i].renew_at_usec, "renew",
                        policy->certificates[i].name);
                if (work->drafts[i].is_waiting)
                        wake_retry(&wake, work->drafts[i].retry_boot_usec,
                                   policy->certificates[i].name);
        }
        for (size_t c = 0; c < plan->n_clusters; c++)
                if (work->proofs[c].is_waiting)
                        wake_retry(&wake, input->memory->clusters[c].attempt.retry_boot_usec,
                                   policy->clusters[c].name);
        for (size_t a = 0; a < plan->n_authorities; a++)
                wake_at(&wake, issuer_renew_at(policy, input->observation, a), "replace the CA of",
                        policy->authorities[a].name);
        plan->next_usec = wake.next_usec;
        plan->next_boot_usec = wake.next_boot_usec;
        if (clockstep_until(&input->memory->clock) < plan->next_boot_usec)
                plan->next_boot_usec = clockstep_until(&input->memory->clock);
        return wake_take_what(&wake, &plan->next_what, reterr);
}

int plan_make(const PlanInput *input, Plan **ret, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(task_done) Task work = {.input = input};
        int r;

        assert(input->observation->n_sets == input->policy->n_certificates);
        assert(input->observation->n_clusters == input->policy->n_clusters);
        assert(input->observation->n_authorities == input->policy->n_authorities);
        assert(input->memory->n_certificates == input->policy->n_certificates);
        r = plan_new(input->policy, &plan, reterr);
        if (r >= 0)
                r = task_init(&work, input, reterr);
        if (r < 0)
                return r;
        look_at_clusters(&work);
        r = look_at_issuers(&work, reterr);
        if (r >= 0)
                r = judge_sets(&work, reterr);
        if (r >= 0)
                r = judge_clusters(&work, reterr);
        if (r >= 0)
                r = fill_certificates(&work, plan, reterr);
        if (r < 0)
                return r;
        fill_clusters(&work, plan);
        r = fill_authorities(&work, plan, reterr);
        if (r >= 0)
                r = fill_next(&work, plan, reterr);
        if (r >= 0)
                r = add_steps(&work, reterr);
        if (r < 0)
                return r;
        plan->steps = TAKE_PTR(work.steps.items);
        plan->n_steps = work.steps.n;
        work.steps = (Steps){0};
        *ret = TAKE_PTR(plan);
        return 0;
}

int64_t plan_renew_at(const PolicyCertificate *certificate, int64_t not_after_usec,
                      const char *host)
{
        return due_renew_at(certificate, not_after_usec, host);
}
