/*
 * Whether foreign files may be taken over, what the plan does with a consent, and how consents are
 * kept.
 */
#include "daemon/consent.h"
#include "daemon/takeover.h"
#include "tests/world.h"

#include <sys/stat.h>
#include <unistd.h>

static ObservedSet *server(World *world)
{
        return &world->observation->sets[0];
}

/* Settled, then the server's set is somebody else's with the same leaf and bundle. */
static void be_foreign(World *world)
{
        world_init(world, 1, 1, 1, 1);
        world_settle(world);
        server(world)->state = SET_FOREIGN;
        server(world)->generation = 0;
}

static void change_nothing(World *world)
{
        (void)world;
}

static void be_ours(World *world)
{
        server(world)->state = SET_OURS;
}

static void be_unknown(World *world)
{
        server(world)->state = SET_UNKNOWN;
}

static void be_issued_elsewhere(World *world)
{
        server(world)->leaf.issuer_key_id[0]++;
}

static void tell_no_issuer(World *world)
{
        memset(server(world)->leaf.issuer_key_id, 0, CERT_KEY_ID);
}

static void have_no_leaf(World *world)
{
        server(world)->has_leaf = false;
        be_issued_elsewhere(world);
}

static void trust_another(World *world)
{
        static const uint8_t anchors[2][CERT_KEY_ID] = {{0xCA, 0}, {0xFE}};

        ck_assert_int_eq(
                observation_bundle(world->observation, anchors, 2, &server(world)->bundle, NULL),
                0);
}

static void be_unjudged(World *world)
{
        server(world)->defects = SET_UNJUDGED;
}

static void have_a_service_file(World *world)
{
        be_ours(world);
        server(world)->defects = SET_SERVICE_FOREIGN;
}

static void have_another_service_file(World *world)
{
        be_ours(world);
        server(world)->defects = SET_SERVICE_FOREIGN | SET_SERVICE_OTHER;
}

static const uint8_t another[CERT_KEY_ID] = {0xFE};

static void name_in_trust(World *world)
{
        world_add_trust(world, 0, another);
        trust_another(world);
}

/* The first CA is not made yet, or not to sign before it is trusted. */
static void be_moved_by_trust(World *world)
{
        world_lose_authority(world, 0, true);
        world_add_trust(world, 0, another);
        memcpy(server(world)->leaf.issuer_key_id, another, CERT_KEY_ID);
        ck_assert_int_eq(observation_bundle(world->observation,
                                            (const uint8_t(*)[CERT_KEY_ID])another, 1,
                                            &server(world)->bundle, NULL),
                         0);
}

static void be_moved_by_trust_untold(World *world)
{
        be_moved_by_trust(world);
        tell_no_issuer(world);
}

static void come_too_late(World *world)
{
        world_add_trust(world, 0, another);
        memcpy(server(world)->leaf.issuer_key_id, another, CERT_KEY_ID);
}

static void import_untold(World *world)
{
        world->observation->authorities[0].generations[0].is_imported = true;
        tell_no_issuer(world);
}

static void lose_signer(World *world)
{
        world_lose_authority(world, 0, false);
}

static void lose_ca(World *world)
{
        world_lose_authority(world, 0, true);
}

static const struct {
        const char *name;
        void (*change)(World *world);
        TakeoverVerdict verdict;
        const char *why;
} cases[] = {
        {"same CA", change_nothing, TAKEOVER_READY, ""},
        {"ours", be_ours, TAKEOVER_NOTHING, ""},
        {"unknown", be_unknown, TAKEOVER_NOTHING, ""},
        {"another issuer", be_issued_elsewhere, TAKEOVER_REFUSED, "clients that trust that one"},
        {"no issuer told", tell_no_issuer, TAKEOVER_REFUSED, "issued by another CA"},
        {"no leaf", have_no_leaf, TAKEOVER_READY, ""},
        {"another anchor", trust_another, TAKEOVER_REFUSED, "its trust bundle holds another CA"},
        {"another anchor, named", name_in_trust, TAKEOVER_READY, ""},
        {"another anchor, hint", trust_another, TAKEOVER_REFUSED,
         "Name that CA in authorities.main"},
        {"another issuer, named", be_moved_by_trust, TAKEOVER_READY, ""},
        {"no issuer told, named", be_moved_by_trust_untold, TAKEOVER_READY, ""},
        {"another issuer, too late", come_too_late, TAKEOVER_REFUSED, "signs already"},
        {"no issuer told, imported", import_untold, TAKEOVER_READY, ""},
        {"unjudged", be_unjudged, TAKEOVER_REFUSED, "Move what lies there away"},
        {"service file", have_a_service_file, TAKEOVER_READY, ""},
        {"other service file", have_another_service_file, TAKEOVER_REFUSED, "would be lost"},
        {"no signer", lose_signer, TAKEOVER_UNHEARD, "did not answer"},
        {"no CA", lose_ca, TAKEOVER_REFUSED, "issued by another CA"},
};

START_TEST(is_allowed_where_nobody_is_shut_out)
{
        _cleanup_(world_done) World world;
        _cleanup_(text_done) Text why = {0};
        TakeoverVerdict verdict;

        be_foreign(&world);
        cases[_i].change(&world);
        verdict = takeover_judge(&world.policy, world.observation, 0, &why);
        ck_assert_msg(verdict == cases[_i].verdict, "%s: %d", cases[_i].name, verdict);
        ck_assert_msg(strstr(text_content(&why), cases[_i].why), "%s: %s", cases[_i].name,
                      text_content(&why));
        ck_assert_int_eq(why.size > 0, cases[_i].why[0] != '\0');
        /* The plan acts on consent alone, and then by the same judgement. */
        for (int consent = 0; consent < 2; consent++) {
                _cleanup_(plan_freep) Plan *plan = NULL;
                bool adopts = false;

                world.memory->certificates[0].has_consent = consent;
                plan = world_plan(&world);
                for (size_t i = 0; i < plan->n_steps; i++)
                        adopts |= plan->steps[i].verb == STEP_ADOPT && plan->steps[i].object == 0;
                ck_assert_msg(adopts == (consent && verdict == TAKEOVER_READY), "%s",
                              cases[_i].name);
        }
}
END_TEST

/* The steps of a plan after a change to a foreign set with consent. */
static void assert_steps(World *world, const char *wanted)
{
        _cleanup_(plan_freep) Plan *plan = world_plan(world);
        _cleanup_(freep) char *steps = world_steps(world, plan);

        ck_assert_str_eq(steps, wanted);
}

START_TEST(comes_alone_and_the_ordinary_switch_follows)
{
        _cleanup_(world_done) World world;

        be_foreign(&world);
        world.memory->certificates[0].has_consent = true;
        assert_steps(&world, "adopt server");
        be_ours(&world);
        server(&world)->defects = SET_ADOPTED;
        assert_steps(&world, "issue server, publish server, load main, prove main, prune server");
}
END_TEST

START_TEST(waits_like_any_step)
{
        _cleanup_(world_done) World world;
        Memory *memory;

        be_foreign(&world);
        memory = world.memory;
        memory->certificates[0].has_consent = true;
        world.held = "the policy is broken";
        assert_steps(&world, "");
        world.held = NULL;
        world.observation->clusters[0].override = strdup("ssl is set elsewhere");
        assert_steps(&world, "");
        free(TAKE_PTR(world.observation->clusters[0].override));
        attempt_failed(&memory->certificates[0].attempt, &world.policy, world.boot, 0, "no space");
        assert_steps(&world, "");
        memory->certificates[0].is_requested = true;
        assert_steps(&world, "adopt server");
}
END_TEST

START_TEST(writes_a_configuration_that_was_handed_over_last)
{
        _cleanup_(world_done) World world;
        ObservedCluster *cluster;

        world_init(&world, 1, 0, 1, 1);
        cluster = &world.observation->clusters[0];
        cluster->configuration = CONFIGURATION_FOREIGN_SAME;
        assert_steps(&world, "");
        world.memory->clusters[0].has_consent = true;
        assert_steps(&world, "authority main, issue server (new key), publish server, configure "
                             "main, load main, prove main, prune server");
        cluster->configuration = CONFIGURATION_FOREIGN;
        assert_steps(&world, "");
}
END_TEST

START_TEST(keeps_consents_by_name_and_place)
{
        static char here[] = "/srv/ssl with space", there[] = "/srv/other", file[] = "/srv/p.conf";
        char directory[] = "/tmp/check_takeover.XXXXXX", path[64];
        _cleanup_(world_done) World world;
        Error error = {0};
        Memory *memory;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/consents", directory);
        world_init(&world, 2, 0, 1, 1);
        ck_assert_int_eq(policymodel_sort(&world.policy, &error), 0);
        memory = world.memory;
        world.policy.certificates[0].directory = here;
        world.policy.certificates[1].directory = there;
        world.policy.clusters[0].configuration = file;
        ck_assert_int_eq(consents_save(directory, &world.policy, memory, &error), 0);
        ck_assert_int_lt(access(path, F_OK), 0);
        memory->certificates[0].has_consent = memory->clusters[0].has_consent = true;
        ck_assert_int_eq(consents_save(directory, &world.policy, memory, &error), 0);

        memory->certificates[0].has_consent = memory->clusters[0].has_consent = false;
        consents_load(directory, &world.policy, memory);
        ck_assert(memory->certificates[0].has_consent && memory->clusters[0].has_consent);
        ck_assert(!memory->certificates[1].has_consent);

        /* Of another place it is none. */
        memory->certificates[0].has_consent = memory->clusters[0].has_consent = false;
        world.policy.certificates[0].directory = there;
        world.policy.clusters[0].configuration = NULL;
        consents_load(directory, &world.policy, memory);
        ck_assert(!memory->certificates[0].has_consent && !memory->clusters[0].has_consent);
        ck_assert_int_eq(consents_save(directory, &world.policy, memory, &error), 0);
        ck_assert_int_lt(access(path, F_OK), 0);
        ck_assert_int_eq(rmdir(directory), 0);
        for (size_t kind = 0; kind < POLICY_KINDS; kind++)
                free(world.policy.by_name[kind]);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("takeover");
        TCase *c = tcase_create("takeover");

        tcase_add_loop_test(c, is_allowed_where_nobody_is_shut_out, 0, ELEMENTSOF(cases));
        tcase_add_test(c, comes_alone_and_the_ordinary_switch_follows);
        tcase_add_test(c, waits_like_any_step);
        tcase_add_test(c, writes_a_configuration_that_was_handed_over_last);
        tcase_add_test(c, keeps_consents_by_name_and_place);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
