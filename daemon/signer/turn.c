/*
 * Why the signer looks at times itself: a bundle that does not hold a CA when it begins to sign
 * cuts its reader off, and so does one that loses a CA whose leaves are still served. pgcertd has
 * the evidence for both, but it is the program that reads what everybody writes, so the one that
 * may be taken over; the signer takes its word for an announcement, and the rest from its own
 * clock.
 *
 * Each turn is one mark, written after its line in the ledger. What follows from it (a key that is
 * wiped) is left to the next look, which does the same after a crash: so there is one way to do it,
 * and it is the one that is always taken.
 */
#include "daemon/signer/turn.h"

#include "common/clock.h"
#include "daemon/signer/making.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* In one answer, with room for one more of the largest key and for the foreign anchors. */
enum { TURN_BYTES_MAX = WIRE_MESSAGE_MAX / 2 };

/* Ledger first: it may tell of what was never done, never the other way round. */
static int step(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                const ObservedGeneration *generation, LedgerEvent event, Cafile mark,
                int64_t stamp_usec, int64_t now_usec, Error *reterr)
{
        const LedgerEntry entry = {.event = event,
                                   .authority = authority->name,
                                   .generation = generation->number,
                                   .facts = &generation->facts};
        int r = ledger_add(ca->ledger, &entry, 1, now_usec, reterr);

        if (r >= 0)
                r = cafile_write_mark(view->fd, generation->number, mark, stamp_usec, reterr);
        return r < 0 ? error_prefix(reterr, "the CA of authority %s", authority->name) : 1;
}

/* Looks, and finds the generation; *ret is NULL where it is retired, so there is nothing to do. */
static int find(const Ca *ca, const PolicyAuthority *authority, uint32_t number, int64_t now_usec,
                CaView *ret_view, const ObservedGeneration **ret, Error *reterr)
{
        const CafileSet *files;
        int r = ca_look(ca, authority->name, now_usec, ret_view, reterr);

        if (r < 0)
                return r;
        *ret = authority_find_number(&ret_view->observed, number);
        files = caview_files(ret_view, number);
        if (!*ret && !(files && cafile_has(files, CAFILE_RETIRED)))
                return error_set(reterr, ENOENT, "authority %s has no generation %" PRIu32,
                                 authority->name, number);
        return 0;
}

static int wrong_phase(const PolicyAuthority *authority, uint32_t number, const char *what,
                       Error *reterr)
{
        return error_set(reterr, EINVAL, "generation %" PRIu32 " of authority %s %s", number,
                         authority->name, what);
}

/* Generations that are never retired must not grow until an answer cannot hold them. */
static int check_room(const CaView *view, const PolicyAuthority *authority, Error *reterr)
{
        const ObservedAuthority *observed = &view->observed;
        size_t size = 0;

        for (size_t i = 0; i < observed->n_generations; i++)
                size += observed->generations[i].der_size + observed->generations[i].cross_size;
        if (observed->n_generations < OBSERVED_GENERATIONS_MAX && size < TURN_BYTES_MAX)
                return 0;
        return error_set(reterr, E2BIG,
                         "authority %s has %zu generations already HINT: The former ones are "
                         "retired once their last leaves have ended.",
                         authority->name, observed->n_generations);
}

static bool is_expired(const ObservedGeneration *generation, int64_t now_usec)
{
        return now_usec >= generation->facts.not_after_usec;
}

int turn_prepare(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                 int64_t now_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        const ObservedGeneration *current;
        int r = ca_look(ca, authority->name, now_usec, &view, reterr);

        if (r < 0 || authority_find(&view.observed, AUTHORITY_NEXT))
                return r;
        current = authority_current(&view.observed);
        if (!current)
                return error_set(reterr, ENOENT, "authority %s has no CA yet", authority->name);
        r = check_room(&view, authority, reterr);
        /* An expired CA leads no reader anywhere: then the key is not even needed. */
        if (r >= 0 && !is_expired(current, now_usec)) {
                r = ca_load(&view, current->number, &issuer, reterr);
                if (r < 0)
                        return error_prefix(reterr, "the CA of authority %s", authority->name);
        }
        if (r >= 0)
                r = making_next(ca, &view, authority, issuer, false, now_usec,
                                policy->backdate_usec, reterr);
        return r < 0 ? r : 1;
}

int turn_announce(const Ca *ca, const PolicyAuthority *authority, uint32_t number, int64_t now_usec,
                  Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        const ObservedGeneration *generation;
        int64_t stamp = now_usec;
        int r = find(ca, authority, number, now_usec, &view, &generation, reterr);

        if (r < 0)
                return r;
        if (!generation || generation->phase == AUTHORITY_RETIRING)
                return wrong_phase(authority, number, "is not the next one", reterr);
        if (generation->phase == AUTHORITY_CURRENT || generation->announced_usec != 0)
                return 0;
        /* It was not in any bundle before it was made: the clock went back, and may come again. */
        if (stamp < generation->prepared_usec)
                stamp = generation->prepared_usec;
        return step(ca, &view, authority, generation, LEDGER_ANNOUNCED, CAFILE_ANNOUNCED, stamp,
                    now_usec, reterr);
}

/* The largest renew_before of the leaves of an authority. */
static int64_t largest_renew_before(const Policy *policy, const PolicyAuthority *authority)
{
        int64_t largest = 0;

        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &policy->certificates[i];

                if (certificate->authority == authority && certificate->renew_before_usec > largest)
                        largest = certificate->renew_before_usec;
        }
        return largest;
}

int64_t turn_activation_at(const Policy *policy, const PolicyAuthority *authority,
                           const ObservedGeneration *current, const ObservedGeneration *next,
                           int64_t now_usec)
{
        int64_t end, at, latest, distributed;

        if (!current || current->is_stolen || is_expired(current, now_usec))
                return INT64_MIN;
        end = current->facts.not_after_usec;
        /* The last call: a reader that gets its bundle now has it for `distribute` before T.
         * Signing later would help nobody, for from T on the old one signs nothing that verifies.
         */
        at = usec_add(end, -(authority->distribute_usec + policy->backdate_usec));
        /* The latest moment: from here on leaves come due that the old CA can only clamp. */
        latest = usec_add(end, -largest_renew_before(policy, authority));
        distributed = usec_add(next->prepared_usec, authority->distribute_usec);
        if (latest < distributed)
                latest = distributed;
        if (latest < at)
                at = latest;
        distributed = usec_add(next->announced_usec, authority->distribute_usec);
        if (next->announced_usec != 0 && distributed < at)
                at = distributed;
        return at;
}

static int check_activation(const Policy *policy, const PolicyAuthority *authority,
                            const CaView *view, const ObservedGeneration *next, int64_t now_usec,
                            Error *reterr)
{
        int64_t at = turn_activation_at(policy, authority, authority_current(&view->observed), next,
                                        now_usec);
        char a[CLOCK_TEXT_MAX], b[CLOCK_TEXT_MAX], c[CLOCK_TEXT_MAX];

        if (now_usec >= at)
                return 0;
        clock_format(next->announced_usec, c);
        return error_set(reterr, EAGAIN,
                         "generation %" PRIu32 " of authority %s may not sign before %s, now it is "
                         "%s: %s%s",
                         next->number, authority->name, clock_format(at, a),
                         clock_format(now_usec, b),
                         next->announced_usec ? "readers have time to get it since "
                                              : "it is not in every bundle yet",
                         next->announced_usec ? c : "");
}

int turn_activate(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                  uint32_t number, int64_t now_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        const ObservedGeneration *generation;
        int r = find(ca, authority, number, now_usec, &view, &generation, reterr);

        if (r < 0)
                return r;
        if (!generation || generation->phase == AUTHORITY_RETIRING)
                return wrong_phase(authority, number, "is not the next one", reterr);
        if (generation->phase == AUTHORITY_CURRENT)
                return 0;
        r = check_activation(policy, authority, &view, generation, now_usec, reterr);
        if (r < 0)
                return r;
        /* What cannot sign must not take the place of what can. */
        r = ca_load(&view, number, &issuer, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority->name);
        return step(ca, &view, authority, generation, LEDGER_ACTIVATED, CAFILE_ACTIVE, now_usec,
                    now_usec, reterr);
}

int64_t turn_retirement_at(const Policy *policy, const PolicyAuthority *authority,
                           const ObservedGeneration *generation)
{
        int64_t end = generation->facts.not_after_usec;

        if (generation->is_stolen || (generation->is_imported && !authority->adopt_certificate))
                return INT64_MIN;
        if (!generation->is_incomplete && generation->last_leaf_usec < end)
                end = generation->last_leaf_usec;
        end = end == INT64_MIN ? INT64_MIN : usec_add(end, policy->backdate_usec);
        /* Where two rollovers came soon after each other, it still leads the readers of the one
         * before to the one that signs. */
        if (generation->cross && generation->cross_facts.not_after_usec > end)
                end = generation->cross_facts.not_after_usec;
        return end;
}

static int check_retirement(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                            const ObservedGeneration *generation, int64_t now_usec, Error *reterr)
{
        ObservedGeneration filled = *generation;
        LedgerSummary known;
        char a[CLOCK_TEXT_MAX], b[CLOCK_TEXT_MAX];
        int64_t at;
        int r = ledger_summarize(ca->ledger, authority->name, generation->number, &known, reterr);

        if (r < 0)
                return r;
        filled.last_leaf_usec = known.last_not_after_usec;
        at = turn_retirement_at(policy, authority, &filled);
        if (now_usec >= at)
                return 0;
        return error_set(reterr, EAGAIN,
                         "generation %" PRIu32 " of authority %s may not be retired before %s, now "
                         "it is %s: %s",
                         generation->number, authority->name, clock_format(at, a),
                         clock_format(now_usec, b),
                         generation->is_incomplete ? "it signed what the ledger does not know"
                         : known.last_not_after_usec >= now_usec
                                 ? "a leaf of it has not ended"
                                 : "its leaves or its cross-certificate are of use until then");
}

int turn_retire(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                uint32_t number, int64_t now_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1}, after = {.fd = -1};
        const ObservedGeneration *generation;
        int r = find(ca, authority, number, now_usec, &view, &generation, reterr);

        if (r < 0 || !generation)
                return r;
        if (generation->phase != AUTHORITY_RETIRING)
                return wrong_phase(authority, number,
                                   generation->phase == AUTHORITY_NEXT ? "has never signed"
                                                                       : "is the one that signs",
                                   reterr);
        r = check_retirement(ca, policy, authority, generation, now_usec, reterr);
        if (r >= 0)
                r = step(ca, &view, authority, generation, LEDGER_RETIRED, CAFILE_RETIRED, now_usec,
                         now_usec, reterr);
        if (r < 0)
                return r;
        /* The look wipes the key: the retirement is on disk now. */
        r = ca_look(ca, authority->name, now_usec, &after, reterr);
        return r < 0 ? r : 1;
}

/* A next one whose key lay beside the stolen one. */
static int discard_next(const Ca *ca, const PolicyAuthority *authority, CaView *view,
                        int64_t now_usec, Error *reterr)
{
        const ObservedGeneration *next = authority_find(&view->observed, AUTHORITY_NEXT);
        int r;

        if (!next)
                return 0;
        r = step(ca, view, authority, next, LEDGER_DISCARDED, CAFILE_RETIRED, now_usec, now_usec,
                 reterr);
        caview_done(view);
        return r < 0 ? r : ca_look(ca, authority->name, now_usec, view, reterr);
}

/* Where the stolen CA cannot certify the fresh one, waiting does not make it better. */
static int replace(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                   const CaView *view, const ObservedGeneration *stolen, int64_t now_usec,
                   Error *reterr)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        Error error = {0};

        if (now_usec >= stolen->facts.not_before_usec && !is_expired(stolen, now_usec) &&
            ca_load(view, stolen->number, &issuer, &error) < 0)
                ca_note(ca, "no cross-certificate is made: %s", error.text);
        return making_next(ca, view, authority, issuer, true, now_usec, policy->backdate_usec,
                           reterr);
}

int turn_emergency(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                   uint32_t number, int64_t now_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        const ObservedGeneration *generation;
        int r = find(ca, authority, number, now_usec, &view, &generation, reterr);

        if (r < 0 || !generation)
                return r;
        if (generation->phase == AUTHORITY_NEXT)
                return wrong_phase(authority, number, "has never signed", reterr);
        if (generation->phase == AUTHORITY_RETIRING && generation->is_stolen)
                return 0;
        /* Looked at before anything is marked: a half of an emergency is worse than none. */
        if (generation->phase == AUTHORITY_CURRENT)
                r = check_room(&view, authority, reterr);
        if (r >= 0 && !generation->is_stolen)
                r = step(ca, &view, authority, generation, LEDGER_STOLEN, CAFILE_STOLEN, now_usec,
                         now_usec, reterr);
        if (r < 0 || generation->phase == AUTHORITY_RETIRING)
                return r;
        r = discard_next(ca, authority, &view, now_usec, reterr);
        if (r >= 0)
                r = replace(ca, policy, authority, &view, authority_current(&view.observed),
                            now_usec, reterr);
        return r < 0 ? r : 1;
}
