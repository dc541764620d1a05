/* The plan as a whole: its order, when a CA is made, when to look again, how long planning takes.
 */
#include "tests/world.h"

#include <time.h>

static void assert_steps(const World *world, const char *wanted)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);
        _cleanup_(freep) char *steps = world_steps(world, plan);

        ck_assert_str_eq(steps, wanted);
}

static void assert_next(const World *world, int64_t usec, int64_t boot_usec, const char *what)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);

        ck_assert_str_eq(plan->next_what, what);
        ck_assert_int_eq(plan->next_usec, usec);
        ck_assert_int_eq(plan->next_boot_usec, boot_usec);
        ck_assert_int_eq(plan->next_what_usec, strncmp(what, "retry", 5) == 0
                                                       ? world->now + boot_usec - world->boot
                                                       : usec);
}

#define FRESH                                                                                      \
        "authority main, issue server (new key), issue app (new key), publish server, "            \
        "publish app, configure main, load main, prove main, login main, prune server, prune app"

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
        ck_assert(after->clusters[0].running && after->clusters[0].reachable);
}
END_TEST

START_TEST(does_nothing_while_nothing_is_due)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 1, 1, 1);
        world_settle(&world);
        assert_steps(&world, "");
        world.now += 18 * DAY;
        assert_steps(&world, "");
}
END_TEST

START_TEST(plans_an_empty_policy)
{
        _cleanup_(world_done) World world;

        world_init(&world, 0, 0, 0, 0);
        assert_steps(&world, "");
        assert_next(&world, USEC_INFINITY, USEC_INFINITY, "nothing is due");
}
END_TEST

START_TEST(the_same_input_gives_the_same_plan)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *a = NULL, *b = NULL;
        _cleanup_(freep) char *first = NULL, *second = NULL;

        world_init(&world, 3, 3, 2, 2);
        a = world_plan(&world);
        b = world_plan(&world);
        first = world_steps(&world, a);
        second = world_steps(&world, b);
        ck_assert_str_eq(first, second);
        ck_assert_int_eq(a->next_usec, b->next_usec);
}
END_TEST

/* Certificates: server (authority main), app (main), app1 (main1). */
static void init_two_authorities(World *world)
{
        PolicyCertificate *other;

        world_init(world, 1, 2, 0, 2);
        other = &world->policy.certificates[2];
        other->authority = other->bundle[0] = &world->policy.authorities[1];
}

static void set_state(World *world, size_t index, SetState state)
{
        world->observation->sets[index].state = (uint8_t)state;
}

static void fail_authority(World *world)
{
        attempt_failed(&world->memory->authorities[0].attempt, &world->policy, world->boot, 0,
                       "the signer's disk is full");
}

static void fail_authority_and_request(World *world)
{
        fail_authority(world);
        world->memory->certificates[0].is_requested = true;
}

static void be_foreign(World *world)
{
        set_state(world, 0, SET_FOREIGN);
}

static void be_unknown(World *world)
{
        set_state(world, 0, SET_UNKNOWN);
}

static void lose(World *world)
{
        world_make_authority(world, 0);
        world_publish(world, 0, true);
        world_lose_authority(world, 0, true);
}

/* The first authority's certificate is moved to the second, which has no CA yet. */
static void move(World *world)
{
        world_make_authority(world, 0);
        world_publish(world, 0, true);
        world_publish(world, 1, true);
        world->policy.certificates[1].authority = world->policy.certificates[1].bundle[0] =
                &world->policy.authorities[1];
}

static void none(World *world)
{
        (void)world;
}

#define ISSUE(name) "issue " name " (new key)"

static const struct {
        const char *name;
        void (*change)(World *world);
        const char *steps;
        Health health; /* of authority main */
} authorities[] = {
        {"blank", none,
         "authority main, authority main1, " ISSUE("server") ", " ISSUE("app") ", " ISSUE(
                 "app1") ", publish server, publish app, publish app1, prune server, prune app, "
                         "prune app1",
         0},
        {"in back-off", fail_authority,
         "authority main1, " ISSUE("app1") ", publish app1, prune app1", 1},
        {"in back-off, but requested", fail_authority_and_request,
         "authority main, authority main1, " ISSUE("server") ", " ISSUE(
                 "app1") ", publish server, publish app1, prune server, prune app1",
         1},
        {"a foreign set", be_foreign,
         "authority main1, " ISSUE("app1") ", publish app1, prune app1", 1},
        {"a set that nobody sees holds up nothing else", be_unknown,
         "authority main, authority main1, " ISSUE("app") ", " ISSUE(
                 "app1") ", publish app, publish app1, prune app, prune app1",
         0},
        {"lost", lose, "authority main1, " ISSUE("app1") ", publish app1, prune app1", 2},
        {"moved", move,
         "authority main1, issue app, " ISSUE(
                 "app1") ", publish app, publish app1, prune app, prune app1",
         0},
};

START_TEST(makes_a_ca_on_a_blank_slate_alone)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(freep) char *steps = NULL;

        init_two_authorities(&world);
        authorities[_i].change(&world);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        ck_assert_msg(strcmp(steps, authorities[_i].steps) == 0, "%s: %s", authorities[_i].name,
                      steps);
        ck_assert_msg(plan->authorities[0].health == authorities[_i].health, "%s: %s",
                      authorities[_i].name, health_name(plan->authorities[0].health));
        ck_assert_int_eq(!plan->authorities[0].error, plan->authorities[0].health == HEALTH_OK);
}
END_TEST

START_TEST(makes_no_ca_that_nobody_uses)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 0, 0, 2);
        assert_steps(&world, "authority main, " ISSUE("server") ", publish server, prune server");
}
END_TEST

START_TEST(holds_every_step)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;

        world_init(&world, 1, 1, 1, 1);
        world.observation->clusters[0].configuration = CONFIGURATION_ABSENT;
        world.held = "the policy is broken";
        world.check_all = true;
        plan = world_plan(&world);
        ck_assert_uint_eq(plan->n_steps, 0);
        ck_assert_int_eq(plan->health, HEALTH_CRITICAL);
        ck_assert_str_eq(plan->certificates[1].error, "the policy is broken");
}
END_TEST

static int64_t renew_at(const World *world, size_t index)
{
        return due_renew_at(&world->policy.certificates[index],
                            world->observation->sets[index].leaf.not_after_usec, "db1.example.com");
}

START_TEST(tells_when_to_look_again)
{
        _cleanup_(world_done) World world;
        Attempt *attempt;

        world_init(&world, 1, 1, 1, 1);
        world_settle(&world);
        world.policy.certificates[1].renew_before_usec = 15 * DAY;
        assert_next(&world, renew_at(&world, 1), USEC_INFINITY, "renew app");
        world.policy.certificates[1].renew_before_usec = 5 * DAY;
        assert_next(&world, renew_at(&world, 0), USEC_INFINITY, "renew server");
        /* The client is due, and failed: its retry is next. */
        world.observation->sets[1].leaf.not_after_usec = world.now + DAY;
        attempt = &world.memory->certificates[1].attempt;
        attempt_failed(attempt, &world.policy, world.boot, 0, "the disk is full");
        assert_next(&world, renew_at(&world, 0), world.boot + 5 * SECOND, "retry app");
        /* A cluster's retry comes before it. */
        world.boot += 3 * SECOND;
        attempt_failed(&world.memory->clusters[0].attempt, &world.policy, world.boot - 2 * SECOND,
                       0, "no postmaster");
        world.observation->clusters[0].served.outcome = HANDSHAKE_TIMEOUT;
        assert_next(&world, renew_at(&world, 0), world.boot + 2 * SECOND, "retry app");
        attempt->retry_boot_usec += 2 * SECOND;
        assert_next(&world, renew_at(&world, 0), world.boot + 3 * SECOND, "retry main");
        /* However long the machine has been up. */
        world.boot += 1000 * DAY;
        attempt->retry_boot_usec += 1000 * DAY;
        world.memory->clusters[0].attempt.retry_boot_usec += 1000 * DAY;
        assert_next(&world, renew_at(&world, 0), world.boot + 3 * SECOND, "retry main");
        /* Nothing waits any more, and the renewal comes before a far retry. */
        world.boot += HOUR;
        attempt->retry_boot_usec = world.boot + 100 * DAY;
        world.observation->clusters[0].served.outcome = HANDSHAKE_TLS;
        assert_next(&world, renew_at(&world, 0), world.boot + 100 * DAY, "renew server");
}
END_TEST

START_TEST(tells_the_cas_end_where_leaves_are_clamped)
{
        _cleanup_(world_done) World world;
        ObservedGeneration *ca;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        world.policy.certificates[0].rekey_always = true;
        ca = &world.observation->authorities[0].generations[0];
        ca->facts.not_after_usec = world.observation->sets[0].leaf.not_after_usec;
        world.policy.authorities[0].renew_before_usec = DAY;
        assert_next(&world, ca->facts.not_after_usec - DAY, USEC_INFINITY,
                    "prepare the next CA of main");
        world.now = ca->facts.not_after_usec - DAY;
        assert_steps(&world, "prepare main");
}
END_TEST

START_TEST(waits_for_a_ca_that_could_not_be_made)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 0, 0, 1);
        fail_authority(&world);
        assert_next(&world, USEC_INFINITY, world.boot + 5 * SECOND, "retry server");
}
END_TEST

static double seconds(void)
{
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* 10,000 certificates and as many clusters with one of them; a square would take minutes. */
START_TEST(plans_many_certificates_in_a_moment)
{
        enum { MANY = 10000 };
        _cleanup_(world_done) World world;
        double start;

        world_init(&world, 1, MANY - 1, MANY, 1);
        world_settle(&world);
        for (size_t i = 0; i < MANY; i++)
                world.memory->certificates[i].is_requested = true;
        start = seconds();
        {
                _cleanup_(plan_freep) Plan *plan = world_plan(&world);

                ck_assert_uint_eq(plan->n_steps, 3 * MANY + 2 * MANY);
        }
        ck_assert_double_lt(seconds() - start, 2);
}
END_TEST

/* As many authorities, each with its own certificate, moved to the next one. */
START_TEST(plans_many_authorities_in_a_moment)
{
        enum { MANY = 5000 };
        _cleanup_(world_done) World world;
        double start;

        world_init(&world, 0, MANY, 0, MANY);
        for (size_t a = 0; a < MANY; a++) {
                PolicyCertificate *certificate = &world.policy.certificates[a];
                uint32_t id = (uint32_t)a;

                certificate->authority = certificate->bundle[0] = &world.policy.authorities[a];
                world_make_authority(&world, a);
                memcpy(world.observation->authorities[a].generations[0].facts.key_id + 1, &id,
                       sizeof id);
                world_publish(&world, a, true);
                certificate->authority = certificate->bundle[0] =
                        &world.policy.authorities[(a + 1) % MANY];
        }
        start = seconds();
        {
                _cleanup_(plan_freep) Plan *plan = world_plan(&world);

                ck_assert_uint_eq(plan->n_steps, 3 * MANY);
        }
        ck_assert_double_lt(seconds() - start, 2);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("plan");
        TCase *steps = tcase_create("steps"), *next = tcase_create("next");

        tcase_add_test(steps, makes_everything_on_a_blank_slate_in_order);
        tcase_add_test(steps, does_nothing_while_nothing_is_due);
        tcase_add_test(steps, plans_an_empty_policy);
        tcase_add_test(steps, the_same_input_gives_the_same_plan);
        tcase_add_loop_test(steps, makes_a_ca_on_a_blank_slate_alone, 0, ELEMENTSOF(authorities));
        tcase_add_test(steps, makes_no_ca_that_nobody_uses);
        tcase_add_test(steps, holds_every_step);
        suite_add_tcase(suite, steps);
        tcase_add_test(next, tells_when_to_look_again);
        tcase_add_test(next, tells_the_cas_end_where_leaves_are_clamped);
        tcase_add_test(next, waits_for_a_ca_that_could_not_be_made);
        tcase_add_test(next, plans_many_certificates_in_a_moment);
        tcase_add_test(next, plans_many_authorities_in_a_moment);
        tcase_set_timeout(next, 60);
        suite_add_tcase(suite, next);
        return suite;
}

#include "tests/check_main.h"
