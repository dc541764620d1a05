#include "daemon/signer/statement.h"

#include "common/clock.h"
#include "daemon/signer/trust.h"

#include <inttypes.h>
#include <openssl/x509.h>
#include <string.h>

/* A share of the room for what is retired, so that old generations do not crowd out `trust:`. */
enum { STATEMENT_GENERATIONS_MAX = OBSERVED_RETIRED_MAX - OBSERVED_TRUST_MAX };

/* The newest first. A certificate that is gone from the record is not told. */
static void tell_retired(const CaView *view, ObservedAuthority *observed)
{
        for (size_t i = view->files.n; i-- > 0;) {
                const CafileSet *set = &view->files.items[i];
                _cleanup_(cert_freep) Cert *certificate = NULL;
                CertFacts facts;

                if (!cafile_has(set, CAFILE_RETIRED) ||
                    observed->n_retired == STATEMENT_GENERATIONS_MAX)
                        continue;
                if (cafile_read_certificate(view->fd, set->number, CAFILE_CERTIFICATE, &certificate,
                                            NULL) >= 0 &&
                    cert_facts(certificate, &facts, NULL) >= 0)
                        memcpy(observed->retired[observed->n_retired++], facts.key_id, CERT_KEY_ID);
        }
}

/* 1 + KeyType; 0 for a foreign CA's key of no type of ours. Only told: signing does not need it. */
static int find_key_type(ObservedGeneration *generation, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        const Key *key;
        int r = cert_parse(generation->der, generation->der_size, &certificate, reterr);

        if (r < 0)
                return r;
        key = X509_get0_pubkey(certificate);
        for (unsigned type = 0; key && type < KEY_TYPE_COUNT; type++)
                if (key_is_type(key, type))
                        generation->key_type = (uint8_t)(1 + type);
        return 0;
}

static int fill(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                ObservedAuthority *observed, Error *reterr)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        int r = 0;

        for (size_t i = 0; i < observed->n_generations && r >= 0; i++) {
                ObservedGeneration *generation = &observed->generations[i];
                LedgerSummary known;

                r = find_key_type(generation, reterr);
                if (r >= 0 && generation->phase == AUTHORITY_CURRENT)
                        r = ca_load(view, generation->number, &issuer, reterr);
                if (r < 0 || generation->phase != AUTHORITY_RETIRING)
                        continue;
                r = ledger_summarize(ca->ledger, authority->name, generation->number, &known,
                                     reterr);
                if (r >= 0)
                        generation->last_leaf_usec = known.last_not_after_usec;
        }
        return r < 0 ? error_prefix(reterr, "the CA of authority %s", authority->name) : 0;
}

int statement_make(const Ca *ca, const PolicyAuthority *authority, int64_t now_usec,
                   ObservedAuthority *ret, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1, .observed.known = true};
        ObservedAuthority *observed = &view.observed;
        int r = ca ? ca_look(ca, authority->name, now_usec, &view, reterr) : 0;

        if (r < 0)
                return r;
        observed->retired = calloc(OBSERVED_RETIRED_MAX, sizeof *observed->retired);
        if (!observed->retired)
                return error_oom(reterr);
        if (ca)
                r = fill(ca, &view, authority, observed, reterr);
        if (r >= 0)
                tell_retired(&view, observed);
        if (r >= 0)
                r = trust_tell(view.fd, authority, now_usec, observed, ca ? ca->notes : NULL,
                               reterr);
        if (r < 0)
                return r;
        /* Moved: the view then frees what is its own. */
        *ret = *observed;
        *observed = (ObservedAuthority){0};
        return 0;
}

static int64_t latest_end(const StatementEnd *ends, size_t n, const uint8_t key_id[CERT_KEY_ID])
{
        int64_t latest = INT64_MIN;

        for (size_t i = 0; i < n; i++)
                if (memcmp(ends[i].key_id, key_id, CERT_KEY_ID) == 0 &&
                    ends[i].not_after_usec > latest)
                        latest = ends[i].not_after_usec;
        return latest;
}

/* Every pass tells of the same leaves, and the ledger grows for ever: so how far it was found to
 * know is kept in a mark, and it is read again only for what ends later. */
static int is_known(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                    uint32_t number, int64_t end_usec, Error *reterr)
{
        LedgerSummary known;
        int64_t heard;
        int r = 0;

        if (cafile_has(caview_files(view, number), CAFILE_HEARD))
                r = cafile_read_mark(view->fd, number, CAFILE_HEARD, &heard, reterr);
        else
                heard = INT64_MIN;
        if (r < 0 || end_usec <= heard)
                return r < 0 ? r : 1;
        r = ledger_summarize(ca->ledger, authority->name, number, &known, reterr);
        if (r < 0 || end_usec > known.last_not_after_usec)
                return r;
        r = cafile_write_mark(view->fd, number, CAFILE_HEARD, known.last_not_after_usec, reterr);
        return r < 0 ? r : 1;
}

static int mark_incomplete(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                           const ObservedGeneration *generation, int64_t end_usec, int64_t now_usec,
                           Error *reterr)
{
        const LedgerEntry entry = {.event = LEDGER_INCOMPLETE,
                                   .authority = authority->name,
                                   .generation = generation->number,
                                   .facts = &generation->facts};
        char at[CLOCK_TEXT_MAX];
        int r = ledger_add(ca->ledger, &entry, 1, now_usec, reterr);

        if (r >= 0)
                r = cafile_write_mark(view->fd, generation->number, CAFILE_INCOMPLETE, now_usec,
                                      reterr);
        if (r < 0)
                return r;
        ca_note(ca,
                "authority %s: a leaf of generation %" PRIu32 " that ends at %s is not in the "
                "ledger: that generation stays trusted until its own end",
                authority->name, generation->number, clock_format(end_usec, at));
        return 1;
}

int statement_hear(const Ca *ca, const PolicyAuthority *authority, const StatementEnd *ends,
                   size_t n, int64_t now_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        int r = n > 0 ? ca_look(ca, authority->name, now_usec, &view, reterr) : 0, changed = 0;

        for (size_t i = 0; i < view.observed.n_generations && r >= 0; i++) {
                const ObservedGeneration *generation = &view.observed.generations[i];
                int64_t end = latest_end(ends, n, generation->facts.key_id);

                if (end == INT64_MIN || generation->is_incomplete)
                        continue;
                r = is_known(ca, &view, authority, generation->number, end, reterr);
                if (r != 0)
                        continue;
                r = mark_incomplete(ca, &view, authority, generation, end, now_usec, reterr);
                changed |= r > 0;
        }
        return r < 0 ? r : changed;
}
