/*
 * Years in a moment: the plan is carried out as if every step went well, then the clock goes to the
 * next deadline that the plan named, and nowhere else. No leaf may ever be seen to expire, nothing
 * may be due twice, and no more may be issued than the lives ask for.
 */
#include "tests/world.h"

enum { WAKE_UPS_MAX = 100000, PASSES_MAX = 5 };

static void assert_nothing_expired(const World *world)
{
        for (size_t i = 0; i < world->policy.n_certificates; i++)
                ck_assert_int_gt(world->observation->sets[i].leaf.not_after_usec, world->now);
        for (size_t c = 0; c < world->policy.n_clusters; c++)
                ck_assert_int_gt(world->observation->clusters[c].served.leaf.not_after_usec,
                                 world->now);
}

/* Lives until end; returns the wake-ups. */
static unsigned live(World *world, int64_t end)
{
        unsigned wake_ups = 0;

        while (world->now < end) {
                _cleanup_(plan_freep) Plan *after = world_plan(world);
                int64_t next;

                ck_assert_uint_lt(wake_ups++, WAKE_UPS_MAX);
                /* A rollover takes its steps one pass after the other. */
                for (unsigned passes = 0; after->n_steps > 0; passes++) {
                        ck_assert_uint_lt(passes, PASSES_MAX);
                        world_apply(world, after);
                        assert_nothing_expired(world);
                        plan_free(after);
                        after = world_plan(world);
                }
                ck_assert_int_eq(after->certificates[0].state, CERTIFICATE_OK);
                ck_assert_int_eq(after->next_boot_usec, USEC_INFINITY);
                next = after->next_usec;
                ck_assert_int_gt(next, world->now);
                if (next > end)
                        next = end;
                world->boot += next - world->now;
                world->now = next;
                assert_nothing_expired(world);
        }
        return wake_ups;
}

START_TEST(ten_years_of_renewals_without_an_expiry)
{
        _cleanup_(world_done) World world;
        unsigned wake_ups;

        world_init(&world, 1, 2, 2, 1);
        world.policy.authorities[0].lifetime_usec = 20 * YEAR;
        wake_ups = live(&world, START + 10 * YEAR);
        /* 20 days between renewals and a little less by jitter: 183 to 193 of each, and the key's
         * yearly one may come between. */
        ck_assert_uint_ge(world.issued, 3 * 183);
        ck_assert_uint_le(world.issued, 3 * (193 + 10));
        ck_assert_uint_ge(world.loads, 2 * 183);
        ck_assert_uint_le(world.loads, 2 * (193 + 10));
        ck_assert_uint_le(wake_ups, world.issued + 2);
}
END_TEST

START_TEST(clamped_leaves_wait_for_the_next_ca)
{
        _cleanup_(world_done) World world;
        const ObservedGeneration *ca;
        uint32_t issued;

        world_init(&world, 1, 1, 1, 1);
        world.policy.authorities[0].lifetime_usec = YEAR;
        world.policy.authorities[0].renew_before_usec = HOUR; /* too late for a next one */
        world.policy.certificates[0].rekey_usec = 10 * YEAR;
        world.policy.certificates[1].rekey_usec = 10 * YEAR;
        live(&world, START + YEAR - HOUR - 1);
        ca = &world.observation->authorities[0].generations[0];
        ck_assert_int_eq(world.observation->sets[0].leaf.not_after_usec, ca->facts.not_after_usec);
        issued = world.issued;
        live(&world, world.now);
        ck_assert_uint_eq(world.issued, issued);
        ck_assert_uint_le(world.issued, 2 * (366 / 19 + 1));
}
END_TEST

/* The quickstart's lives: seconds, and no jitter. */
START_TEST(lives_of_seconds_are_renewed_in_time)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 1, 1, 1);
        world.policy.backdate_usec = SECOND;
        for (size_t i = 0; i < 2; i++) {
                world.policy.certificates[i].lifetime_usec = 12 * SECOND;
                world.policy.certificates[i].renew_before_usec = 4 * SECOND;
        }
        live(&world, START + HOUR);
        ck_assert_uint_eq(world.issued, 2 * (3600 / 8));
        ck_assert_uint_eq(world.loads, 3600 / 8);
}
END_TEST

START_TEST(keys_are_replaced_when_their_time_has_come)
{
        _cleanup_(world_done) World world;
        int64_t oldest = 0;

        world_init(&world, 1, 0, 0, 1);
        for (int day = 1; day < 3 * 365; day++) {
                int64_t age;

                live(&world, START + day * DAY);
                age = world.now - world.observation->sets[0].key_made_usec;
                oldest = age > oldest ? age : oldest;
        }
        ck_assert_int_le(oldest, YEAR);
        ck_assert_int_gt(oldest, YEAR - 3 * DAY);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("simulation");
        TCase *tcase = tcase_create("years");

        tcase_add_test(tcase, ten_years_of_renewals_without_an_expiry);
        tcase_add_test(tcase, clamped_leaves_wait_for_the_next_ca);
        tcase_add_test(tcase, lives_of_seconds_are_renewed_in_time);
        tcase_add_test(tcase, keys_are_replaced_when_their_time_has_come);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
