/*
 * The world as it will be: a copy of what was observed and remembered, to which steps are applied
 * as if each of them went well. For the timeline. Pure.
 */
#pragma once

#include "daemon/plan.h"

typedef struct Forecast {
        PlanInput input; /* with the copies; now_usec and boot_usec go on */
        Observation *observation;
        Memory *memory;
        /* The clusters of each certificate, as a list: SIZE_MAX ends it. */
        size_t *first_cluster, *next_cluster;
        uint32_t made; /* leaves and CAs so far: each gets a fingerprint of its own */
} Forecast;

int forecast_init(Forecast *forecast, const PlanInput *input, Error *reterr);
void forecast_done(Forecast *forecast);

/* Does one step, by now. */
int forecast_apply(Forecast *forecast, const Step *step, Error *reterr);

/* A new leaf alone: no CA has moved on since its bundle was written. */
void forecast_renew(Forecast *forecast, size_t set, bool rekey);

/* Requests are for one try. */
void forecast_settle(Forecast *forecast);

/* Time goes on. */
void forecast_go(Forecast *forecast, int64_t now_usec);

/* When a published set is renewed next, for its leaf's end or its key's age; USEC_INFINITY where it
 * waits for the next CA. As due_at(), for a set that is as the policy wants it. */
int64_t forecast_renew_at(const Forecast *forecast, size_t set);
bool forecast_is_rekey(const Forecast *forecast, size_t set);

/* Why it is renewed; the caller's. NULL where memory ran out. */
char *forecast_renewal_reason(const Forecast *forecast, size_t set);
