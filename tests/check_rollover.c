/*
 * The roll-over of a CA as the plan tells it: the whole story, then each rule with what holds it
 * up, what ends the waiting, and what is told of it.
 */
#include "tests/world.h"

static const ObservedAuthority *authority(const World *world)
{
        return &world->observation->authorities[0];
}

static bool has_anchor(const World *world, size_t set, uint32_t number)
{
        const ObservedBundle *bundle =
                &world->observation->bundles[world->observation->sets[set].bundle];

        for (size_t i = 0; i < bundle->n; i++)
                if (bundle->anchors[i][0] == 0xCA && bundle->anchors[i][8] == number - 1)
                        return true;
        return false;
}

static uint32_t issuer(const World *world, size_t set)
{
        return world->observation->sets[set].leaf.issuer_key_id[8] + 1U;
}

/* The plan is as told, and is carried out. */
static void expect_steps(World *world, const char *expected)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);
        _cleanup_(freep) char *steps = world_steps(world, plan);

        ck_assert_str_eq(steps, expected);
        world_apply(world, plan);
}

static void expect_reason(World *world, StepVerb verb, const char *part)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_uint_gt(plan->n_steps, 0);
        ck_assert_int_eq(plan->steps[0].verb, verb);
        ck_assert_msg(strstr(plan->steps[0].reason, part) != NULL, "%s", plan->steps[0].reason);
}

/* What the authority's row says comes next. */
static void expect_next(World *world, StepVerb verb, int64_t at, const char *waits_for)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_int_eq(plan->authorities[0].next_verb, verb);
        ck_assert_int_eq(plan->authorities[0].next_usec, at);
        if (waits_for)
                ck_assert_str_eq(plan->authorities[0].waits_for, waits_for);
        else
                ck_assert_ptr_null(plan->authorities[0].waits_for);
}

static void expect_health(World *world, Health health, const char *error)
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

static void go_to(World *world, int64_t at)
{
        ck_assert_int_ge(at, world->now);
        world->boot += at - world->now;
        world->now = at;
}

/* Carries out whatever is due until nothing is; then goes to the next deadline, and so on. */
static void live_until(World *world, int64_t end)
{
        for (unsigned i = 0; i < 100000; i++) {
                _cleanup_(plan_freep) Plan *plan = world_plan(world);

                if (plan->n_steps > 0) {
                        world_apply(world, plan);
                        continue;
                }
                if (plan->next_usec > end) {
                        go_to(world, end);
                        return;
                }
                go_to(world, plan->next_usec);
        }
        ck_abort_msg("it does not come to rest");
}

#define SERVER "issue server, publish server, load main, prove main, prune server"

/* One server with a cluster, one client; a CA of 5 years that is followed a year before its end. */
static void begin(World *world)
{
        world_init(world, 1, 1, 1, 1);
        world_settle(world);
        for (size_t i = 0; i < 2; i++)
                world->policy.certificates[i].rekey_usec = 100 * YEAR;
}

START_TEST(goes_from_one_ca_to_the_next)
{
        _cleanup_(world_done) World world;
        int64_t end, announced, last;

        begin(&world);
        end = world_phase(&world, 0, AUTHORITY_CURRENT)->facts.not_after_usec;
        expect_next(&world, STEP_PREPARE, end - YEAR, NULL);
        live_until(&world, end - YEAR - 1);
        ck_assert_uint_eq(authority(&world)->n_generations, 1);

        go_to(&world, end - YEAR);
        expect_reason(&world, STEP_PREPARE,
                      "CN=root G1 ends at 2031-01-01T06:00:00Z and renew_before is 1y");
        expect_steps(&world, "prepare main");
        expect_next(&world, STEP_ANNOUNCE, world.now, "certificate server, certificate app");
        expect_steps(&world, "issue server, trust app, publish server, publish app, load main, "
                             "prove main, prune server, prune app");
        ck_assert(has_anchor(&world, 0, 2) && has_anchor(&world, 1, 2));
        ck_assert_uint_eq(issuer(&world, 0), 1);
        expect_reason(&world, STEP_ANNOUNCE, "every set holds CN=root G2");
        expect_steps(&world, "announce main");

        announced = world.now;
        expect_steps(&world, "");
        expect_next(&world, STEP_ACTIVATE, announced + 7 * DAY, NULL);
        expect_health(&world, HEALTH_OK, NULL);
        live_until(&world, announced + 7 * DAY - 1);
        ck_assert_uint_eq(world_phase(&world, 0, AUTHORITY_CURRENT)->number, 1);
        go_to(&world, announced + 7 * DAY);
        expect_reason(&world, STEP_ACTIVATE,
                      "announced at 2030-01-01T00:00:00Z, distribute 7d is "
                      "over, and every server has it");
        expect_steps(&world, "activate main");
        ck_assert_uint_eq(world_phase(&world, 0, AUTHORITY_CURRENT)->number, 2);

        /* Leaves move at their own renewal, and no earlier. */
        expect_steps(&world, "");
        last = world_phase(&world, 0, AUTHORITY_RETIRING)->last_leaf_usec;
        expect_next(&world, STEP_RETIRE, last + world.policy.backdate_usec, NULL);
        live_until(&world, last + world.policy.backdate_usec - 1);
        ck_assert_uint_eq(issuer(&world, 0), 2);
        ck_assert_uint_eq(issuer(&world, 1), 2);
        ck_assert_uint_eq(authority(&world)->n_generations, 2);
        go_to(&world, last + world.policy.backdate_usec);
        expect_reason(&world, STEP_RETIRE, "the last leaf of CN=root G1 has ended");
        expect_steps(&world, "retire main");
        ck_assert_uint_eq(authority(&world)->n_generations, 1);

        /* The root leaves each bundle at that set's next publication. */
        expect_steps(&world, "");
        ck_assert(has_anchor(&world, 0, 1) && has_anchor(&world, 1, 1));
        live_until(&world, world.now + 30 * DAY);
        ck_assert(!has_anchor(&world, 0, 1) && !has_anchor(&world, 1, 1));
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("rollover");
        TCase *story = tcase_create("story");

        tcase_add_test(story, goes_from_one_ca_to_the_next);
        suite_add_tcase(suite, story);
        return suite;
}

#include "tests/check_main.h"
