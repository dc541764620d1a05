#include "daemon/handover.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/consent.h"
#include "daemon/takeover.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#define ADOPT_TIMEOUT_USEC (60 * USEC_PER_SEC)

static bool has_consents(const Work *work)
{
        for (size_t i = 0; i < work->memory->n_certificates; i++)
                if (work->memory->certificates[i].has_consent)
                        return true;
        for (size_t i = 0; i < work->memory->n_clusters; i++)
                if (work->memory->clusters[i].has_consent)
                        return true;
        return false;
}

/* Without it a restart only has to be told again. */
static void save(Work *work)
{
        Error error;

        if (consents_save(work->input.places.state_dir, work->input.policy, work->memory, &error) <
            0)
                work_tell(work, &(WorkEvent){.level = LOG_WARNING, .message_id = EVENT_FAILED},
                          "a consent cannot be kept over a restart: %s", error.text);
}

static int adopt(Work *work, size_t index, uint32_t *ret_generation, Error *reterr)
{
        static const uint8_t none[CERT_FINGERPRINT];
        const PolicyCertificate *certificate = &work->input.policy->certificates[index];
        const ObservedSet *set = &work->observation->sets[index];
        Peer *peer;
        int r = work_worker(work, index, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_ADOPT, work->input.policy->tag);
        wire_put_text(peer->message, certificate->name);
        wire_put_raw(peer->message, set->has_leaf ? set->leaf.sha256 : none, CERT_FINGERPRINT);
        r = peer_call(peer, WIRE_ADOPT, ADOPT_TIMEOUT_USEC, reterr);
        if (r < 0)
                return r;
        *ret_generation = wire_get_u32(peer->message);
        return wire_end(peer->message, reterr);
}

int handover_run(Work *work, const Plan *plan, Error *reterr)
{
        int done = 0;

        if (has_consents(work))
                save(work);
        for (size_t i = 0; i < plan->n_steps; i++) {
                size_t index = plan->steps[i].object;
                uint32_t generation;
                Error error;

                if (plan->steps[i].verb != STEP_ADOPT)
                        continue;
                if (peers_is_cancelled(&work->peers))
                        return error_set(reterr, ECANCELED, "pgcertd is ending");
                if (adopt(work, index, &generation, &error) < 0) {
                        work_certificate_failed(work, index, error.text);
                } else {
                        attempt_succeeded(&work->memory->certificates[index].attempt);
                        work_tell(
                                work,
                                &(WorkEvent){.level = LOG_NOTICE,
                                             .message_id = EVENT_ADOPTED,
                                             .certificate =
                                                     work->input.policy->certificates[index].name},
                                "%s: its files were taken over as they were, as generation %u",
                                work->input.policy->certificates[index].name, generation);
                }
                done = 1;
        }
        work->did_steps |= done > 0;
        return done;
}

/* Whether a consent has nothing to wait for any more. */
static bool is_over(TakeoverVerdict verdict)
{
        return verdict == TAKEOVER_NOTHING || verdict == TAKEOVER_REFUSED;
}

void handover_settle(Work *work)
{
        const Policy *policy = work->input.policy;
        const Observation *observation = work->observation;
        bool is_changed = false;

        for (size_t i = 0; i < policy->n_certificates; i++) {
                MemoryCertificate *memory = &work->memory->certificates[i];
                _cleanup_(text_done) Text why = {0};

                if (!memory->has_consent || observation->sets[i].state == SET_UNKNOWN ||
                    !is_over(takeover_judge(policy, observation, i, &why)))
                        continue;
                memory->has_consent = memory->is_requested = false;
                is_changed = true;
        }
        for (size_t i = 0; i < policy->n_clusters; i++) {
                _cleanup_(text_done) Text why = {0};

                /* Of a cluster that nobody looked at the file was not looked at either. */
                if (!work->memory->clusters[i].has_consent ||
                    observation->clusters[i].state == CLUSTER_UNKNOWN ||
                    !is_over(takeover_judge_cluster(policy, observation, i, &why)))
                        continue;
                work->memory->clusters[i].has_consent = false;
                is_changed = true;
        }
        if (is_changed)
                save(work);
}
