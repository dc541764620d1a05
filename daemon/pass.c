#include "daemon/pass.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/delivery.h"
#include "daemon/issuance.h"
#include "daemon/survey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

int pass_new(const PassInput *input, Pass **ret, Error *reterr)
{
        _cleanup_(pass_freep) Pass *pass = calloc(1, sizeof *pass);
        int r;

        if (!pass)
                return error_oom(reterr);
        pass->input = *input;
        peers_init(&pass->peers, &input->places);
        /* What another policy's pass saw says nothing about this one's names and digests. */
        if (input->known && input->known->tag == input->policy->tag)
                r = observation_copy(input->known, &pass->observation, reterr);
        else
                r = observation_new(input->policy, &pass->observation, reterr);
        if (r >= 0)
                r = memory_adopt(input->memory, input->memory_policy, input->policy, &pass->memory,
                                 reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(pass);
        return 0;
}

Pass *pass_free(Pass *pass)
{
        if (!pass)
                return NULL;
        peers_done(&pass->peers);
        observation_free(pass->observation);
        memory_free(pass->memory);
        plan_free(pass->plan);
        free(pass);
        return NULL;
}

void pass_cancel(Pass *pass)
{
        peers_cancel(&pass->peers);
}

void pass_tell(const Pass *pass, const PassEvent *event, const char *format, ...)
{
        char sentence[2 * ERROR_TEXT_MAX];
        PassEvent told = *event;
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        told.sentence = sentence;
        if (pass->input.tell)
                pass->input.tell(pass->input.userdata, &told);
}

void pass_certificate_failed(Pass *pass, size_t index, const char *sentence)
{
        const PolicyCertificate *certificate = &pass->input.policy->certificates[index];
        const ObservedSet *set = &pass->observation->sets[index];
        MemoryCertificate *memory = &pass->memory->certificates[index];
        int64_t left = 0;

        if (set->has_leaf)
                left = usec_add(set->leaf.not_after_usec, -clock_realtime());
        if (left > certificate->renew_before_usec)
                left = certificate->renew_before_usec;
        memory->is_requested = memory->is_rekey_requested = false;
        attempt_failed(&memory->attempt, pass->input.policy, clock_boottime(), left, sentence);
        pass_tell(pass,
                  &(PassEvent){.level = LOG_ERR,
                               .message_id = EVENT_FAILED,
                               .certificate = certificate->name},
                  "%s: %s", certificate->name, sentence);
}

static int make_plan(Pass *pass, Plan **ret, Error *reterr)
{
        PlanInput input = {
                .policy = pass->input.policy,
                .observation = pass->observation,
                .memory = pass->memory,
                .now_usec = clock_realtime(),
                .boot_usec = clock_boottime(),
                .host = pass->input.host,
                .held = pass->input.held,
                .check_all = pass->input.mode == PASS_CHECK,
        };

        return plan_make(&input, ret, reterr);
}

/* What is served may have been proved by the look alone: after a restart of ours or of PostgreSQL.
 */
static void take_proofs(Pass *pass)
{
        const Policy *policy = pass->input.policy;

        for (size_t i = 0; i < policy->n_clusters; i++) {
                size_t set = (size_t)(policy->clusters[i].certificate - policy->certificates);
                const Served *served = &pass->observation->clusters[i].served;
                const uint8_t *disk = pass->observation->sets[set].leaf.sha256;
                MemoryCluster *memory = &pass->memory->clusters[i];

                if (pass->observation->sets[set].state != SET_OURS ||
                    served->outcome != HANDSHAKE_TLS ||
                    memcmp(served->leaf.sha256, disk, CERT_FINGERPRINT) != 0)
                        continue;
                memory->is_refused = false;
                if (memory->has_proven && memcmp(memory->proven, disk, CERT_FINGERPRINT) == 0)
                        continue;
                attempt_succeeded(&memory->attempt);
                memory->has_proven = true;
                memcpy(memory->proven, disk, CERT_FINGERPRINT);
                memory->proven_usec = clock_realtime();
                if (pass->input.record)
                        record_proven(pass->input.record, policy->clusters[i].name, disk,
                                      memory->proven_usec, NULL);
        }
}

static int look(Pass *pass, Error *reterr)
{
        int r = survey_run(&pass->peers, pass->input.policy, pass->observation, reterr);

        if (r < 0)
                return r;
        take_proofs(pass);
        return make_plan(pass, &pass->plan, reterr);
}

/* The steps of the plan, in its order. */
static int act(Pass *pass, const Plan *plan, Error *reterr)
{
        size_t n = pass->input.policy->n_certificates;
        _cleanup_(freep) Issuance *issuances = calloc(n + 1, sizeof *issuances);
        int r;

        if (!issuances)
                return error_oom(reterr);
        r = issuance_run(pass, plan, issuances, reterr);
        if (r >= 0)
                r = delivery_run(pass, plan, issuances, reterr);
        for (size_t i = 0; i < n; i++)
                issuance_done(&issuances[i]);
        return r;
}

/* Only what changes nothing: the logins. */
static int check(Pass *pass, const Plan *plan)
{
        const Policy *policy = pass->input.policy;

        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];
                size_t set;

                if (step->verb != STEP_LOGIN)
                        continue;
                set = (size_t)(policy->clusters[step->object].certificate - policy->certificates);
                delivery_login(pass, step->object, pass->observation->sets[set].leaf.sha256);
                pass->did_steps = true;
        }
        return 0;
}

static int run(Pass *pass, Error *reterr)
{
        _cleanup_(plan_freep) Plan *plan = NULL;
        int r = look(pass, reterr);

        if (r < 0 || pass->plan->n_steps == 0 || pass->input.mode == PASS_LOOK)
                return r;
        plan = TAKE_PTR(pass->plan);
        r = pass->input.mode == PASS_ACT ? act(pass, plan, reterr) : check(pass, plan);
        return r < 0 ? r : look(pass, reterr);
}

void pass_run(Pass *pass)
{
        pass->failed = run(pass, &pass->error) < 0;
}
