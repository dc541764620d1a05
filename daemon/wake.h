/*
 * The next thing to come: the earliest deadline by the clock, the earliest retry by boottime, and
 * which of them is first, in words. Pure.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

typedef struct Wake {
        int64_t now_usec, boot_usec; /* both are now */
        int64_t next_usec;           /* USEC_INFINITY for none, as is next_boot_usec */
        int64_t next_boot_usec;
        /* What comes then; borrowed. */
        const char *verb, *name;
        const char *retried;
} Wake;

/* Each considers one more; what is not in the future is no wake-up. On a tie the first stays. */
void wake_at(Wake *wake, int64_t at_usec, const char *verb, const char *name);
void wake_retry(Wake *wake, int64_t boot_usec, const char *name);

/* "renew server", "retry main", or "nothing is due"; and when that is, realtime, USEC_INFINITY for
 * never. */
int wake_take_what(const Wake *wake, char **ret, int64_t *ret_at_usec, Error *reterr);
