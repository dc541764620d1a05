/*
 * When the logins and refusals that `verify` asks for are looked at: with every proof, with every
 * new leaf of either side, and every check_every.
 */
#include "tests/world.h"

static ObservedCluster *cluster(World *world)
{
        return &world->observation->clusters[0];
}

static MemoryCluster *memory(World *world)
{
        return &world->memory->clusters[0];
}

static void change_nothing(World *world)
{
        (void)world;
}

static void forget(World *world)
{
        memory_free(world->memory);
        ck_assert_int_eq(memory_new(&world->policy, &world->memory, NULL), 0);
}

static void stop(World *world)
{
        cluster(world)->state = CLUSTER_DOWN;
        cluster(world)->served.outcome = HANDSHAKE_NOT_TRIED;
        cluster(world)->pid = 0;
}

static void serve_other(World *world)
{
        cluster(world)->served.leaf.sha256[9] ^= 1;
}

static void fail_proof(World *world)
{
        serve_other(world);
        memory(world)->tried_pid = cluster(world)->pid;
        memory(world)->tried_started_sec = cluster(world)->started_sec;
        memcpy(memory(world)->tried, world->observation->sets[0].leaf.sha256, CERT_FINGERPRINT);
        attempt_failed(&memory(world)->attempt, &world->policy, world->boot, 0, "timed out");
}

static void hold(World *world)
{
        world->held = "the policy is broken";
}

static void be_unusable(World *world)
{
        memory(world)->unusable = strdup("plaintext was accepted");
}

/* Logins: the world asks for them and has looked at them just now. */
static void init_logins(World *world)
{
        world_init(world, 1, 2, 1, 1);
        world->policy.clusters[0].as = calloc(1, sizeof *world->policy.clusters[0].as);
        world->policy.clusters[0].as[0] = &world->policy.certificates[1];
        world->policy.clusters[0].n_as = 1;
        world_settle(world);
        memory(world)->checked_boot_usec = world->boot;
        memcpy(memory(world)->checked, world->observation->sets[0].leaf.sha256, CERT_FINGERPRINT);
}

static void look_no_more(World *world)
{
        world->policy.clusters[0].n_as = 0;
        memory(world)->checked_boot_usec = 0;
}

static void refuse_plaintext(World *world)
{
        look_no_more(world);
        world->policy.clusters[0].plaintext = POLICY_PLAINTEXT_REFUSED;
}

static void ask_protocol(World *world)
{
        look_no_more(world);
        world->policy.clusters[0].min_protocol = (char *)"TLSv1.2";
}

static void check_all(World *world)
{
        world->check_all = true;
}

static void wait_check_every(World *world)
{
        world->boot += world->policy.check_every_usec;
}

static void wait_less(World *world)
{
        world->boot += world->policy.check_every_usec - 1;
}

static void renew_client(World *world)
{
        world->memory->certificates[1].is_requested = true;
}

static void renew_other_client(World *world)
{
        world->memory->certificates[2].is_requested = true;
}

static void other_leaf_checked(World *world)
{
        memory(world)->checked[0] ^= 1;
}

static void unusable_lately(World *world)
{
        be_unusable(world);
        wait_less(world);
}

static void unusable_for_long(World *world)
{
        be_unusable(world);
        wait_check_every(world);
}

static void not_proven(World *world)
{
        check_all(world);
        fail_proof(world);
}

static void check_down(World *world)
{
        check_all(world);
        stop(world);
}

static void check_held(World *world)
{
        check_all(world);
        hold(world);
}

static const struct {
        const char *name;
        void (*change)(World *world);
        const char *steps;
} cases[] = {
        {"just looked", change_nothing, ""},
        {"not asked for", look_no_more, ""},
        {"plaintext", refuse_plaintext, "login main"},
        {"protocol", ask_protocol, "login main"},
        {"never", forget, "login main"},
        {"check", check_all, "login main"},
        {"check_every", wait_check_every, "login main"},
        {"less than check_every", wait_less, ""},
        {"another leaf", other_leaf_checked, "login main"},
        {"client renewed", renew_client, "issue app, publish app, login main, prune app"},
        {"a client of no cluster", renew_other_client, "issue app1, publish app1, prune app1"},
        {"unusable", unusable_lately, ""},
        {"unusable for check_every", unusable_for_long, "login main"},
        {"proof to be made", serve_other, "load main, prove main, login main"},
        {"proof waits", not_proven, ""},
        {"down", check_down, ""},
        {"held", check_held, ""},
};

START_TEST(looks_at_logins_when_there_is_reason_to)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(freep) char *steps = NULL;

        init_logins(&world);
        cases[_i].change(&world);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        ck_assert_msg(strcmp(steps, cases[_i].steps) == 0, "%s: %s", cases[_i].name, steps);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("usable");
        TCase *tcase = tcase_create("logins");

        tcase_add_loop_test(tcase, looks_at_logins_when_there_is_reason_to, 0, ELEMENTSOF(cases));
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
