/*
 * What comes next for a CA, rule by rule: what it is done for, what holds it up, what ends the
 * waiting, and what is told of it.
 */
#include "tests/story.h"

#define SERVER "issue server, publish server, load main, prove main, prune server"

static void have_subject(World *world)
{
        story_want_subject(world);
        free(story_current(world)->subject);
        story_current(world)->subject = strdup("CN=other G1 ca000000");
}

static void want_key(World *world)
{
        story_current(world)->key_type = 1 + KEY_ECDSA_P256;
        world->policy.authorities[0].key = KEY_RSA_3072;
}

static void have_key(World *world)
{
        want_key(world);
        story_current(world)->key_type = 1 + KEY_RSA_3072;
}

static void not_tell_key(World *world)
{
        want_key(world);
        story_current(world)->key_type = 0;
}

static void import(World *world)
{
        story_current(world)->is_imported = true;
}

static void import_and_be_foreign(World *world)
{
        import(world);
        world->observation->sets[1].state = SET_FOREIGN;
}

static void go_before(World *world)
{
        story_go_to(world, story_current(world)->facts.not_after_usec - YEAR - 1);
        for (size_t i = 0; i < 2; i++)
                world_publish(world, i, false);
        world_serve(world, 0);
}

static void go_to_time(World *world)
{
        go_before(world);
        story_go_to(world, world->now + 1);
}

static const struct {
        const char *name;
        void (*change)(World *world);
        const char *reason; /* NULL: nothing is prepared */
} causes[] = {
        {"asked for", story_ask, "a rollover was asked for"},
        {"subject", story_want_subject, "another subject than that of CN=root G1"},
        {"same subject", have_subject, NULL},
        {"key", want_key, "a key of type rsa-3072"},
        {"same key", have_key, NULL},
        {"unknown key", not_tell_key, NULL},
        {"imported", import, "was taken over"},
        {"imported, a set is foreign", import_and_be_foreign, NULL},
        {"time", go_to_time, "renew_before is 1y"},
        {"1 us before", go_before, NULL},
};

START_TEST(prepares_for_each_cause_and_no_other)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        causes[_i].change(&world);
        if (causes[_i].reason)
                story_expect_reason(&world, STEP_PREPARE, causes[_i].reason);
        else
                story_expect_steps(&world, "");
}
END_TEST

/* A third of its own lifetime, whatever the policy says by now, but before any leaf is clamped. */
START_TEST(goes_by_the_lifetime_of_the_ca_that_is_there)
{
        _cleanup_(world_done) World world;
        int64_t end, needed = 30 * DAY + 7 * DAY + 300 * SECOND + 900 * SECOND;

        story_begin(&world);
        world.policy.authorities[0].has_renew_before = false;
        world.policy.authorities[0].lifetime_usec = 50 * YEAR;
        end = story_current(&world)->facts.not_after_usec;
        story_expect_next(&world, STEP_PREPARE, end - 5 * YEAR / 3, NULL);
        story_current(&world)->facts.not_after_usec = world.now + 90 * DAY;
        story_expect_next(&world, STEP_PREPARE, world.now + 90 * DAY - needed, NULL);
}
END_TEST

static void be_unknown(World *world)
{
        world->observation->sets[1].state = SET_UNKNOWN;
}

static void be_absent(World *world)
{
        /* Its worker cannot make it either. */
        world->observation->sets[1] = (ObservedSet){.state = SET_ABSENT};
        attempt_failed(&world->memory->certificates[1].attempt, &world->policy, world->boot, 0,
                       "no space");
}

static void be_foreign(World *world)
{
        world->observation->sets[1].state = SET_FOREIGN;
}

static void fail_to_publish(World *world)
{
        attempt_failed(&world->memory->certificates[1].attempt, &world->policy, world->boot, 0,
                       "no space");
}

static const struct {
        const char *name;
        void (*change)(World *world);
        const char *waits_for; /* NULL: it is announced */
} holders[] = {
        {"unknown", be_unknown, "certificate app"},
        {"absent", be_absent, NULL},
        {"foreign", be_foreign, NULL},
        {"not published", fail_to_publish, "certificate app"},
};

START_TEST(announces_once_every_set_on_disk_holds_it)
{
        _cleanup_(world_done) World world;

        story_begin(&world);
        story_ask(&world);
        story_expect_steps(&world, "prepare main");
        holders[_i].change(&world);
        story_expect_steps(&world, SERVER);
        if (!holders[_i].waits_for) {
                story_expect_reason(&world, STEP_ANNOUNCE, "every set holds CN=root G2");
                return;
        }
        story_expect_next(&world, STEP_ANNOUNCE, world.now, holders[_i].waits_for);
        story_expect_health(&world, HEALTH_OK, NULL);
        /* distribute does not count from when it was made. */
        story_go_to(&world, world.now + 8 * DAY);
        story_expect_next(&world, STEP_ANNOUNCE, world.now, holders[_i].waits_for);
}
END_TEST

static ObservedCluster *cluster(World *world)
{
        return &world->observation->clusters[0];
}

static void be_down(World *world)
{
        cluster(world)->state = CLUSTER_DOWN;
}

static void be_gone(World *world)
{
        cluster(world)->state = CLUSTER_ABSENT;
}

static void be_unseen(World *world)
{
        cluster(world)->state = CLUSTER_UNKNOWN;
}

static void be_unverifiable(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_NOT_TRIED;
}

static void time_out(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_TIMEOUT;
}

static void be_plain(World *world)
{
        cluster(world)->served.outcome = HANDSHAKE_PLAIN;
}

static void serve_another(World *world)
{
        cluster(world)->served.leaf.sha256[31]++;
}

static void lack_it(World *world)
{
        static const uint8_t anchors[1][CERT_KEY_ID] = {{0xCA}};

        ck_assert_int_eq(observation_bundle(world->observation, anchors, 1,
                                            &world->observation->sets[0].bundle, NULL),
                         0);
}

static const struct {
        const char *name;
        void (*change)(World *world);
        const char *waits_for;
} servers[] = {
        {"down", be_down, NULL},
        {"gone", be_gone, NULL},
        {"unseen", be_unseen, "cluster main"},
        {"unverifiable", be_unverifiable, "cluster main"},
        {"time-out", time_out, "cluster main"},
        {"plain", be_plain, "cluster main"},
        {"serves another", serve_another, "cluster main"},
        {"lacks it", lack_it, "certificate server"},
};

static const Step *find_step(const Plan *plan, StepVerb verb)
{
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].verb == verb)
                        return &plan->steps[i];
        return NULL;
}

START_TEST(activates_once_every_server_was_proved)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *before = NULL, *latest = NULL;
        int64_t end;

        story_begin(&world);
        story_announce(&world);
        end = story_current(&world)->facts.not_after_usec;
        story_go_to(&world, world.now + 7 * DAY);
        servers[_i].change(&world);
        plan = world_plan(&world);
        ck_assert_msg((find_step(plan, STEP_ACTIVATE) != NULL) == (servers[_i].waits_for == NULL),
                      "%s", servers[_i].name);
        if (!servers[_i].waits_for)
                return;
        ck_assert_str_eq(plan->authorities[0].waits_for, servers[_i].waits_for);
        ck_assert_int_eq(plan->authorities[0].health, HEALTH_OK);
        /* Up to the latest moment, when a leaf would outlive the CA. */
        story_go_to(&world, end - 10 * DAY - 1);
        before = world_plan(&world);
        ck_assert_ptr_null(find_step(before, STEP_ACTIVATE));
        ck_assert_int_eq(before->next_usec, end - 10 * DAY);
        story_go_to(&world, end - 10 * DAY);
        latest = world_plan(&world);
        ck_assert_ptr_nonnull(find_step(latest, STEP_ACTIVATE));
        ck_assert_ptr_nonnull(
                strstr(find_step(latest, STEP_ACTIVATE)->reason, "this is the latest moment"));
        ck_assert_ptr_nonnull(
                strstr(find_step(latest, STEP_ACTIVATE)->reason, servers[_i].waits_for));
        ck_assert_int_eq(latest->authorities[0].health, HEALTH_WARNING);
}
END_TEST

/* Made late, because nothing ran: distribute is kept as long as it can be. */
START_TEST(waits_for_distribute_until_the_last_call)
{
        _cleanup_(world_done) World world;
        int64_t end, last;

        story_begin(&world);
        end = story_current(&world)->facts.not_after_usec;
        last = end - 7 * DAY - world.policy.backdate_usec;
        story_go_to(&world, end - 9 * DAY);
        for (size_t i = 0; i < 2; i++)
                world_publish(&world, i, false);
        world_serve(&world, 0);
        story_expect_health(&world, HEALTH_WARNING, "is late: its CA ends at");
        story_expect_steps(&world, "prepare main");
        cluster(&world)->served.outcome = HANDSHAKE_TIMEOUT;
        be_unknown(&world);
        story_expect_health(&world, HEALTH_WARNING, "certificate server, certificate app");
        story_go_to(&world, last - 1);
        story_expect_next(&world, STEP_ANNOUNCE, world.now, "certificate server, certificate app");
        story_go_to(&world, last);
        story_expect_reason(&world, STEP_ACTIVATE, "this is the last call");
        story_expect_reason(&world, STEP_ACTIVATE, "cluster main");
        story_expect_health(&world, HEALTH_CRITICAL, "without evidence that they hold the next");
}
END_TEST

static void be_incomplete(World *world)
{
        world_phase(world, 0, AUTHORITY_RETIRING)->is_incomplete = true;
}

static void be_imported(World *world)
{
        static char file[] = "/etc/old-ca.pem";

        world_phase(world, 0, AUTHORITY_RETIRING)->is_imported = true;
        world->policy.authorities[0].adopt_certificate = file;
}

static void serve_old_leaf(World *world)
{
        cluster(world)->served.leaf.not_after_usec += 5 * DAY;
        cluster(world)->served.leaf.issuer_key_id[8] = 0;
}

/* The one before came soon before it, and a chain leads through it. */
static void lead_from_another(World *world)
{
        ObservedGeneration *former = world_phase(world, 0, AUTHORITY_RETIRING);

        former->cross = calloc(1, 1);
        former->cross_facts.not_after_usec =
                former->last_leaf_usec + 2 * DAY + world->policy.backdate_usec;
}

static void drop_imported(World *world)
{
        be_imported(world);
        world->policy.authorities[0].adopt_certificate = NULL;
}

static void change_nothing(World *world)
{
        (void)world;
}

static const struct {
        void (*change)(World *world);
        int64_t from_last, from_end; /* INT64_MIN: not by that */
} retirements[] = {
        {change_nothing, 0, INT64_MIN},
        {be_incomplete, INT64_MIN, 0},
        {be_imported, INT64_MIN, 0},
        {serve_old_leaf, 5 * DAY, INT64_MIN},
        {lead_from_another, 2 * DAY, INT64_MIN},
        {drop_imported, 0, INT64_MIN},
};

START_TEST(retires_when_no_leaf_of_it_is_of_use)
{
        _cleanup_(world_done) World world;
        ObservedGeneration *former;
        int64_t at;

        story_begin(&world);
        story_announce(&world);
        story_live_until(&world, world.now + 7 * DAY);
        former = world_phase(&world, 0, AUTHORITY_RETIRING);
        ck_assert_ptr_nonnull(former);
        former->facts.not_after_usec = world.now + 100 * DAY; /* before the next one is prepared */
        at = retirements[_i].from_end == INT64_MIN
                     ? former->last_leaf_usec + retirements[_i].from_last
                     : former->facts.not_after_usec + retirements[_i].from_end;
        retirements[_i].change(&world);
        story_expect_next(&world, STEP_RETIRE, at + world.policy.backdate_usec, NULL);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("prospect");
        TCase *rules = tcase_create("rules");

        tcase_add_loop_test(rules, prepares_for_each_cause_and_no_other, 0, ELEMENTSOF(causes));
        tcase_add_test(rules, goes_by_the_lifetime_of_the_ca_that_is_there);
        tcase_add_loop_test(rules, announces_once_every_set_on_disk_holds_it, 0,
                            ELEMENTSOF(holders));
        tcase_add_loop_test(rules, activates_once_every_server_was_proved, 0, ELEMENTSOF(servers));
        tcase_add_test(rules, waits_for_distribute_until_the_last_call);
        tcase_add_loop_test(rules, retires_when_no_leaf_of_it_is_of_use, 0,
                            ELEMENTSOF(retirements));
        suite_add_tcase(suite, rules);
        return suite;
}

#include "tests/check_main.h"
