#include "daemon/task.h"

#include "common/clock.h"

#include <stdlib.h>

void task_done(Task *task)
{
        for (size_t i = 0; task->drafts && i < task->input->policy->n_certificates; i++)
                draft_done(&task->drafts[i]);
        for (size_t c = 0; task->proofs && c < task->input->policy->n_clusters; c++)
                proof_done(&task->proofs[c]);
        issuers_done(&task->draft.issuers);
        emergency_free(task->emergencies, task->input->policy->n_authorities);
        evidence_free(task->evidence, task->input->policy->n_authorities);
        for (size_t a = 0; task->rollovers && a < task->input->policy->n_authorities; a++)
                rollover_done(&task->rollovers[a]);
        free(task->rollovers);
        free(task->drafts);
        free(task->proofs);
        free(task->makes);
        free(task->doubt);
}

static int task_init(Task *task, const PlanInput *input, Error *reterr)
{
        const Policy *policy = input->policy;
        Text doubt = {0};
        int r;

        *task = (Task){
                .input = input,
                .draft = {.due = {.policy = policy,
                                  .observation = input->observation,
                                  .memory = input->memory,
                                  .now_usec = input->now_usec,
                                  .host = input->host},
                          .held = input->held,
                          .boot_usec = input->boot_usec},
        };
        task->drafts = calloc(policy->n_certificates + 1, sizeof *task->drafts);
        task->proofs = calloc(policy->n_clusters + 1, sizeof *task->proofs);
        task->makes = calloc(policy->n_authorities + 1, sizeof *task->makes);
        task->rollovers = calloc(policy->n_authorities + 1, sizeof *task->rollovers);
        if (!task->drafts || !task->proofs || !task->makes || !task->rollovers)
                return error_oom(reterr);
        if (!input->memory->clock.is_doubted)
                return 0;
        clockstep_describe(&input->memory->clock, &doubt);
        r = text_take(&doubt, &task->doubt, reterr);
        task->draft.doubt = task->doubt;
        return r;
}

static size_t set_of(const Task *task, const PolicyCertificate *certificate)
{
        return (size_t)(certificate - task->input->policy->certificates);
}

/* What the clusters of each set say of it, in one go over the clusters. */
static void look_at_clusters(Task *task)
{
        const Policy *policy = task->input->policy;

        for (size_t i = 0; i < policy->n_certificates; i++)
                task->drafts[i].served_until_usec = USEC_INFINITY;
        for (size_t c = 0; c < policy->n_clusters; c++) {
                const ObservedCluster *observed = &task->input->observation->clusters[c];
                size_t i = set_of(task, policy->clusters[c].certificate);
                Draft *draft = &task->drafts[i];
                int64_t until = proof_served_until(observed, &task->input->observation->sets[i]);

                if (observed->state == CLUSTER_ABSENT)
                        continue;
                draft->has_reader = true;
                if (until < draft->served_until_usec)
                        draft->served_until_usec = until;
                if (!draft->override)
                        draft->override = observed->override;
                if (!draft->foreign &&
                    proof_is_foreign(observed, &task->input->memory->clusters[c]))
                        draft->foreign = &policy->clusters[c];
        }
}

static int look_at_issuers(Task *task, Error *reterr)
{
        const PlanInput *input = task->input;
        _cleanup_(freep) bool *foreign = calloc(input->policy->n_certificates + 1, sizeof *foreign);
        int r;

        if (!foreign)
                return error_oom(reterr);
        for (size_t i = 0; i < input->policy->n_certificates; i++)
                foreign[i] = draft_is_foreign(&task->drafts[i], &input->observation->sets[i]) &&
                             !draft_has_consent(&task->draft.due, i);
        task->evidence = evidence_collect(input->policy, input->observation, foreign);
        if (!task->evidence)
                return error_oom(reterr);
        r = emergency_collect(input->policy, input->observation, input->memory, &task->emergencies,
                              reterr);
        if (r < 0)
                return r;
        task->draft.due.evidence = task->evidence;
        task->draft.due.emergencies = task->emergencies;
        return issuers_look(input->policy, input->observation, foreign, input->now_usec,
                            &task->draft.issuers, reterr);
}

/* A CA that is made before any set asks for a leaf of it: imported, or to be trusted first. */
static bool makes_unasked(const Task *task, size_t a)
{
        const PlanInput *input = task->input;
        const Issuer *issuer = &task->draft.issuers.items[a];

        return issuer->state == ISSUER_BLANK && !input->held && !task->doubt &&
               (issuer->as_next || input->policy->authorities[a].adopt_certificate) &&
               !attempt_is_waiting(&input->memory->authorities[a].attempt, input->boot_usec);
}

/* After the issuers, and before the sets: what a set waits for does not depend on its authority's
 * next step. */
static int judge_authorities(Task *task, Error *reterr)
{
        const PlanInput *input = task->input;
        ProspectInput of = {.policy = input->policy,
                            .observation = input->observation,
                            .memory = input->memory,
                            .issuers = &task->draft.issuers,
                            .evidence = task->evidence,
                            .emergencies = task->emergencies,
                            .now_usec = input->now_usec,
                            .boot_usec = input->boot_usec,
                            .held = input->held,
                            .doubt = task->doubt};
        int r = 0;

        for (size_t a = 0; r >= 0 && a < input->policy->n_authorities; a++) {
                r = rollover_find(&of, a, &task->rollovers[a], reterr);
                task->makes[a] = makes_unasked(task, a);
        }
        return r;
}

static int judge_sets(Task *task, Error *reterr)
{
        const PlanInput *input = task->input;

        for (size_t i = 0; i < input->policy->n_certificates; i++) {
                const ObservedSet *set = &input->observation->sets[i];
                Draft *draft = &task->drafts[i];
                size_t a = (size_t)(input->policy->certificates[i].authority -
                                    input->policy->authorities);
                int r;

                /* Clients, and servers without a cluster, are read from disk. */
                if (!draft->has_reader && set->has_leaf)
                        draft->served_until_usec = set->leaf.not_after_usec;
                r = draft_judge(&task->draft, i, draft, reterr);
                if (r < 0)
                        return r;
                if (draft_does(draft, DUE_ISSUE) &&
                    task->draft.issuers.items[a].state == ISSUER_BLANK)
                        task->makes[a] = true;
        }
        return 0;
}

static bool is_issuing_client(const Task *task, const PolicyCluster *cluster)
{
        for (size_t i = 0; i < cluster->n_as; i++)
                if (draft_does(&task->drafts[set_of(task, cluster->as[i])], DUE_ISSUE) ||
                    draft_does(&task->drafts[set_of(task, cluster->as[i])], DUE_TRUST))
                        return true;
        return false;
}

static int judge_clusters(Task *task, Error *reterr)
{
        const PlanInput *input = task->input;

        for (size_t c = 0; c < input->policy->n_clusters; c++) {
                const PolicyCluster *cluster = &input->policy->clusters[c];
                size_t i = set_of(task, cluster->certificate);
                Draft *draft = &task->drafts[i];
                Proof *proof = &task->proofs[c];
                ProofInput of = {
                        .policy = input->policy,
                        .cluster = cluster,
                        .observed = &input->observation->clusters[c],
                        .set = &input->observation->sets[i],
                        .memory = &input->memory->clusters[c],
                        .is_issuing = draft_does(draft, DUE_ISSUE) || draft_does(draft, DUE_RETRY),
                        .is_trusting = draft_does(draft, DUE_TRUST),
                        .is_issuing_client = is_issuing_client(task, cluster),
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

int task_make(const PlanInput *input, Task *ret, Error *reterr)
{
        int r = task_init(ret, input, reterr);

        if (r < 0)
                return r;
        look_at_clusters(ret);
        r = look_at_issuers(ret, reterr);
        if (r >= 0)
                r = judge_authorities(ret, reterr);
        if (r >= 0)
                r = judge_sets(ret, reterr);
        return r < 0 ? r : judge_clusters(ret, reterr);
}
