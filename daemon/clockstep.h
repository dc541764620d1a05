/*
 * Whether the clock is believed. Certificates are dated by it, so one that jumps makes leaves that
 * nobody accepts, and a clock that is years ahead would renew everything at once. What is compared
 * is realtime minus boottime, which never steps: where it moved by more than max_clock_step since
 * the last look, nothing is issued until the kernel says that the clock is synchronised, somebody
 * confirms it, it comes back, or 24 h of boottime have passed.
 *
 * Pure: readings are given. Nothing is kept over a restart, which has nothing to compare with: the
 * first reading is believed.
 */
#pragma once

#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a clock that was doubted is believed again. */
typedef enum ClockStepEnd {
        CLOCKSTEP_STANDS, /* it is not, or never was doubted */
        CLOCKSTEP_SYNCHRONISED,
        CLOCKSTEP_CONFIRMED,
        CLOCKSTEP_BACK,
        CLOCKSTEP_WAITED,
} ClockStepEnd;

/* All zero: no reading yet. */
typedef struct ClockStep {
        bool has_offset;
        bool is_doubted;
        int64_t offset_usec;       /* realtime minus boottime, that is believed */
        int64_t doubted_usec;      /* the same, that is not */
        int64_t doubted_boot_usec; /* since when */
        ClockStepEnd end;          /* of the last doubt */
} ClockStep;

typedef struct ClockReading {
        int64_t now_usec;  /* realtime */
        int64_t boot_usec; /* boottime */
        bool is_synchronised;
} ClockReading;

/* Takes a reading. Steps of at most max_usec are followed. */
void clockstep_look(ClockStep *step, const ClockReading *reading, int64_t max_usec);

/* Somebody who was told of the doubt says that the clock is right. */
void clockstep_confirm(ClockStep *step);

/* When the doubt ends by itself, boottime; USEC_INFINITY without a doubt. */
int64_t clockstep_until(const ClockStep *step);

/* The sentence of a doubt: both times, and what to do. It stays the same while the doubt lasts. */
void clockstep_describe(const ClockStep *step, Text *text);

/* How the last doubt ended, in words. */
const char *clockstep_end_name(ClockStepEnd end);
