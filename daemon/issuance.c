#include "daemon/issuance.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/bundle.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

/* An RSA key of 4096 bits may take seconds; a lock is waited for 5 s. */
#define STAGE_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define ISSUE_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define FILL_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define PUBLISH_TIMEOUT_USEC (300 * USEC_PER_SEC)
enum { CSR_MAX = 16 * 1024, DER_MAX = 16 * 1024 };

void issuance_done(Issuance *issuance)
{
        free(issuance->csr);
        free(issuance->der);
        *issuance = (Issuance){0};
}

static void failed(Work *work, Issuance *issuances, size_t index, const Error *error)
{
        issuances[index].state = ISSUANCE_FAILED;
        work_certificate_failed(work, index, error->text);
}

/* Copies bytes out of a message. */
static int take_bytes(Message *message, size_t max, uint8_t **ret, size_t *ret_size, Error *reterr)
{
        const uint8_t *bytes = wire_get_bytes(message, max, ret_size);

        *ret = malloc(*ret_size + 1);
        if (!*ret)
                return error_oom(reterr);
        memcpy(*ret, bytes, *ret_size);
        return 0;
}

static int worker_of(Work *work, size_t index, Peer **ret, Error *reterr)
{
        const PolicyCertificate *certificate = &work->input.policy->certificates[index];

        return peers_worker(&work->peers, certificate->owner, certificate->owner_uid, ret, reterr);
}

static int stage(Work *work, const Step *step, Issuance *issuance, Error *reterr)
{
        const Policy *policy = work->input.policy;
        Peer *peer;
        int r = worker_of(work, step->object, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_STAGE, policy->tag);
        wire_put_text(peer->message, policy->certificates[step->object].name);
        wire_put_u8(peer->message, step->rekey);
        r = peer_call(peer, WIRE_STAGE, STAGE_TIMEOUT_USEC, reterr);
        if (r < 0)
                return r;
        issuance->generation = wire_get_u32(peer->message);
        r = take_bytes(peer->message, CSR_MAX, &issuance->csr, &issuance->csr_size, reterr);
        if (r >= 0)
                r = wire_end(peer->message, reterr);
        if (r >= 0)
                issuance->state = ISSUANCE_STAGED;
        return r;
}

/* Takes the leaf of one set out of the signer's answer. */
static int take_leaf(Work *work, Message *message, Issuance *issuances, Error *reterr)
{
        const Policy *policy = work->input.policy;
        const PolicyCertificate *certificate =
                policy_find_certificate(policy, wire_get_text(message, POLICY_NAME_MAX));
        size_t index = certificate ? (size_t)(certificate - policy->certificates) : 0;
        uint32_t code = wire_get_u32(message);
        const char *sentence = wire_get_text(message, ERROR_TEXT_MAX);
        _cleanup_(freep) uint8_t *der = NULL;
        size_t der_size;
        CertFacts facts;
        Error error;
        int r = take_bytes(message, DER_MAX, &der, &der_size, reterr);

        authority_get_facts(message, &facts);
        if (r < 0)
                return r;
        if (message->bad || !certificate || issuances[index].state != ISSUANCE_STAGED)
                return error_set(reterr, EBADMSG, "the signer answered what it was not asked");
        if (code != 0) {
                error_set(&error, EIO, "%s", sentence);
                failed(work, issuances, index, &error);
                return 0;
        }
        free(issuances[index].der);
        issuances[index].der = TAKE_PTR(der);
        issuances[index].der_size = der_size;
        issuances[index].leaf = facts;
        issuances[index].state = ISSUANCE_ISSUED;
        work->memory->certificates[index].has_wanted = true;
        work->memory->certificates[index].wanted = facts;
        return 0;
}

/* Asks the signer for the leaves of the sets in batch; those without an answer fail. */
static void issue_batch(Work *work, const size_t *batch, size_t n, Issuance *issuances)
{
        Error error = {0};
        Peer *peer;
        int r = peers_signer(&work->peers, &peer, &error);

        if (r >= 0) {
                wire_request(peer->message, WIRE_ISSUE, work->input.policy->tag);
                for (size_t i = 0; i < n; i++) {
                        wire_put_text(peer->message,
                                      work->input.policy->certificates[batch[i]].name);
                        wire_put_bytes(peer->message, issuances[batch[i]].csr,
                                       issuances[batch[i]].csr_size);
                }
                r = peer_call(peer, WIRE_ISSUE, ISSUE_TIMEOUT_USEC, &error);
        }
        while (r >= 0 && wire_more(peer->message))
                r = take_leaf(work, peer->message, issuances, &error);
        if (r >= 0)
                r = wire_end(peer->message, &error);
        if (r >= 0)
                error_set(&error, EIO, "the signer gave no answer");
        for (size_t i = 0; i < n; i++)
                if (issuances[batch[i]].state == ISSUANCE_STAGED)
                        failed(work, issuances, batch[i], &error);
}

static void put_certificates(Message *message, const Bundle *bundle)
{
        wire_put_u8(message, (uint8_t)bundle->n); /* at most BUNDLE_PARTS_MAX */
        for (size_t i = 0; i < bundle->n; i++)
                wire_put_bytes(message, bundle->items[i].der, bundle->items[i].size);
}

/* Without a leaf of this pass the published one stays, and what follows it. */
static int fill(Work *work, size_t index, Issuance *issuance, Error *reterr)
{
        const Policy *policy = work->input.policy;
        _cleanup_(bundle_done) Bundle chain = {0}, anchors = {0};
        Peer *peer;
        int r = bundle_anchors(policy, work->observation, index, &anchors, reterr);

        if (r >= 0 && issuance->der)
                r = bundle_chain(policy, work->observation, index, issuance->leaf.issuer_key_id,
                                 clock_realtime(), &chain, reterr);
        if (r >= 0)
                r = worker_of(work, index, &peer, reterr);
        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_FILL, policy->tag);
        wire_put_text(peer->message, policy->certificates[index].name);
        wire_put_u32(peer->message, issuance->generation);
        wire_put_bytes(peer->message, issuance->der, issuance->der ? issuance->der_size : 0);
        put_certificates(peer->message, &chain);
        put_certificates(peer->message, &anchors);
        r = peer_call(peer, WIRE_FILL, FILL_TIMEOUT_USEC, reterr);
        if (r >= 0)
                issuance->state = ISSUANCE_FILLED;
        return r;
}

/* Signs and fills the staged sets of one batch, and frees what they no longer need. */
static void finish_batch(Work *work, const size_t *batch, size_t n, Issuance *issuances)
{
        if (n > 0)
                issue_batch(work, batch, n, issuances);
        for (size_t i = 0; i < n; i++) {
                Issuance *issuance = &issuances[batch[i]];
                Error error;

                if (issuance->state == ISSUANCE_ISSUED &&
                    fill(work, batch[i], issuance, &error) < 0)
                        failed(work, issuances, batch[i], &error);
                free(TAKE_PTR(issuance->csr));
                free(TAKE_PTR(issuance->der));
        }
}

/* Whether the authority of a set can sign: where it cannot, its own failure has been told. */
static bool has_issuer(Work *work, size_t index)
{
        const Policy *policy = work->input.policy;
        size_t authority = (size_t)(policy->certificates[index].authority - policy->authorities);

        return authority_current(&work->observation->authorities[authority]) != NULL;
}

static void issue_all(Work *work, const Plan *plan, Issuance *issuances)
{
        size_t batch[WIRE_BATCH_MAX], n = 0;

        for (size_t i = 0; i < plan->n_steps && !peers_is_cancelled(&work->peers); i++) {
                const Step *step = &plan->steps[i];
                Error error;

                if (step->verb != STEP_ISSUE)
                        continue;
                issuances[step->object].is_new = true;
                if (!has_issuer(work, step->object)) {
                        issuances[step->object].state = ISSUANCE_FAILED;
                        continue;
                }
                if (stage(work, step, &issuances[step->object], &error) < 0) {
                        failed(work, issuances, step->object, &error);
                        continue;
                }
                batch[n++] = step->object;
                if (n == WIRE_BATCH_MAX) {
                        finish_batch(work, batch, n, issuances);
                        n = 0;
                }
        }
        finish_batch(work, batch, n, issuances);
}

/* Sets that get another trust bundle and keep their leaf. */
static void trust_all(Work *work, const Plan *plan, Issuance *issuances)
{
        for (size_t i = 0; i < plan->n_steps && !peers_is_cancelled(&work->peers); i++) {
                const Step *step = &plan->steps[i];
                Issuance *issuance;
                Error error;

                if (step->verb != STEP_TRUST)
                        continue;
                issuance = &issuances[step->object];
                issuance->keeps_leaf = true;
                if (stage(work, step, issuance, &error) < 0 ||
                    fill(work, step->object, issuance, &error) < 0)
                        failed(work, issuances, step->object, &error);
                free(TAKE_PTR(issuance->csr));
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
        failed(work, issuances, index, &error);
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
        int r = worker_of(work, first, &peer, &error);

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
                        failed(work, issuances, i, &error);
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
