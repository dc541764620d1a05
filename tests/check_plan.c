/*
 * The plan by tables: what is done in which situation, in which order, and what is not.
 */
#include "tests/world.h"

#define FRESH                                                                                      \
        "authority main, issue server (new key), issue app (new key), publish server, "            \
        "publish app, configure main, load main, prove main, login main, prune server, prune app"

/* One server, one client, one running cluster that logs in with it; all settled. */
static void init_settled(World *world)
{
        world_init(world, 1, 1, 1, 1);
        world_settle(world);
}

static void assert_steps(const World *world, const char *wanted)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);
        _cleanup_(freep) char *steps = world_steps(world, plan);

        ck_assert_str_eq(steps, wanted);
}

START_TEST(makes_everything_on_a_blank_slate_in_order)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *after = NULL;
        _cleanup_(freep) char *steps = NULL;

        world_init(&world, 1, 1, 1, 1);
        world.policy.clusters[0].plaintext = POLICY_PLAINTEXT_REFUSED;
        world.observation->clusters[0].configuration = CONFIGURATION_ABSENT;
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        ck_assert_str_eq(steps, FRESH);
        ck_assert_int_eq(plan->certificates[0].state, CERTIFICATE_DUE);
        ck_assert_int_eq(plan->health, HEALTH_WARNING);
        world_apply(&world, plan);
        after = world_plan(&world);
        ck_assert_uint_eq(after->n_steps, 0);
        ck_assert_int_eq(after->health, HEALTH_OK);
        ck_assert_int_eq(after->certificates[0].state, CERTIFICATE_OK);
        ck_assert_int_eq(after->clusters[0].proof, PROOF_PROVEN);
}
END_TEST

START_TEST(does_nothing_while_nothing_is_due)
{
        _cleanup_(world_done) World world;

        init_settled(&world);
        assert_steps(&world, "");
        world.now += 18 * DAY;
        assert_steps(&world, "");
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("plan");
        TCase *tcase = tcase_create("steps");

        tcase_add_test(tcase, makes_everything_on_a_blank_slate_in_order);
        tcase_add_test(tcase, does_nothing_while_nothing_is_due);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
