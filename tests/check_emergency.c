/*
 * A CA whose key was stolen: the order in which its readers are moved, what is stuck and what that
 * holds up, and what goes on after an interruption anywhere.
 */
#include "tests/story.h"

#define SERVER "issue server, publish server, load main, prove main, prune server"
#define CLIENT "issue app, publish app, prune app"

static void confirm(World *world)
{
        world->memory->authorities[0].is_emergency_confirmed = true;
}

/* The fresh CA signs, and nobody was moved yet. */
static void replace(World *world)
{
        story_begin(world);
        confirm(world);
        story_expect_steps(world, "emergency main");
}

START_TEST(moves_servers_then_clients_then_drops_the_root)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        confirm(&world);
        story_expect_reason(&world, STEP_EMERGENCY, "the key of CN=root G1 was stolen");
        story_expect_steps(&world, "emergency main");
        story_expect_next(&world, STEP_RETIRE, world.now, "certificate server, certificate app");
        story_expect_health(&world, HEALTH_WARNING, "is being replaced, waiting for");
        story_expect_reason(&world, STEP_ISSUE, "the key of its CA CN=root G1 was stolen");
        story_expect_steps(&world, SERVER);
        ck_assert(story_has_anchor(&world, 0, 1) && story_has_anchor(&world, 0, 2));
        ck_assert_uint_eq(story_issuer(&world, 0), 2);
        ck_assert_uint_eq(story_issuer(&world, 1), 1);

        story_expect_steps(&world, CLIENT);
        ck_assert(!story_has_anchor(&world, 1, 1) && story_has_anchor(&world, 1, 2));
        story_expect_reason(&world, STEP_ISSUE, "holds CN=root G1, whose key was stolen");
        story_expect_steps(&world, SERVER);
        ck_assert(!story_has_anchor(&world, 0, 1) && story_has_anchor(&world, 0, 2));
        story_expect_reason(&world, STEP_RETIRE, "nobody needs it here");
        story_expect_steps(&world, "retire main");
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_OK, NULL);
}
END_TEST

/* What was prepared lay beside the stolen key. */
START_TEST(discards_a_prepared_one)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        story_announce(&world);
        confirm(&world);
        story_expect_steps(&world, "emergency main");
        ck_assert_ptr_null(world_phase(&world, 0, AUTHORITY_NEXT));
        story_expect_steps(&world, SERVER);
        story_expect_steps(&world, CLIENT);
        ck_assert(!story_has_anchor(&world, 1, 2) && story_has_anchor(&world, 1, 3));
}
END_TEST

/* The signer noted the theft and came no further. */
START_TEST(goes_on_where_the_theft_alone_is_known)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        world_phase(&world, 0, AUTHORITY_CURRENT)->is_stolen = true;
        story_expect_steps(&world, "emergency main");
        story_expect_steps(&world, SERVER);
}
END_TEST

/* Nobody but servers: one publication does. */
START_TEST(needs_no_second_step_without_local_clients)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 0, 1, 1);
        world_settle(&world);
        confirm(&world);
        story_expect_steps(&world, "emergency main");
        story_expect_steps(&world, SERVER);
        ck_assert(!story_has_anchor(&world, 0, 1));
        story_expect_steps(&world, "retire main");
}
END_TEST

START_TEST(clients_wait_for_servers_that_can_be_moved)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        replace(&world);
        world_publish(&world, 0, false); /* the load did not come to be */
        world.memory->certificates[1].is_requested = true;
        plan = world_plan(&world);
        ck_assert_ptr_nonnull(strstr(plan->certificates[1].error, "proved with the new CA: "
                                                                  "cluster main"));
        ck_assert_int_eq(plan->certificates[1].state, CERTIFICATE_HELD);
        world.memory->certificates[1].is_requested = false;
        story_expect_steps(&world, "load main, prove main");
        story_expect_steps(&world, CLIENT);
}
END_TEST

static void fail_to_load(World *world)
{
        world_publish(world, 0, false);
        attempt_failed(&world->memory->clusters[0].attempt, &world->policy, world->boot, 0,
                       "not loaded");
}

static void fail_to_publish(World *world)
{
        attempt_failed(&world->memory->certificates[0].attempt, &world->policy, world->boot, 0,
                       "no space");
}

static void put_back(World *world)
{
        world->observation->sets[0].refused = world->observation->sets[0].generation + 1;
        world->observation->sets[0].refused_until_usec = world->now + 30 * DAY;
        fail_to_publish(world);
}

static void nobody_looks(World *world)
{
        world->observation->sets[0].state = SET_UNKNOWN;
}

static void be_unverifiable(World *world)
{
        world_publish(world, 0, false);
        world->observation->clusters[0].served.outcome = HANDSHAKE_NOT_TRIED;
        world_serve(world, 0);
}

static void be_overridden(World *world)
{
        world->observation->clusters[0].override = strdup("ssl is set elsewhere");
}

static const struct {
        void (*change)(World *world);
        const char *stuck;
} stuck[] = {
        {be_overridden, "certificate server"},   {fail_to_load, "cluster main"},
        {fail_to_publish, "certificate server"}, {put_back, "certificate server"},
        {nobody_looks, "certificate server"},    {be_unverifiable, "cluster main"},
};

START_TEST(names_a_stuck_server_and_does_not_wait)
{
        _cleanup_(world_done) World world;
        char sentence[128];

        replace(&world);
        stuck[_i].change(&world);
        snprintf(sentence, sizeof sentence, "stuck, and not waited for: %s", stuck[_i].stuck);
        story_expect_health(&world, HEALTH_WARNING, sentence);
        story_expect_steps(&world, CLIENT);
        ck_assert(!story_has_anchor(&world, 1, 1));
}
END_TEST

/* A server that is down has its files for the next start. */
START_TEST(counts_a_server_that_is_down_by_its_files)
{
        _cleanup_(world_done) World world;

        replace(&world);
        world.observation->clusters[0].state = CLUSTER_DOWN;
        story_expect_steps(&world, "issue server, publish server, prune server");
        story_expect_steps(&world, CLIENT);
        story_expect_steps(&world, "issue server, publish server, prune server");
        story_expect_steps(&world, "retire main");
}
END_TEST

/* The last step fails once: whoever still trusts the stolen root is not forgotten. */
START_TEST(retires_nothing_that_a_stuck_set_trusts)
{
        _cleanup_(world_done) World world;

        replace(&world);
        story_expect_steps(&world, SERVER);
        story_expect_steps(&world, CLIENT);
        attempt_failed(&world.memory->certificates[0].attempt, &world.policy, world.boot, 0,
                       "no space left on device");
        story_expect_health(&world, HEALTH_WARNING,
                            "stuck, and not waited for: certificate server");
        story_expect_steps(&world, "");
        attempt_succeeded(&world.memory->certificates[0].attempt);
        story_expect_steps(&world, SERVER);
        story_expect_steps(&world, "retire main");
}
END_TEST

/* The bundles of another authority's readers hold the stolen root as well. */
START_TEST(reaches_readers_of_another_authority)
{
        _cleanup_(world_done) World world;
        PolicyCertificate *client;

        world_init(&world, 1, 1, 1, 2);
        client = &world.policy.certificates[1];
        client->authority = client->bundle[0] = &world.policy.authorities[1];
        client->bundle = reallocarray(client->bundle, 2, sizeof *client->bundle);
        client->bundle[1] = &world.policy.authorities[0];
        client->n_bundle = 2;
        world_settle(&world);
        confirm(&world);
        story_expect_steps(&world, "emergency main");
        story_expect_steps(&world, SERVER);
        /* Its own CA was not stolen: its leaf stays. */
        story_expect_steps(&world, "trust app, publish app, prune app");
        ck_assert(!story_has_anchor(&world, 1, 1));
        story_expect_steps(&world, "retire main");
        story_expect_steps(&world, "");
}
END_TEST

START_TEST(says_what_will_break)
{
        _cleanup_(world_done) World world;
        _cleanup_(text_done) Text text = {0}, with_stuck = {0};

        story_begin(&world);
        emergency_describe(&world.policy, world.observation, world.memory, 0, &text);
        ck_assert_ptr_nonnull(
                strstr(text_content(&text), "client certificates of it on other hosts"));
        ck_assert_ptr_nonnull(strstr(text_content(&text), "2031-01-01T06:00:00Z"));
        ck_assert_ptr_null(strstr(text_content(&text), "cluster main"));
        attempt_failed(&world.memory->clusters[0].attempt, &world.policy, world.boot, 0, "no");
        emergency_describe(&world.policy, world.observation, world.memory, 0, &with_stuck);
        ck_assert_ptr_nonnull(strstr(text_content(&with_stuck), "cluster main"));
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("emergency");
        TCase *tcase = tcase_create("emergency");

        tcase_add_test(tcase, moves_servers_then_clients_then_drops_the_root);
        tcase_add_test(tcase, discards_a_prepared_one);
        tcase_add_test(tcase, goes_on_where_the_theft_alone_is_known);
        tcase_add_test(tcase, needs_no_second_step_without_local_clients);
        tcase_add_test(tcase, clients_wait_for_servers_that_can_be_moved);
        tcase_add_test(tcase, retires_nothing_that_a_stuck_set_trusts);
        tcase_add_loop_test(tcase, names_a_stuck_server_and_does_not_wait, 0, ELEMENTSOF(stuck));
        tcase_add_test(tcase, counts_a_server_that_is_down_by_its_files);
        tcase_add_test(tcase, reaches_readers_of_another_authority);
        tcase_add_test(tcase, says_what_will_break);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
