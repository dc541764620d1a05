/*
 * The turns of a rollover, by which one generation of a CA follows another: prepare, announce,
 * activate, retire, and emergency where a key was stolen. Each is idempotent, is in the ledger and
 * on disk before it is answered, and is refused before this machine's clock and the ledger allow
 * it, whatever is asked: pgcertd knows which readers have what, the signer knows how long it is at
 * least until they can.
 *
 * Time is given. Stamps never move: where the clock was ahead when one was made, the next step is
 * late by as much, and the last call bounds that. A clock that goes ahead for good makes it early;
 * pgcertd holds its steps while a step of the clock is not believed (`max_clock_step`).
 *
 * All return 1 where something changed, 0 where it was so already, -ENOENT for a generation that
 * is not there, -EINVAL for one in another phase, -EAGAIN before the time: the sentence tells both
 * times.
 */
#pragma once

#include "daemon/signer/ca.h"

/* Makes the next generation as the policy has it now, and its cross-certificate by the current one
 * where that has not expired. 0 where there is one already. -ENOENT without any generation. */
int turn_prepare(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                 int64_t now_usec, Error *reterr);

/* Stamps that every bundle holds it: `distribute` counts from here. */
int turn_announce(const Ca *ca, const PolicyAuthority *authority, uint32_t number, int64_t now_usec,
                  Error *reterr);

/* From now on it signs, and nothing else does. See turn_activation_at(). */
int turn_activate(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                  uint32_t number, int64_t now_usec, Error *reterr);

/* A former one is trusted no longer, and its key is wiped. See turn_retirement_at(). */
int turn_retire(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                uint32_t number, int64_t now_usec, Error *reterr);

/* Somebody has the key of that generation. Where it is the current one: a next one, whose key lay
 * beside it, is discarded, and a fresh one signs at once, certified by the stolen one so that those
 * who trust that one alone are not cut off. One that is retiring is only marked: it may be retired
 * at any time then. Asking again goes on where a crash came between. */
int turn_emergency(const Ca *ca, const Policy *policy, const PolicyAuthority *authority,
                   uint32_t number, int64_t now_usec, Error *reterr);

/* From when on next may be activated; INT64_MIN for at any time. The first of: announced +
 * distribute; the latest moment T - rmax, but not before prepared + distribute; the last call T -
 * distribute - backdate. T is the current one's notAfter, rmax the largest renew_before of the
 * authority's leaves. At any time where the current one is NULL, has expired or is stolen. */
int64_t turn_activation_at(const Policy *policy, const PolicyAuthority *authority,
                           const ObservedGeneration *current, const ObservedGeneration *next,
                           int64_t now_usec);

/* From when on a generation that is retiring may be retired; INT64_MIN for at any time: at min(T,
 * the end of its last leaf) + backdate, at T + backdate where its ledger may not know all; not
 * before its cross-certificate ends. At any time where it is stolen, or was imported and the policy
 * has no `adopt` any more.
 * generation->last_leaf_usec is to be filled. */
int64_t turn_retirement_at(const Policy *policy, const PolicyAuthority *authority,
                           const ObservedGeneration *generation);
