/*
 * The rollover of a CA as the plan tells it: the whole story, then each rule with what holds it
 * up, what ends the waiting, and what is told of it.
 */
#include "tests/story.h"

START_TEST(goes_from_one_ca_to_the_next)
{
        _cleanup_(world_done) World world;
        int64_t end, announced, last;

        story_begin(&world);
        end = world_phase(&world, 0, AUTHORITY_CURRENT)->facts.not_after_usec;
        story_expect_next(&world, STEP_PREPARE, end - YEAR, NULL);
        story_live_until(&world, end - YEAR - 1);
        ck_assert_uint_eq(story_authority(&world)->n_generations, 1);

        story_go_to(&world, end - YEAR);
        story_expect_reason(&world, STEP_PREPARE,
                            "CN=root G1 ends at 2031-01-01T06:00:00Z and renew_before is 1y");
        story_expect_steps(&world, "prepare main");
        story_expect_next(&world, STEP_ANNOUNCE, world.now, "certificate server, certificate app");
        story_expect_steps(&world,
                           "issue server, trust app, publish server, publish app, load main, "
                           "prove main, prune server, prune app");
        ck_assert(story_has_anchor(&world, 0, 2) && story_has_anchor(&world, 1, 2));
        ck_assert_uint_eq(story_issuer(&world, 0), 1);
        story_expect_reason(&world, STEP_ANNOUNCE, "every set holds CN=root G2");
        story_expect_steps(&world, "announce main");

        announced = world.now;
        story_expect_steps(&world, "");
        story_expect_next(&world, STEP_ACTIVATE, announced + 7 * DAY, NULL);
        story_expect_health(&world, HEALTH_OK, NULL);
        story_live_until(&world, announced + 7 * DAY - 1);
        ck_assert_uint_eq(world_phase(&world, 0, AUTHORITY_CURRENT)->number, 1);
        story_go_to(&world, announced + 7 * DAY);
        story_expect_reason(&world, STEP_ACTIVATE,
                            "announced at 2030-01-01T00:00:00Z, distribute 7d is "
                            "over, and every server has it");
        story_expect_steps(&world, "activate main");
        ck_assert_uint_eq(world_phase(&world, 0, AUTHORITY_CURRENT)->number, 2);

        /* Leaves move at their own renewal, and no earlier. */
        story_expect_steps(&world, "");
        last = world_phase(&world, 0, AUTHORITY_RETIRING)->last_leaf_usec;
        story_expect_next(&world, STEP_RETIRE, last + world.policy.backdate_usec, NULL);
        story_live_until(&world, last + world.policy.backdate_usec - 1);
        ck_assert_uint_eq(story_issuer(&world, 0), 2);
        ck_assert_uint_eq(story_issuer(&world, 1), 2);
        ck_assert_uint_eq(story_authority(&world)->n_generations, 2);
        story_go_to(&world, last + world.policy.backdate_usec);
        story_expect_reason(&world, STEP_RETIRE, "the last leaf of CN=root G1 has ended");
        story_expect_steps(&world, "retire main");
        ck_assert_uint_eq(story_authority(&world)->n_generations, 1);

        /* The root leaves each bundle at that set's next publication. */
        story_expect_steps(&world, "");
        ck_assert(story_has_anchor(&world, 0, 1) && story_has_anchor(&world, 1, 1));
        story_live_until(&world, world.now + 30 * DAY);
        ck_assert(!story_has_anchor(&world, 0, 1) && !story_has_anchor(&world, 1, 1));
}
END_TEST

START_TEST(answers_a_second_request)
{
        _cleanup_(world_done) World world;
        _cleanup_(text_done) Text made = {0}, announced = {0}, none = {0}, silent = {0};

        story_begin(&world);
        ck_assert(rollover_may_rotate(&world.policy, world.observation, 0, &none));
        ck_assert_uint_eq(none.size, 0);
        world_prepare(&world, 0);
        ck_assert(!rollover_may_rotate(&world.policy, world.observation, 0, &made));
        ck_assert_ptr_nonnull(strstr(text_content(&made), "under way: CN=root G2 was made at"));
        world_phase(&world, 0, AUTHORITY_NEXT)->announced_usec = world.now;
        ck_assert(!rollover_may_rotate(&world.policy, world.observation, 0, &announced));
        ck_assert_ptr_nonnull(strstr(text_content(&announced), "was announced at"));
        /* And one that is asked for all the same makes no third. */
        story_ask(&world);
        world_trust(&world, 0);
        world_trust(&world, 1);
        story_expect_steps(&world, "");
        world_lose_authority(&world, 0, false);
        ck_assert(!rollover_may_rotate(&world.policy, world.observation, 0, &silent));
        ck_assert_ptr_nonnull(strstr(text_content(&silent), "did not answer"));
}
END_TEST

START_TEST(waits_out_a_failure_and_tells_it)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        story_begin(&world);
        story_want_subject(&world);
        attempt_failed(&world.memory->authorities[0].attempt, &world.policy, world.boot, 0,
                       "no space on the signer's disk");
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_WARNING, "no space");
        plan = world_plan(&world);
        ck_assert_int_eq(plan->next_boot_usec, world.boot + 5 * SECOND);
        ck_assert_str_eq(plan->next_what, "retry main");
        story_ask(&world);
        story_expect_reason(&world, STEP_PREPARE, "asked for");
        world.memory->authorities[0].is_rotate_requested = false;
        world.boot += 5 * SECOND;
        story_expect_reason(&world, STEP_PREPARE, "subject");
        world.held = "the policy is broken";
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_CRITICAL, "the policy is broken");
        world.held = NULL;
        world.memory->clock.is_doubted = true;
        story_expect_steps(&world, "");
}
END_TEST

/* Nothing ran until the CA was over: a new one is made and signs at once. */
START_TEST(recovers_from_a_ca_that_has_expired)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        story_go_to(&world, story_current(&world)->facts.not_after_usec + DAY);
        story_expect_health(&world, HEALTH_CRITICAL, "expired at 2031-01-01T06:00:00Z");
        story_expect_steps(&world, "prepare main");
        story_expect_reason(&world, STEP_ACTIVATE, "last call");
        story_expect_steps(&world, "activate main");
        story_expect_steps(&world,
                           "retire main, issue server, issue app, publish server, publish app, "
                           "load main, prove main, prune server, prune app");
        ck_assert_uint_eq(story_issuer(&world, 0), 2);
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_OK, NULL);
}
END_TEST

/* The next one was made, then nothing ran until that was over as well. */
START_TEST(recovers_when_the_next_one_has_expired_too)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        story_announce(&world);
        story_go_to(&world, world_phase(&world, 0, AUTHORITY_NEXT)->facts.not_after_usec + DAY);
        for (int i = 0; i < 20; i++) {
                _cleanup_(plan_freep) Plan *plan = world_plan(&world);

                world_apply(&world, plan);
        }
        story_expect_steps(&world, "");
        ck_assert_uint_eq(story_issuer(&world, 0), 3);
        ck_assert_uint_eq(story_authority(&world)->n_generations, 1);
}
END_TEST

/* Leaves of a CA that ends before they would: clamped, then replaced once the next one signs. */
START_TEST(leaves_wait_for_a_ca_with_little_left)
{
        _cleanup_(world_done) World world;
        int64_t end;

        story_begin(&world);
        end = story_current(&world)->facts.not_after_usec = world.now + 20 * DAY;
        for (size_t i = 0; i < 2; i++)
                world_publish(&world, i, false);
        world_serve(&world, 0);
        ck_assert_int_eq(world.observation->sets[0].leaf.not_after_usec, end);
        story_live_until(&world, end - 5 * DAY);
        ck_assert_uint_eq(story_current(&world)->number, 2);
        ck_assert_uint_eq(story_issuer(&world, 0), 2);
        ck_assert_uint_eq(story_issuer(&world, 1), 2);
        ck_assert_int_gt(world.observation->sets[1].leaf.not_after_usec, end);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("rollover");
        TCase *story = tcase_create("story"), *row = tcase_create("row");

        tcase_add_test(story, goes_from_one_ca_to_the_next);
        tcase_add_test(story, recovers_from_a_ca_that_has_expired);
        tcase_add_test(story, recovers_when_the_next_one_has_expired_too);
        tcase_add_test(story, leaves_wait_for_a_ca_with_little_left);
        suite_add_tcase(suite, story);
        tcase_add_test(row, answers_a_second_request);
        tcase_add_test(row, waits_out_a_failure_and_tells_it);
        suite_add_tcase(suite, row);
        return suite;
}

#include "tests/check_main.h"
