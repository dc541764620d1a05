/*
 * Stories of a rollover in the small world: what the plan tells, carried out step by step.
 */
#pragma once

#include "tests/world.h"

static inline const ObservedAuthority *story_authority(const World *world)
{
        return &world->observation->authorities[0];
}

static inline bool story_has_anchor(const World *world, size_t set, uint32_t number)
{
        const ObservedBundle *bundle =
                &world->observation->bundles[world->observation->sets[set].bundle];

        for (size_t i = 0; i < bundle->n; i++)
                if (bundle->anchors[i][0] == 0xCA && bundle->anchors[i][1] == 0 &&
                    bundle->anchors[i][8] == number - 1)
                        return true;
        return false;
}

static inline uint32_t story_issuer(const World *world, size_t set)
{
        return world->observation->sets[set].leaf.issuer_key_id[8] + 1U;
}

static inline ObservedGeneration *story_current(World *world)
{
        return world_phase(world, 0, AUTHORITY_CURRENT);
}

static inline void story_ask(World *world)
{
        world->memory->authorities[0].is_rotate_requested = true;
}

static inline void story_want_subject(World *world)
{
        static char type[] = "CN", value[] = "other";
        static PolicyAttribute other[] = {{.type = type, .value = value}};

        world->policy.authorities[0].subject = (PolicySubject){.items = other, .n = 1};
}

/* The plan is as told, and is carried out. */
static inline void story_expect_steps(World *world, const char *expected)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);
        _cleanup_(freep) char *steps = world_steps(world, plan);

        ck_assert_str_eq(steps, expected);
        world_apply(world, plan);
}

static inline void story_expect_reason(World *world, StepVerb verb, const char *part)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_uint_gt(plan->n_steps, 0);
        ck_assert_int_eq(plan->steps[0].verb, verb);
        ck_assert_msg(strstr(plan->steps[0].reason, part) != NULL, "%s", plan->steps[0].reason);
}

/* What the authority's row says comes next. */
static inline void story_expect_next(World *world, StepVerb verb, int64_t at, const char *waits_for)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_int_eq(plan->authorities[0].next_verb, verb);
        ck_assert_int_eq(plan->authorities[0].next_usec, at);
        if (waits_for)
                ck_assert_str_eq(plan->authorities[0].waits_for, waits_for);
        else
                ck_assert_ptr_null(plan->authorities[0].waits_for);
}

static inline void story_expect_health(World *world, Health health, const char *error)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_int_eq(plan->authorities[0].health, health);
        if (!error)
                ck_assert_ptr_null(plan->authorities[0].error);
        else
                ck_assert_msg(plan->authorities[0].error &&
                                      strstr(plan->authorities[0].error, error),
                              "%s", plan->authorities[0].error);
}

static inline void story_go_to(World *world, int64_t at)
{
        ck_assert_int_ge(at, world->now);
        world->boot += at - world->now;
        world->now = at;
}

/* Carries out whatever is due until nothing is; then goes to the next deadline, and so on. */
static inline void story_live_until(World *world, int64_t end)
{
        for (unsigned i = 0; i < 100000; i++) {
                _cleanup_(plan_freep) Plan *plan = world_plan(world);

                if (plan->n_steps > 0) {
                        world_apply(world, plan);
                        continue;
                }
                if (plan->next_usec > end) {
                        story_go_to(world, end);
                        return;
                }
                story_go_to(world, plan->next_usec);
        }
        ck_abort_msg("it does not come to rest");
}

/* One server with a cluster, one client; a CA of 5 years that is followed a year before its end. */
static inline void story_begin(World *world)
{
        world_init(world, 1, 1, 1, 1);
        world_settle(world);
        for (size_t i = 0; i < 2; i++)
                world->policy.certificates[i].rekey_usec = 100 * YEAR;
}

/* To the next generation in every bundle, announced. */
static inline void story_announce(World *world)
{
        world->memory->authorities[0].is_rotate_requested = true;
        story_expect_steps(world, "prepare main");
        story_expect_steps(world,
                           "issue server, trust app, publish server, publish app, load main, "
                           "prove main, prune server, prune app");
        story_expect_steps(world, "announce main");
}
