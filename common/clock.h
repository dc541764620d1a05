/*
 * The only place that reads a clock, so that a test can give the time and none is read behind its
 * back. All instants are microseconds: of the Unix epoch for realtime (UTC), of the boot for
 * boottime, which never steps and goes on while the machine sleeps.
 */
#pragma once

#include "common/macro.h"

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_YEAR (INT64_C(31557600) * USEC_PER_SEC) /* 365.25 days, as in systemd.time(7) */
#define USEC_INFINITY INT64_MAX

enum { CLOCK_TEXT_MAX = 40 };

int64_t clock_realtime(void);
int64_t clock_boottime(void);

/* Whether the kernel says that the clock is synchronised (adjtimex). A hint, never a reason. */
bool clock_is_synchronised(void);

/* Writes an instant as RFC 3339 in UTC, seconds rounded down: 2026-01-31T12:00:00Z. "never" for
 * USEC_INFINITY. Returns buffer. */
const char *clock_format(int64_t realtime_usec, char buffer[CLOCK_TEXT_MAX]);

/* Addition that stays at the ends of the range instead of overflowing. */
int64_t usec_add(int64_t a, int64_t b);
