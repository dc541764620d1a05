/*
 * Whether a policy's spans leave room for a CA rollover in which every reader has the new CA before
 * it meets a certificate of it, and how long an outage costs nothing.
 *
 * D is an authority's distribute, R its renew_before, L its lifetime; l and r a leaf's lifetime and
 * renew_before, rmax the largest of its leaves; s backdate, c check_every.
 */
#pragma once

#include "common/policydraft.h"

/* Gives every authority that writes none its renew_before, max(L/3, lmax + D + s + c), so that the
 * next CA is there before any leaf would outlive the current one, lmax being the longest lifetime
 * of its leaves. Refuses, with the arithmetic:
 * - l - r < c + 1 s: a leaf would be due again before it is looked at;
 * - r <= D + s + c of a client: it is renewed too late to bring the new CA to its reader;
 * - R < D + rmax + s + 2c: the next CA, made R before the current one ends and to sign from rmax
 *   before its end at the latest, would not have been in every bundle for D by then;
 * - R > L/2: the next CA would be due for renewal while it takes over.
 * -ENOMEM alone is returned. */
int policyrule_check(PolicyDraft *draft);

/* min(min r - D - s, (R - D - rmax - s)/2) - 2c over all authorities, 0 where negative. */
int64_t policyrule_outage(const Policy *policy);
