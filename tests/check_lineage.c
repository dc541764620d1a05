/*
 * Readers of a CA that somebody else made: moved with its key by an ordinary rollover, or without
 * it by a first CA that is trusted before it signs. And what a signer that is behind must not do.
 */
#include "tests/story.h"

static const uint8_t old[CERT_KEY_ID] = {0x01, 0xD0};

static ObservedSet *set(World *world, size_t index)
{
        return &world->observation->sets[index];
}

/* A set that somebody else made: its leaf and its one anchor are of the old CA. */
static void be_foreign(World *world, size_t index, int64_t lifetime)
{
        ObservedSet *foreign = set(world, index);

        *foreign = (ObservedSet){.state = SET_FOREIGN, .has_leaf = true};
        foreign->leaf.not_before_usec = world->now - YEAR;
        foreign->leaf.not_after_usec = world->now + lifetime;
        memcpy(foreign->leaf.issuer_key_id, old, CERT_KEY_ID);
        foreign->leaf.sha256[0] = (uint8_t)(0xF0 + index);
        ck_assert_int_eq(observation_bundle(world->observation, (const uint8_t(*)[CERT_KEY_ID])old,
                                            1, &foreign->bundle, NULL),
                         0);
}

/* A site with a CA of its own; the server serves its leaf. */
static void begin(World *world, int64_t lifetime)
{
        world_init(world, 1, 1, 1, 1);
        for (size_t i = 0; i < 2; i++) {
                world->policy.certificates[i].rekey_usec = 100 * YEAR;
                be_foreign(world, i, lifetime);
        }
        world_serve(world, 0);
}

/* What handing a set over leaves: a copy that is ours. */
static void adopt(World *world, size_t index)
{
        world->memory->certificates[index].has_consent = true;
        world->memory->certificates[index].is_requested = true; /* as whoever asked for it waits */
        set(world, index)->state = SET_OURS;
        set(world, index)->defects = SET_ADOPTED;
}

#define BOTH                                                                                       \
        "trust server, trust app, publish server, publish app, load main, prove main, prune "      \
        "server, prune app"
#define SERVER "issue server, publish server, load main, prove main, prune server"

/* The step for a CA comes first. */
static void to_announced(World *world)
{
        world_add_trust(world, 0, old);
        adopt(world, 0);
        adopt(world, 1);
        story_expect_reason(world, STEP_AUTHORITY, "made to be trusted first");
        story_expect_steps(world, "authority main");
        ck_assert_ptr_null(world_phase(world, 0, AUTHORITY_CURRENT));
        story_expect_next(world, STEP_ANNOUNCE, world->now, "certificate server, certificate app");
        story_expect_steps(world, BOTH);
        ck_assert_uint_eq(set(world, 0)->leaf.sha256[0], 0xF0);
        story_expect_steps(world, "announce main");
        story_expect_steps(world, "");
}

START_TEST(moves_readers_of_a_ca_without_its_key)
{
        _cleanup_(world_done) World world;
        int64_t announced;

        begin(&world, YEAR);
        to_announced(&world);
        announced = world.now;
        story_expect_health(&world, HEALTH_OK, NULL);
        story_live_until(&world, announced + 7 * DAY - 1);
        ck_assert_uint_eq(set(&world, 0)->leaf.sha256[0], 0xF0);
        story_go_to(&world, announced + 7 * DAY);
        story_expect_steps(&world, "activate main");
        /* Servers first; clients once these were proved. */
        story_expect_reason(&world, STEP_ISSUE, "it moves from another CA to authority main");
        story_expect_steps(&world, SERVER);
        story_expect_steps(&world, "issue app, publish app, prune app");
        story_expect_steps(&world, "");
        /* The foreign CA stays trusted until its line goes. */
        for (size_t i = 0; i < 2; i++)
                ck_assert(evidence_has_anchor(world.observation, set(&world, i), old));
        story_live_until(&world, world.now + YEAR);
        ck_assert(evidence_has_anchor(world.observation, set(&world, 1), old));
}
END_TEST

START_TEST(clients_wait_for_the_servers_but_not_past_their_renewal)
{
        _cleanup_(world_done) World world;
        int64_t renew;

        begin(&world, 60 * DAY);
        to_announced(&world);
        story_go_to(&world, world.now + 7 * DAY);
        story_expect_steps(&world, "activate main");
        world.observation->clusters[0].served.outcome = HANDSHAKE_TIMEOUT;
        world_publish(&world, 0, false);
        attempt_failed(&world.memory->clusters[0].attempt, &world.policy, world.boot, 0, "late");
        world.memory->clusters[0].attempt.retry_boot_usec = INT64_MAX;
        memcpy(world.memory->clusters[0].tried, set(&world, 0)->leaf.sha256, CERT_FINGERPRINT);
        world.memory->clusters[0].tried_pid = world.observation->clusters[0].pid;
        world.memory->clusters[0].tried_started_sec = 1;
        story_expect_steps(&world, "");
        renew = due_renew_at(&world.policy.certificates[1], set(&world, 1)->leaf.not_after_usec,
                             "db1.example.com");
        story_go_to(&world, renew - 1);
        world_publish(&world, 0, false);
        world.memory->clusters[0].tried[0]++;
        memcpy(world.memory->clusters[0].tried, set(&world, 0)->leaf.sha256, CERT_FINGERPRINT);
        story_expect_steps(&world, "");
        story_go_to(&world, renew);
        story_expect_steps(&world, "issue app, publish app, prune app");
}
END_TEST

/* A foreign leaf that ends before distribute is over: it has until then, and no longer. */
START_TEST(a_foreign_leaf_that_ends_is_not_outlived)
{
        _cleanup_(world_done) World world;
        int64_t end;

        begin(&world, 3 * DAY);
        to_announced(&world);
        end = set(&world, 0)->leaf.not_after_usec;
        story_live_until(&world, end - 1);
        ck_assert_uint_eq(story_issuer(&world, 0), 1);
        ck_assert_uint_eq(story_issuer(&world, 1), 1);
        ck_assert_int_gt(set(&world, 0)->leaf.not_after_usec, end);
}
END_TEST

START_TEST(makes_no_ca_before_everybody_was_handed_over)
{
        _cleanup_(world_done) World world;

        begin(&world, YEAR);
        world_add_trust(&world, 0, old);
        adopt(&world, 0);
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_WARNING, "while certificate app is foreign");
}
END_TEST

START_TEST(a_new_certificate_waits_until_the_ca_signs)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        begin(&world, YEAR);
        to_announced(&world);
        *set(&world, 1) = (ObservedSet){.state = SET_ABSENT};
        plan = world_plan(&world);
        ck_assert_int_eq(plan->certificates[1].state, CERTIFICATE_HELD);
        ck_assert_ptr_nonnull(strstr(plan->certificates[1].error, "does not sign yet"));
        story_go_to(&world, world.now + 7 * DAY);
        story_expect_steps(&world, "activate main");
        story_expect_steps(&world,
                           "issue server, issue app (new key), publish server, publish app, "
                           "load main, prove main, prune server, prune app");
}
END_TEST

/* With its key it is imported, whatever is foreign yet; then it is followed like any other. */
START_TEST(imports_a_ca_with_its_key)
{
        _cleanup_(world_done) World world;
        ObservedGeneration *ca;
        static char file[] = "/etc/old-ca.pem";

        begin(&world, YEAR);
        world.policy.authorities[0].adopt_certificate = file;
        story_expect_reason(&world, STEP_AUTHORITY, "`adopt` names one");
        story_expect_steps(&world, "authority main");
        ca = world_phase(&world, 0, AUTHORITY_CURRENT);
        ck_assert_ptr_nonnull(ca);
        ca->is_imported = true;
        memcpy(ca->facts.key_id, old, CERT_KEY_ID);
        ca->facts.not_after_usec = world.now + 50 * YEAR;
        story_expect_steps(&world, "");
        story_expect_next(&world, STEP_PREPARE, world.now, "certificate server, certificate app");
        adopt(&world, 0);
        adopt(&world, 1);
        story_expect_steps(&world,
                           "prepare main, issue server, issue app, publish server, publish app, "
                           "load main, prove main, prune server, prune app");
        ck_assert_mem_eq(set(&world, 0)->leaf.issuer_key_id, old, CERT_KEY_ID);
        story_expect_steps(&world, "announce main");
        story_go_to(&world, world.now + 7 * DAY);
        story_expect_steps(&world, "activate main");
        story_expect_next(&world, STEP_PREPARE,
                          world_phase(&world, 0, AUTHORITY_CURRENT)->facts.not_after_usec - YEAR,
                          NULL);
        story_live_until(&world, world.now + 40 * DAY);
        ck_assert_uint_eq(story_issuer(&world, 0), 2);
        ck_assert_uint_eq(story_issuer(&world, 1), 2);
        ck_assert(evidence_has_anchor(world.observation, set(&world, 1), old));
}
END_TEST

static void name_anchor(World *world)
{
        static const uint8_t anchors[2][CERT_KEY_ID] = {{0xCA}, {0x99}};

        ck_assert_int_eq(
                observation_bundle(world->observation, anchors, 2, &set(world, 1)->bundle, NULL),
                0);
}

static void name_issuer(World *world)
{
        set(world, 1)->leaf.issuer_key_id[0] = 0x99;
}

static void (*const names[])(World *world) = {name_anchor, name_issuer};

/* Restored from a backup of before a rollover: told, and nothing worse. */
START_TEST(a_signer_that_is_behind_does_nothing)
{
        _cleanup_(world_done) World world;
        ObservedAuthority *authority;

        world_init(&world, 1, 2, 0, 1);
        world_settle(&world);
        names[_i](&world);
        world.memory->authorities[0].is_rotate_requested = true;
        world.memory->certificates[1].is_requested = true;
        *set(&world, 2) = (ObservedSet){.state = SET_ABSENT};
        story_expect_steps(&world, "");
        story_expect_health(&world, HEALTH_WARNING, "certificate app: the signer is behind");
        /* What is there and known goes on. */
        world.memory->certificates[0].is_requested = true;
        story_expect_steps(&world, "issue server, publish server, prune server");
        /* A retired one is no riddle. */
        authority = &world.observation->authorities[0];
        authority->retired = calloc(1, sizeof *authority->retired);
        authority->retired[authority->n_retired++][0] = 0x99;
        story_expect_reason(&world, STEP_PREPARE, "asked for");
}
END_TEST

START_TEST(a_leaf_of_a_retired_ca_is_replaced)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        world.observation->authorities[0].retired = calloc(1, CERT_KEY_ID);
        world.observation->authorities[0].n_retired = 1;
        world.observation->authorities[0].retired[0][0] = 0x99;
        set(&world, 0)->leaf.issuer_key_id[0] = 0x99;
        story_expect_reason(&world, STEP_ISSUE, "its CA was retired");
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("lineage");
        TCase *moving = tcase_create("moving"), *behind = tcase_create("behind");

        tcase_add_test(moving, moves_readers_of_a_ca_without_its_key);
        tcase_add_test(moving, clients_wait_for_the_servers_but_not_past_their_renewal);
        tcase_add_test(moving, a_foreign_leaf_that_ends_is_not_outlived);
        tcase_add_test(moving, makes_no_ca_before_everybody_was_handed_over);
        tcase_add_test(moving, a_new_certificate_waits_until_the_ca_signs);
        tcase_add_test(moving, imports_a_ca_with_its_key);
        suite_add_tcase(suite, moving);
        tcase_add_loop_test(behind, a_signer_that_is_behind_does_nothing, 0, ELEMENTSOF(names));
        tcase_add_test(behind, a_leaf_of_a_retired_ca_is_replaced);
        suite_add_tcase(suite, behind);
        return suite;
}

#include "tests/check_main.h"
