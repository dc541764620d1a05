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

/* Whether somebody sees to it that the clock is right. A hint, never a reason. */
typedef enum ClockSync {
        CLOCK_UNSYNCHRONISED,
        CLOCK_SYNCHRONISED,
        CLOCK_SYNC_UNKNOWN, /* nobody can be asked */
} ClockSync;

/* What the kernel says (adjtimex(2)). Where it may not be asked, as in a unit with ProtectClock=,
 * what systemd-timesyncd left behind: see clock_judge_stamp(). */
ClockSync clock_synchronisation(void);

/* timesyncd touches its stamp whenever it has set or steered the clock, at least every 2048 s. A
 * step by anybody else makes the stamp old, or one of the future. Both are realtime. */
ClockSync clock_judge_stamp(int64_t touched_usec, int64_t now_usec);

/* Writes an instant as RFC 3339 in UTC, seconds rounded down: 2026-01-31T12:00:00Z. "never" for
 * USEC_INFINITY. Returns buffer. */
const char *clock_format(int64_t realtime_usec, char buffer[CLOCK_TEXT_MAX]);

/* Addition that stays at the ends of the range instead of overflowing. */
int64_t usec_add(int64_t a, int64_t b);
