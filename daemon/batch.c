#include "daemon/batch.h"

#include "common/clock.h"
#include "daemon/bundle.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* An RSA key of 4096 bits may take seconds; a lock is waited for 5 s. */
#define STAGE_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define ISSUE_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define FILL_TIMEOUT_USEC (30 * USEC_PER_SEC)
enum { CSR_MAX = 16 * 1024, DER_MAX = 16 * 1024 };

void batch_set_failed(Work *work, Issuance *issuances, size_t set, const Error *error)
{
        issuances[set].state = ISSUANCE_FAILED;
        work_certificate_failed(work, set, error->text);
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

void batch_add(Batch *batch, size_t set, bool rekey)
{
        assert(batch->n < WIRE_BATCH_MAX);
        batch->items[batch->n++] = (BatchItem){.set = set, .rekey = rekey};
}

static int ask_stage(Work *work, BatchItem *item, Error *reterr)
{
        const Policy *policy = work->input.policy;
        Peer *peer;
        int r = work_worker(work, item->set, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_STAGE, policy->tag);
        wire_put_text(peer->message, policy->certificates[item->set].name);
        wire_put_u8(peer->message, item->rekey);
        r = peer_ask(peer, STAGE_TIMEOUT_USEC, reterr);
        if (r >= 0)
                item->asked = peer;
        return r;
}

static int take_stage(BatchItem *item, Issuance *issuance, Error *reterr)
{
        Peer *peer = TAKE_PTR(item->asked);
        int r = peer_answer(peer, WIRE_STAGE, STAGE_TIMEOUT_USEC, reterr);

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

void batch_stage(Work *work, Batch *batch, Issuance *issuances)
{
        for (size_t i = 0; i < batch->n; i++) {
                BatchItem *item = &batch->items[i];
                Error error;

                if (ask_stage(work, item, &error) < 0)
                        batch_set_failed(work, issuances, item->set, &error);
        }
        for (size_t i = 0; i < batch->n; i++) {
                BatchItem *item = &batch->items[i];
                Error error;

                if (item->asked && take_stage(item, &issuances[item->set], &error) < 0)
                        batch_set_failed(work, issuances, item->set, &error);
        }
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
                batch_set_failed(work, issuances, index, &error);
                return 0;
        }
        free(issuances[index].der);
        issuances[index].der = TAKE_PTR(der);
        issuances[index].der_size = der_size;
        issuances[index].leaf = facts;
        issuances[index].state = ISSUANCE_ISSUED;
        return memory_issued(&work->memory->certificates[index], &facts) ? 0 : error_oom(reterr);
}

/* Those without an answer fail. */
static void unanswered(Work *work, const Batch *batch, Issuance *issuances, const Error *error)
{
        for (size_t i = 0; i < batch->n; i++)
                if (issuances[batch->items[i].set].state == ISSUANCE_STAGED)
                        batch_set_failed(work, issuances, batch->items[i].set, error);
}

void batch_ask_leaves(Work *work, Batch *batch, Issuance *issuances)
{
        const Policy *policy = work->input.policy;
        size_t n = 0;
        Error error;
        Peer *peer;

        for (size_t i = 0; i < batch->n; i++)
                n += issuances[batch->items[i].set].state == ISSUANCE_STAGED;
        if (n == 0)
                return;
        if (peers_signer(&work->peers, &peer, &error) < 0) {
                unanswered(work, batch, issuances, &error);
                return;
        }
        wire_request(peer->message, WIRE_ISSUE, policy->tag);
        for (size_t i = 0; i < batch->n; i++) {
                size_t set = batch->items[i].set;

                if (issuances[set].state != ISSUANCE_STAGED)
                        continue;
                wire_put_text(peer->message, policy->certificates[set].name);
                wire_put_bytes(peer->message, issuances[set].csr, issuances[set].csr_size);
        }
        if (peer_ask(peer, ISSUE_TIMEOUT_USEC, &error) < 0)
                unanswered(work, batch, issuances, &error);
        else
                batch->signer = peer;
}

void batch_take_leaves(Work *work, Batch *batch, Issuance *issuances)
{
        Peer *peer = TAKE_PTR(batch->signer);
        Error error;
        int r;

        if (!peer)
                return;
        r = peer_answer(peer, WIRE_ISSUE, ISSUE_TIMEOUT_USEC, &error);
        while (r >= 0 && wire_more(peer->message))
                r = take_leaf(work, peer->message, issuances, &error);
        if (r >= 0)
                r = wire_end(peer->message, &error);
        if (r >= 0)
                error_set(&error, EIO, "the signer gave no answer");
        unanswered(work, batch, issuances, &error);
}

static void put_certificates(Message *message, const Bundle *bundle)
{
        wire_put_u8(message, (uint8_t)bundle->n); /* at most BUNDLE_PARTS_MAX */
        for (size_t i = 0; i < bundle->n; i++)
                wire_put_bytes(message, bundle->items[i].der, bundle->items[i].size);
}

/* Without a leaf of this pass the published one stays, and what follows it. */
static int ask_fill(Work *work, BatchItem *item, const Issuance *issuance, Error *reterr)
{
        const Policy *policy = work->input.policy;
        _cleanup_(bundle_done) Bundle chain = {0}, anchors = {0};
        Peer *peer;
        int r = bundle_anchors(policy, work->observation, item->set, &anchors, reterr);

        if (r >= 0 && issuance->der)
                r = bundle_chain(policy, work->observation, item->set, issuance->leaf.issuer_key_id,
                                 clock_realtime(), &chain, reterr);
        if (r >= 0)
                r = work_worker(work, item->set, &peer, reterr);
        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_FILL, policy->tag);
        wire_put_text(peer->message, policy->certificates[item->set].name);
        wire_put_u32(peer->message, issuance->generation);
        wire_put_bytes(peer->message, issuance->der, issuance->der ? issuance->der_size : 0);
        put_certificates(peer->message, &chain);
        put_certificates(peer->message, &anchors);
        r = peer_ask(peer, FILL_TIMEOUT_USEC, reterr);
        if (r >= 0)
                item->asked = peer;
        return r;
}

void batch_fill(Work *work, Batch *batch, IssuanceState from, Issuance *issuances)
{
        for (size_t i = 0; i < batch->n; i++) {
                BatchItem *item = &batch->items[i];
                Issuance *issuance = &issuances[item->set];
                Error error;

                if (issuance->state == from && ask_fill(work, item, issuance, &error) < 0)
                        batch_set_failed(work, issuances, item->set, &error);
                free(TAKE_PTR(issuance->csr));
                free(TAKE_PTR(issuance->der));
        }
        for (size_t i = 0; i < batch->n; i++) {
                BatchItem *item = &batch->items[i];
                Error error;

                if (!item->asked)
                        continue;
                if (peer_answer(TAKE_PTR(item->asked), WIRE_FILL, FILL_TIMEOUT_USEC, &error) < 0)
                        batch_set_failed(work, issuances, item->set, &error);
                else
                        issuances[item->set].state = ISSUANCE_FILLED;
        }
}
