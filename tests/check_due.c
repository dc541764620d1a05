/*
 * When a set is due, and why: each reason alone, and what is no reason.
 */
#include "tests/world.h"

typedef struct Case {
        const char *name;
        void (*change)(World *world);
        const char *steps;  /* of certificate "server" alone */
        const char *reason; /* a part of it; NULL where nothing is due */
} Case;

static ObservedSet *server(World *world)
{
        return &world->observation->sets[0];
}

static void change_nothing(World *world)
{
        (void)world;
}

static void request(World *world)
{
        world->memory->certificates[0].is_requested = true;
}

static void request_rekey(World *world)
{
        world->memory->certificates[0].is_requested = true;
        world->memory->certificates[0].is_rekey_requested = true;
}

static void remove_set(World *world)
{
        *server(world) = (ObservedSet){.state = SET_ABSENT};
}

static void damage(World *world)
{
        server(world)->state = SET_DAMAGED;
        server(world)->problem = strdup("server.crt and server.key do not match");
}

static void damage_leaf(World *world)
{
        server(world)->state = SET_DAMAGED;
        server(world)->has_leaf = false;
}

static void postdate(World *world)
{
        server(world)->leaf.not_before_usec = world->now + 1;
}

static void begin_now(World *world)
{
        server(world)->leaf.not_before_usec = world->now;
}

static void expire(World *world)
{
        world->now = server(world)->leaf.not_after_usec;
}

static void rename_subject(World *world)
{
        server(world)->defects = SET_NAMES;
}

static void change_key_type(World *world)
{
        server(world)->defects = SET_KEY_TYPE;
}

static void change_usage(World *world)
{
        server(world)->defects = SET_USAGE;
}

static void change_mode(World *world)
{
        server(world)->defects = SET_MODE;
}

static void remove_link(World *world)
{
        server(world)->defects = SET_LINKS;
}

static void remove_service(World *world)
{
        server(world)->defects = SET_SERVICE;
}

static void move_to_other(World *world)
{
        PolicyCertificate *certificate = &world->policy.certificates[0];

        certificate->authority = certificate->bundle[0] = &world->policy.authorities[1];
}

static void add_anchor(World *world)
{
        ObservedAuthority *authority = &world->observation->authorities[0];

        authority->generations =
                reallocarray(authority->generations, 2, sizeof *authority->generations);
        authority->generations[1] =
                (ObservedGeneration){.phase = AUTHORITY_NEXT, .subject = strdup("CN=root G2")};
        authority->generations[1].facts.key_id[0] = 0xCB;
        authority->n_generations = 2;
}

static void age_key(World *world)
{
        server(world)->key_made_usec = world->now - YEAR;
}

static void age_key_nearly(World *world)
{
        server(world)->key_made_usec = world->now - YEAR + 1;
}

static void rekey_always(World *world)
{
        world->policy.certificates[0].rekey_always = true;
        server(world)->key_made_usec = world->now - 10 * YEAR;
}

static void rekey_always_renewal(World *world)
{
        rekey_always(world);
        world->now += 20 * DAY;
}

static int64_t renew_at(World *world)
{
        return due_renew_at(&world->policy.certificates[0], server(world)->leaf.not_after_usec,
                            "db1.example.com");
}

static void reach_renewal(World *world)
{
        world->now = renew_at(world);
}

static void nearly_reach_renewal(World *world)
{
        world->now = renew_at(world) - 1;
}

static void clamp(World *world)
{
        world->observation->authorities[0].generations[0].facts.not_after_usec =
                server(world)->leaf.not_after_usec;
        world->now = server(world)->leaf.not_after_usec - DAY;
        world->policy.authorities[0].renew_before_usec = HOUR; /* no next one yet */
}

static void clamp_within_a_second(World *world)
{
        clamp(world);
        world->observation->authorities[0].generations[0].facts.not_after_usec += SECOND - 1;
}

static void clamp_beyond_a_second(World *world)
{
        clamp(world);
        world->observation->authorities[0].generations[0].facts.not_after_usec += SECOND;
}

static void put_back(World *world)
{
        server(world)->refused = server(world)->generation + 1;
}

static void put_back_fresh(World *world)
{
        put_back(world);
        server(world)->refused_until_usec = world->now + 30 * DAY;
}

static void put_back_before_next(World *world)
{
        put_back_fresh(world);
        add_anchor(world);
        world->observation->authorities[0].generations[1].prepared_usec = world->now + 2 * SECOND;
}

static void put_back_after_next(World *world)
{
        put_back_before_next(world);
        world->observation->authorities[0].generations[1].prepared_usec = world->now;
}

static void put_back_long_ago(World *world)
{
        server(world)->refused = server(world)->generation - 1;
}

static void be_foreign(World *world)
{
        server(world)->state = SET_FOREIGN;
        request(world);
}

static void have_foreign_service(World *world)
{
        server(world)->defects = SET_SERVICE_FOREIGN | SET_NAMES;
}

static void be_unknown(World *world)
{
        server(world)->state = SET_UNKNOWN;
        request(world);
}

#define RENEWED "issue server, publish server, prune server"
#define REKEYED "issue server (new key), publish server, prune server"

static const Case cases[] = {
        {"settled", change_nothing, "", NULL},
        {"requested", request, RENEWED, "asked for"},
        {"rekey requested", request_rekey, REKEYED, "new key was asked for"},
        {"absent", remove_set, REKEYED, "no certificate yet"},
        {"damaged", damage, RENEWED, "do not match"},
        {"damaged leaf", damage_leaf, RENEWED, "damaged"},
        {"not yet valid", postdate, RENEWED, "not valid before 2026-01-01T00:00:00Z"},
        {"valid from now", begin_now, "", NULL},
        {"expired", expire, RENEWED, "expired at 2026-01-31T00:00:00Z"},
        {"names", rename_subject, RENEWED, "other names"},
        {"key type", change_key_type, REKEYED, "ecdsa-p256"},
        {"usage", change_usage, RENEWED, "for a server"},
        {"mode", change_mode, RENEWED, "mode"},
        {"links", remove_link, "publish server", "missing"},
        {"service file", remove_service, "publish server", "service file"},
        {"other authority", move_to_other, RENEWED, "authority is now main1"},
        {"missing anchor", add_anchor, RENEWED, "lacks CN=root G2"},
        {"key's age", age_key, REKEYED, "new key is due since 2026-01-01T00:00:00Z"},
        {"key's age, 1 us before", age_key_nearly, "", NULL},
        {"rekey always", rekey_always, "", NULL},
        {"rekey always, renewal", rekey_always_renewal, REKEYED, "renewal is due"},
        {"renewal", reach_renewal, RENEWED, "renewal is due since 2026-01-"},
        {"renewal, 1 us before", nearly_reach_renewal, "", NULL},
        {"clamped", clamp, "", NULL},
        {"clamped, less than 1 s", clamp_within_a_second, "", NULL},
        {"clamped, 1 s to win", clamp_beyond_a_second, RENEWED, "renewal is due"},
        {"put back", put_back, RENEWED, "refused"},
        {"put back, of use", put_back_fresh, "retry server, prune server", "tried again"},
        {"put back, an anchor newer", put_back_before_next, RENEWED, "lacks CN=root G2"},
        {"put back, no anchor newer", put_back_after_next, "retry server, prune server", "again"},
        {"refused once, newer now", put_back_long_ago, "", NULL},
        {"foreign", be_foreign, "", NULL},
        {"foreign service file", have_foreign_service, "", NULL},
        {"unknown", be_unknown, "", NULL},
};

START_TEST(is_due_for_each_reason_and_no_other)
{
        const Case *test = &cases[_i];
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(freep) char *steps = NULL;

        world_init(&world, 1, 0, 0, 2);
        world_settle(&world);
        test->change(&world);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        ck_assert_msg(strcmp(steps, test->steps) == 0, "%s: %s", test->name, steps);
        if (test->reason)
                ck_assert_msg(strstr(plan->steps[0].reason, test->reason) != NULL, "%s: %s",
                              test->name, plan->steps[0].reason);
}
END_TEST

/* Doing what is due ends it: no reason comes back by itself. */
START_TEST(is_not_due_again_once_done)
{
        const Case *test = &cases[_i];
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *after = NULL;
        _cleanup_(freep) char *steps = NULL;

        world_init(&world, 1, 0, 0, 2);
        world_settle(&world);
        test->change(&world);
        if (test->change == add_anchor || test->change == put_back_before_next ||
            test->change == put_back_after_next || test->change == be_unknown ||
            test->change == be_foreign)
                return; /* a rollover; and nothing was done */
        plan = world_plan(&world);
        world_apply(&world, plan);
        world.memory->certificates[0].is_requested = false;
        after = world_plan(&world);
        steps = world_steps(&world, after);
        ck_assert_msg(strcmp(steps, "") == 0, "%s: %s", test->name, steps);
}
END_TEST

START_TEST(gives_the_first_reason_that_fits)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *requested = NULL;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        expire(&world);
        server(&world)->defects = SET_KEY_TYPE | SET_MODE | SET_LINKS;
        plan = world_plan(&world);
        ck_assert_ptr_nonnull(strstr(plan->steps[0].reason, "expired"));
        ck_assert(plan->steps[0].rekey);
        request(&world);
        requested = world_plan(&world);
        ck_assert_ptr_nonnull(strstr(requested->steps[0].reason, "asked for"));
        ck_assert(requested->steps[0].rekey);
}
END_TEST

START_TEST(jitter_renews_earlier_only_and_is_bounded)
{
        PolicyCertificate certificate = {.lifetime_usec = 30 * DAY, .renew_before_usec = 10 * DAY};
        int64_t first = 0, late = START + 20 * DAY, early = late - DAY, low = late, high = early;
        char name[16];

        certificate.name = name;
        for (int i = 0; i < 2000; i++) {
                int64_t at, other;

                snprintf(name, sizeof name, "c%d", i);
                at = due_renew_at(&certificate, START + 30 * DAY, "db1");
                other = due_renew_at(&certificate, START + 30 * DAY, "db2");
                ck_assert_int_ge(at, early);
                ck_assert_int_le(at, late);
                ck_assert_int_eq(at, due_renew_at(&certificate, START + 30 * DAY, "db1"));
                ck_assert_int_ne(at, other);
                ck_assert(i == 0 || at != first);
                if (i == 0)
                        first = at;
                low = at < low ? at : low;
                high = at > high ? at : high;
        }
        /* Spread over the whole of it. */
        ck_assert_int_lt(low, early + HOUR);
        ck_assert_int_gt(high, late - HOUR);
}
END_TEST

START_TEST(short_lives_have_no_jitter)
{
        static const struct {
                int64_t lifetime, renew_before, jitter_max;
        } lives[] = {
                {12 * SECOND, 4 * SECOND, 0},
                {HOUR + 10 * SECOND - 1, 10 * SECOND, 0},
                {HOUR + 10 * SECOND, 10 * SECOND, HOUR / 20},
        };

        for (size_t i = 0; i < ELEMENTSOF(lives); i++) {
                PolicyCertificate certificate = {.name = (char[]){"server"},
                                                 .lifetime_usec = lives[i].lifetime,
                                                 .renew_before_usec = lives[i].renew_before};
                int64_t jitter = START - lives[i].renew_before -
                                 due_renew_at(&certificate, START, "db1.example.com");

                ck_assert_int_ge(jitter, lives[i].jitter_max > 0);
                ck_assert_int_le(jitter, lives[i].jitter_max);
        }
}
END_TEST

START_TEST(tells_when_a_set_will_be_due)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *old_key = NULL, *clamped = NULL, *absent = NULL;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        plan = world_plan(&world);
        ck_assert_int_eq(plan->certificates[0].renew_at_usec, renew_at(&world));
        server(&world)->key_made_usec = world.now - YEAR + DAY;
        old_key = world_plan(&world);
        ck_assert_int_eq(old_key->certificates[0].renew_at_usec, world.now + DAY);
        server(&world)->key_made_usec = world.now;
        world.policy.certificates[0].rekey_always = true;
        world.observation->authorities[0].generations[0].facts.not_after_usec =
                server(&world)->leaf.not_after_usec;
        clamped = world_plan(&world);
        ck_assert_int_eq(clamped->certificates[0].renew_at_usec, USEC_INFINITY);
        remove_set(&world);
        absent = world_plan(&world);
        ck_assert_int_eq(absent->certificates[0].renew_at_usec, USEC_INFINITY);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("due");
        TCase *tcase = tcase_create("reasons");

        tcase_add_loop_test(tcase, is_due_for_each_reason_and_no_other, 0, ELEMENTSOF(cases));
        tcase_add_loop_test(tcase, is_not_due_again_once_done, 0, ELEMENTSOF(cases));
        tcase_add_test(tcase, gives_the_first_reason_that_fits);
        tcase_add_test(tcase, jitter_renews_earlier_only_and_is_bounded);
        tcase_add_test(tcase, short_lives_have_no_jitter);
        tcase_add_test(tcase, tells_when_a_set_will_be_due);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
