/*
 * Time spans as systemd.time(7) writes them: "30d", "1h 30min", "5y". A unit is required: a bare
 * number is an error here, though systemd takes it for seconds. 1y is 365.25 days, 1month 30.44, as
 * there. "infinity" is not a span of a policy.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

enum { DURATION_TEXT_MAX = 64 };

/* Parses a span into microseconds; -EINVAL with a sentence such as
 * `"30 dayz" is not a time span. HINT: Write 30d; see systemd.time(7).`; -ERANGE past 1000 years.
 */
int duration_parse(const char *text, int64_t *ret_usec, Error *reterr);

/* Writes a span exactly, in the largest units that divide it: "10d", "1h 30min", "0s". What it
 * writes, duration_parse() reads back. Returns buffer. */
const char *duration_format(int64_t usec, char buffer[DURATION_TEXT_MAX]);

/* Writes a span for a reader's eye, rounded down to its two largest units: "29d 23h". */
const char *duration_format_rough(int64_t usec, char buffer[DURATION_TEXT_MAX]);
