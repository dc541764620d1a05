#include "daemon/state.h"

#include "common/clock.h"
#include "daemon/consent.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

enum { LARGE_SIZE = 64 * 1024 };

void state_init(State *state, const PeerPlaces *places)
{
        /* One heap for all threads, for what a pass leaves is kept by another; and the large tables
         * outside of it, whatever was freed before, so that each goes back whole. */
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_THRESHOLD, LARGE_SIZE);
        *state = (State){.places = *places};
        if (gethostname(state->host, sizeof state->host - 1) < 0)
                state->host[0] = '\0'; /* a jitter without a host is one all the same */
}

void state_done(State *state)
{
        policy_unref(state->policy);
        policy_unref(state->last_policy);
        observation_free(state->observation);
        memory_free(state->memory);
        plan_free(state->plan);
        record_free(state->record);
        free(state->policy_error);
        *state = (State){0};
}

static void set_policy_error(State *state, const Errors *errors)
{
        char text[ERROR_TEXT_MAX + ERROR_FILE_MAX + 32] = "it cannot be read";

        if (errors->n > 0)
                error_format(&errors->items[0], text, sizeof text);
        if (!state->policy_error)
                state->policy_error_since_usec = clock_realtime();
        free(state->policy_error);
        state->policy_error = strdup(text);
}

/* The first policy comes with what the history tells of earlier runs. */
static int begin(State *state, Policy *policy, Errors *errors)
{
        Error error;
        int r = memory_new(policy, &state->memory, &error);

        if (r < 0)
                return errors_add(errors, &error);
        if (state->record)
                record_restore(state->record, policy, state->memory);
        consents_load(state->places.state_dir, policy, state->memory);
        state->last_policy = policy_ref(policy);
        return 0;
}

int state_load(State *state, Errors *errors)
{
        _cleanup_(policy_unrefp) Policy *policy = NULL;
        bool is_new;
        int r = policy_load(state->places.policy_file, &policy, errors);

        if (r >= 0 && !state->memory)
                r = begin(state, policy, errors);
        if (r < 0) {
                set_policy_error(state, errors);
                return r;
        }
        is_new = !state->policy || state->policy->tag != policy->tag;
        policy_unref(state->policy);
        state->policy = TAKE_PTR(policy);
        free(TAKE_PTR(state->policy_error));
        return is_new;
}

int state_refresh(State *state, Errors *errors)
{
        uint64_t tag;

        if (state->policy && !state->policy_error &&
            policy_tag(state->places.policy_file, &tag, NULL) >= 0 && tag == state->policy->tag)
                return 0;
        return state_load(state, errors);
}

int state_pass_new(State *state, WorkMode mode, void (*tell)(void *, const WorkEvent *),
                   void *userdata, Work **ret, Error *reterr)
{
        WorkInput input = {
                .policy = state->policy,
                .mode = mode,
                .places = state->places,
                .host = state->host,
                .known = state->observation,
                .memory = state->memory,
                .memory_policy = state->last_policy,
                .record = state->record,
                .tell = tell,
                .userdata = userdata,
        };

        return work_new(&input, ret, reterr);
}

void state_take(State *state, Work *pass)
{
        Policy *policy = policy_ref((Policy *)pass->input.policy);

        policy_unref(state->last_policy);
        observation_free(state->observation);
        memory_free(state->memory);
        plan_free(state->plan);
        state->last_policy = policy;
        state->observation = TAKE_PTR(pass->observation);
        state->memory = TAKE_PTR(pass->memory);
        for (size_t i = 0; i < policy->n_certificates; i++)
                if (state->observation->sets[i].has_leaf)
                        memory_settle_wanted(&state->memory->certificates[i],
                                             &state->observation->sets[i].leaf);
        state->plan = TAKE_PTR(pass->plan);
        state->pass_usec = clock_realtime();
}

int state_hold(State *state, const char *held, Error *reterr)
{
        PlanInput input = {
                .policy = state->last_policy,
                .observation = state->observation,
                .memory = state->memory,
                .now_usec = clock_realtime(),
                .boot_usec = clock_boottime(),
                .host = state->host,
                .held = held,
        };
        Plan *plan;
        int r;

        if (!state->observation)
                return 0;
        r = plan_make(&input, &plan, reterr);
        if (r < 0)
                return r;
        plan_free(state->plan);
        state->plan = plan;
        return 0;
}

void state_report(const State *state, Report *ret)
{
        *ret = (Report){
                .policy = state->last_policy,
                .observation = state->observation,
                .memory = state->memory,
                .plan = state->plan,
                .now_usec = clock_realtime(),
                .pass_usec = state->pass_usec,
                .policy_error = state->policy_error,
                .policy_error_since_usec = state->policy_error_since_usec,
                .clock_sync = clock_synchronisation(),
        };
}
