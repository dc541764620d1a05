/*
 * Rule 9 of the CA rollover: which spans leave room for it, and how long an outage costs nothing.
 * D is an authority's distribute, R its renew_before, L its lifetime; l and r a leaf's lifetime and
 * renew_before, rmax the largest of its leaves; s backdate, c check_every.
 */
#pragma once

#include "common/policydraft.h"

/* Gives every authority that writes none its renew_before, max(L/3, lmax + D + s + c), and refuses
 * what breaks the rule, with its arithmetic. -ENOMEM alone is returned. */
int policyrule_check(PolicyDraft *draft);

/* min(min r - D - s, (R - D - rmax - s)/2) - 2c over all authorities, 0 where negative. */
int64_t policyrule_outage(const Policy *policy);
