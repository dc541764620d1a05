#include "daemon/signer/issue.h"

#include "common/csr.h"

#include <errno.h>

/* Upper bounds of what an item takes in the reply: without a leaf, and beside one. */
enum {
        ISSUE_FIELDS_MAX = POLICY_NAME_MAX + 256,
        ISSUE_REFUSAL_MAX = ISSUE_FIELDS_MAX + ERROR_TEXT_MAX,
};

int issue_read(Message *request, IssueBatch **ret, Error *reterr)
{
        _cleanup_(issue_freep) IssueBatch *batch = calloc(1, sizeof *batch);
        int r;

        if (!batch)
                return error_oom(reterr);
        while (wire_more(request)) {
                IssueItem *item = &batch->items[batch->n];

                if (batch->n == WIRE_BATCH_MAX)
                        return error_set(reterr, E2BIG, "more than %d certificates are asked for",
                                         WIRE_BATCH_MAX);
                item->name = wire_get_text(request, POLICY_NAME_MAX);
                item->csr = wire_get_bytes(request, CSR_MAX, &item->csr_size);
                batch->n++;
        }
        r = wire_end(request, reterr);
        if (r < 0)
                return r;
        if (batch->n == 0)
                return error_set(reterr, EINVAL, "no certificate is asked for");
        *ret = TAKE_PTR(batch);
        return 0;
}

IssueBatch *issue_free(IssueBatch *batch)
{
        if (!batch)
                return NULL;
        for (size_t i = 0; i < batch->n; i++)
                minted_done(&batch->items[i].minted);
        for (size_t i = 0; i < batch->n_cas; i++)
                mint_issuer_free(batch->cas[i].issuer);
        free(batch);
        return NULL;
}

/* There are never more authorities than items, so the array has room. */
static IssueCa *find_ca(IssueBatch *batch, const Ca *ca, const PolicyAuthority *authority,
                        int64_t now_usec)
{
        IssueCa *entry;

        for (size_t i = 0; i < batch->n_cas; i++)
                if (batch->cas[i].authority == authority)
                        return &batch->cas[i];
        entry = &batch->cas[batch->n_cas++];
        entry->authority = authority;
        ca_issuer(ca, authority->name, now_usec, &entry->issuer, &entry->generation, &entry->error);
        return entry;
}

/* What the policy grants is looked at before the request's own bytes are: who asks for nothing that
 * exists makes us compute nothing. The error is the item's. */
static int make_item(IssueBatch *batch, IssueItem *item, const Ca *ca, const Policy *policy,
                     int64_t now_usec)
{
        _cleanup_(key_freep) Key *public_key = NULL;
        const IssueCa *issuer;
        int r;

        item->certificate = policy_find_certificate(policy, item->name);
        if (!item->certificate)
                return error_set(&item->error, ENOENT, "the policy has no certificate %s",
                                 item->name);
        r = csr_parse(item->csr, item->csr_size, item->certificate->key, &public_key, &item->error);
        if (r < 0)
                return r;
        issuer = find_ca(batch, ca, item->certificate->authority, now_usec);
        if (!issuer->issuer) {
                item->error = issuer->error;
                return -item->error.code;
        }
        item->generation = issuer->generation;
        return mint_leaf(ca->mint, issuer->issuer, item->certificate, public_key, now_usec,
                         policy->backdate_usec, &item->minted, &item->error);
}

/* Whether the leaf fits into the reply while every later item could still be refused in words. */
static void check_room(IssueItem *item, size_t n_later, size_t *room)
{
        size_t needed = ISSUE_FIELDS_MAX + item->minted.size;

        if (item->error.code == 0 && needed + n_later * ISSUE_REFUSAL_MAX > *room) {
                error_set(&item->error, EMSGSIZE,
                          "its certificate of %zu bytes does not fit into this answer",
                          item->minted.size);
                minted_done(&item->minted);
        }
        *room -= item->error.code == 0 ? needed : ISSUE_REFUSAL_MAX;
}

/* One entry for each certificate, so that one sync is enough for all. */
_Static_assert((int)LEDGER_BATCH_MAX >= (int)WIRE_BATCH_MAX, "a batch fits into the ledger");

static int enter(const IssueBatch *batch, Ledger *ledger, int64_t now_usec, Error *reterr)
{
        LedgerEntry entries[WIRE_BATCH_MAX];
        size_t n = 0;

        for (size_t i = 0; i < batch->n; i++) {
                const IssueItem *item = &batch->items[i];

                if (item->error.code == 0)
                        entries[n++] =
                                (LedgerEntry){.event = LEDGER_ISSUED,
                                              .authority = item->certificate->authority->name,
                                              .generation = item->generation,
                                              .certificate = item->certificate->name,
                                              .use = item->certificate->use,
                                              .facts = &item->minted.facts};
        }
        return n > 0 ? ledger_add(ledger, entries, n, now_usec, reterr) : 0;
}

int issue_make(IssueBatch *batch, const Ca *ca, const Policy *policy, int64_t now_usec,
               Error *reterr)
{
        size_t room = WIRE_MESSAGE_MAX - 16; /* the reply's header */

        /* Room is counted before the ledger is written: what is entered is also answered. */
        for (size_t i = 0; i < batch->n; i++) {
                make_item(batch, &batch->items[i], ca, policy, now_usec);
                check_room(&batch->items[i], batch->n - i - 1, &room);
        }
        return enter(batch, ca->ledger, now_usec, reterr);
}

void issue_put(const IssueBatch *batch, Message *reply)
{
        for (size_t i = 0; i < batch->n; i++) {
                const IssueItem *item = &batch->items[i];

                wire_put_text(reply, item->name);
                wire_put_u32(reply, (uint32_t)item->error.code);
                wire_put_text(reply, item->error.text);
                wire_put_bytes(reply, item->minted.der, item->minted.size);
                authority_put_facts(reply, &item->minted.facts);
        }
}
