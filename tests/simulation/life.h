/*
 * A simulated life: a policy, the machine that it is for, and pgcertd's plan, carried out over
 * virtual time with real certificates. Nothing waits and nothing is written: years pass in a
 * moment. At every event the readers are asked (readers.h).
 *
 * Time jumps from one event to the next: a deadline that the plan named, or something that happens
 * in the world. What happens without pgcertd's doing is noticed within check_every.
 */
#pragma once

#include "daemon/plan.h"
#include "tests/simulation/readers.h"
#include "tests/simulation/story.h"

#define LIFE_START (INT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */

/* What may be down. */
typedef enum LifePart { LIFE_PGCERTD, LIFE_WORKERS, LIFE_SIGNER, LIFE_PARTS } LifePart;

enum { LIFE_FAILURE_MAX = 640 };

typedef struct Life {
        uint64_t seed;
        Dice dice;
        Break broken;
        Spec spec;
        Policy *policy;
        Papers *papers;
        CaSigner *signer;
        Site site;
        Readers readers;
        Observation *observation;
        Memory *memory;
        Story story;

        int64_t now;          /* true time; boottime is what has passed since the start */
        int64_t clock_offset; /* of the machine's clock */
        int64_t wake;         /* the next pass */
        bool is_deadline;     /* that the plan named, so nothing was due before */
        int64_t down_until[LIFE_PARTS];
        unsigned eager_percent; /* of activations after which a renewal is asked for at once */
        unsigned kill_percent;  /* of passes that end between two steps */
        unsigned check_percent; /* of deadlines that are looked at from before */

        int64_t well_since;                  /* nothing is down, and every server loads */
        bool is_reloaded[SPEC_CLUSTERS_MAX]; /* in this pass */
        /* A generation that was refused was tried again: with the key that it had, whose age may be
         * over since, so that another leaf follows at once. */
        bool is_retried;
        uint64_t issued_most; /* leaves: the life ends then; 0 for no limit */
        uint64_t passes, plans, steps, issued, activations, retirements;
        char failure[LIFE_FAILURE_MAX]; /* "" for none */
} Life;

/* The seed is of what happens; the spec is copied. NULL where the policy was refused. */
Life *life_new(const Spec *spec, uint64_t seed, Break broken);
Life *life_free(Life *life);
DEFINE_CLEANUP(Life *, life_free);

/* Lives until then, or until issued_most. False where something failed: life->failure says what. */
bool life_run(Life *life, int64_t until_usec);

/* Remembers the first failure. */
void life_fail(Life *life, const char *format, ...) _printf_(2, 3);

int64_t life_boot(const Life *life);
int64_t life_clock(const Life *life); /* what the machine's clock says */

/* Happenings. What pgcertd does not do itself, it notices within check_every. */
void life_stop(Life *life, LifePart part, int64_t span_usec);
void life_restart(Life *life); /* pgcertd: what is not on disk is forgotten */
void life_stop_server(Life *life, size_t cluster);
void life_start_server(Life *life, size_t cluster);
void life_set_loading(Life *life, size_t cluster, bool cannot_load, bool refuses);
void life_request(Life *life, size_t certificate, bool rekey);
void life_rotate(Life *life, size_t authority);
void life_steal(Life *life, size_t authority);
void life_change(Life *life, const Spec *spec);
void life_set_clock(Life *life, int64_t offset_usec);
void life_notice(Life *life); /* a pass within check_every */

/* The longest outage that the policy allows. */
int64_t life_outage(const Life *life);
