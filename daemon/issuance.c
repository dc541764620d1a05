#include "daemon/issuance.h"

#include "common/clock.h"
#include "common/events.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#define PUBLISH_TIMEOUT_USEC (300 * USEC_PER_SEC)

void issuance_done(Issuance *issuance)
{
        free(issuance->csr);
        free(issuance->der);
        *issuance = (Issuance){0};
}

/* Whether the authority of a set can sign: where it cannot, its own failure has been told. */
static bool has_issuer(Work *work, size_t index)
{
        const Policy *policy = work->input.policy;
        size_t authority = (size_t)(policy->certificates[index].authority - policy->authorities);

        return authority_current(&work->observation->authorities[authority]) != NULL;
}

/* The next sets to issue, from the step at *position on, which moves. */
static void collect(Work *work, const Plan *plan, size_t *position, Batch *ret, Issuance *issuances)
{
        *ret = (Batch){0};
        for (; *position < plan->n_steps && ret->n < WIRE_BATCH_MAX; (*position)++) {
                const Step *step = &plan->steps[*position];

                if (step->verb != STEP_ISSUE || peers_is_cancelled(&work->peers))
                        continue;
                issuances[step->object].is_new = true;
                if (has_issuer(work, step->object))
                        batch_add(ret, step->object, step->rekey);
                else
                        issuances[step->object].state = ISSUANCE_FAILED;
        }
}

/* Two batches are under way: the workers stage the next while the signer signs the last, and fill
 * that one in while it signs the next. */
static void issue_all(Work *work, const Plan *plan, Issuance *issuances)
{
        size_t position = 0;
        Batch last, next;

        collect(work, plan, &position, &last, issuances);
        batch_stage(work, &last, issuances);
        batch_ask_leaves(work, &last, issuances);
        while (last.n > 0) {
                collect(work, plan, &position, &next, issuances);
                batch_stage(work, &next, issuances);
                batch_take_leaves(work, &last, issuances);
                batch_ask_leaves(work, &next, issuances);
                batch_fill(work, &last, ISSUANCE_ISSUED, issuances);
                last = next;
        }
}

/* Sets that get another trust bundle and keep their leaf. */
static void trust_all(Work *work, const Plan *plan, Issuance *issuances)
{
        size_t i = 0;

        while (i < plan->n_steps && !peers_is_cancelled(&work->peers)) {
                Batch batch = {0};

                for (; i < plan->n_steps && batch.n < WIRE_BATCH_MAX; i++) {
                        if (plan->steps[i].verb != STEP_TRUST)
                                continue;
                        issuances[plan->steps[i].object].keeps_leaf = true;
                        batch_add(&batch, plan->steps[i].object, plan->steps[i].rekey);
                }
                batch_stage(work, &batch, issuances);
                batch_fill(work, &batch, ISSUANCE_STAGED, issuances);
        }
}

static void published(Work *work, size_t index, Issuance *issuance, uint32_t generation,
                      const CertFacts *leaf)
{
        const PolicyCertificate *certificate = &work->input.policy->certificates[index];
        MemoryCertificate *memory = &work->memory->certificates[index];
        char until[CLOCK_TEXT_MAX];

        issuance->state = ISSUANCE_PUBLISHED;
        issuance->generation = generation;
        issuance->leaf = *leaf;
        issuance->failures = memory->attempt.failures;
        attempt_succeeded(&memory->attempt);
        memory->is_requested = memory->is_rekey_requested = false;
        work->did_steps = true;
        work_certificate_written(work, index);
        if (!issuance->is_new && !issuance->is_retry && !issuance->keeps_leaf)
                return;
        if (work->input.record)
                record_published(work->input.record, certificate->name, leaf, generation,
                                 clock_realtime(), NULL);
        work_tell(work,
                  &(WorkEvent){.level = LOG_INFO,
                               .message_id = EVENT_PUBLISHED,
                               .certificate = certificate->name,
                               .serial = leaf->serial},
                  "%s: published generation %u%s, serial %s, valid until %s", certificate->name,
                  generation,
                  issuance->is_retry     ? " once more"
                  : issuance->keeps_leaf ? " with another trust bundle"
                                         : "",
                  leaf->serial, clock_format(leaf->not_after_usec, until));
}

/* One set's outcome out of the worker's answer. */
static int take_published(Work *work, Message *message, uid_t uid, Issuance *issuances,
                          Error *reterr)
{
        const Policy *policy = work->input.policy;
        const PolicyCertificate *certificate =
                policy_find_certificate(policy, wire_get_text(message, POLICY_NAME_MAX));
        size_t index = certificate ? (size_t)(certificate - policy->certificates) : 0;
        uint32_t code = wire_get_u32(message), generation;
        const char *sentence = wire_get_text(message, ERROR_TEXT_MAX);
        CertFacts leaf;
        Error error;

        generation = wire_get_u32(message);
        authority_get_facts(message, &leaf);
        if (message->bad || !certificate || certificate->owner_uid != uid ||
            !issuances[index].to_publish || issuances[index].state == ISSUANCE_FAILED)
                return error_set(reterr, EBADMSG, "a worker answered what it was not asked");
        if (code == 0) {
                published(work, index, &issuances[index], generation, &leaf);
                return 0;
        }
        error_set(&error, EIO, "%s", sentence);
        batch_set_failed(work, issuances, index, &error);
        return 0;
}

/* Receives the stream of outcomes. */
static int take_outcomes(Work *work, Peer *peer, uid_t uid, Issuance *issuances, Error *reterr)
{
        for (size_t i = 0; i <= work->input.policy->n_certificates; i++) {
                int r = peer_receive(peer, WIRE_PUBLISH, PUBLISH_TIMEOUT_USEC, reterr);
                bool last = false;

                while (r >= 0 && !last && wire_more(peer->message)) {
                        last = wire_get_u8(peer->message) == 0;
                        if (!last)
                                r = take_published(work, peer->message, uid, issuances, reterr);
                }
                if (r >= 0)
                        r = wire_end(peer->message, reterr);
                if (r < 0 || last)
                        return r;
        }
        return error_set(reterr, EBADMSG, "a worker answered without an end");
}

static bool waits(const Issuance *issuance)
{
        return issuance->to_publish && issuance->state != ISSUANCE_PUBLISHED &&
               issuance->state != ISSUANCE_FAILED;
}

/* Publishes the sets of an owner from the first on, as many as one message names. */
static void publish_owner(Work *work, size_t first, Issuance *issuances)
{
        const Policy *policy = work->input.policy;
        uid_t uid = policy->certificates[first].owner_uid;
        Error error = {0};
        size_t end = first, n = 0;
        Peer *peer;
        int r = work_worker(work, first, &peer, &error);

        if (r >= 0) {
                wire_request(peer->message, WIRE_PUBLISH, policy->tag);
                for (; end < policy->n_certificates && n < WIRE_PUBLISH_MAX; end++) {
                        if (!waits(&issuances[end]) || policy->certificates[end].owner_uid != uid)
                                continue;
                        wire_put_text(peer->message, policy->certificates[end].name);
                        wire_put_u8(peer->message, issuances[end].is_retry);
                        n++;
                }
                r = peer_send(peer, PUBLISH_TIMEOUT_USEC, &error);
        }
        if (r >= 0)
                r = take_outcomes(work, peer, uid, issuances, &error);
        if (r >= 0)
                error_set(&error, EIO, "the worker gave no answer");
        if (end == first)
                end = policy->n_certificates;
        for (size_t i = first; i < end; i++)
                if (waits(&issuances[i]) && policy->certificates[i].owner_uid == uid)
                        batch_set_failed(work, issuances, i, &error);
}

int issuance_run(Work *work, const Plan *plan, Issuance *issuances, Error *reterr)
{
        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];

                if (step->verb == STEP_PUBLISH || step->verb == STEP_RETRY)
                        issuances[step->object].to_publish = true;
                if (step->verb == STEP_RETRY)
                        issuances[step->object].is_retry = true;
        }
        issue_all(work, plan, issuances);
        trust_all(work, plan, issuances);
        for (size_t i = 0; i < work->input.policy->n_certificates; i++) {
                /* What was to be issued and was not is not published. */
                if ((issuances[i].is_new || issuances[i].keeps_leaf) &&
                    issuances[i].state != ISSUANCE_FILLED)
                        issuances[i].to_publish = false;
                if (waits(&issuances[i]))
                        publish_owner(work, i, issuances);
        }
        if (peers_is_cancelled(&work->peers))
                return error_set(reterr, ECANCELED, "pgcertd is ending");
        return 0;
}
