/*
 * What a set is published with beside its leaf.
 */
#include "tests/world.h"

#include <errno.h>

/* "G2 G1 old": the subjects' last words, or for a cross-certificate "G2<G1". */
static char *describe(const Bundle *bundle)
{
        Text text = {0};
        char *words = NULL;

        for (size_t i = 0; i < bundle->n; i++) {
                const CertFacts *facts = bundle->items[i].facts;

                text_addf(&text, "%sG%d", i ? " " : "", facts->key_id[8] + 1);
                if (facts->issuer_key_id[0] == 0xCA)
                        text_addf(&text, "<G%d", facts->issuer_key_id[8] + 1);
        }
        ck_assert_int_eq(text_take(&text, &words, NULL), 0);
        return words ? words : strdup("");
}

static void expect_chain(const World *world, size_t set, uint8_t issuer, const char *expected)
{
        _cleanup_(bundle_done) Bundle chain = {0};
        _cleanup_(freep) char *words = NULL;
        uint8_t key_id[CERT_KEY_ID] = {0xCA, [8] = (uint8_t)(issuer - 1)};

        ck_assert_int_eq(bundle_chain(&world->policy, world->observation, set, key_id, world->now,
                                      &chain, NULL),
                         0);
        words = describe(&chain);
        ck_assert_str_eq(words, expected);
}

static void expect_anchors(const World *world, size_t set, const char *expected)
{
        _cleanup_(bundle_done) Bundle anchors = {0};
        _cleanup_(freep) char *words = NULL;

        ck_assert_int_eq(bundle_anchors(&world->policy, world->observation, set, &anchors, NULL),
                         0);
        words = describe(&anchors);
        ck_assert_str_eq(words, expected);
}

/* G1 to G3, one after the other; G3 is the next one after that. */
static void roll(World *world)
{
        world_init(world, 1, 1, 0, 1);
        world_settle(world);
        for (uint32_t number = 2; number <= 3; number++) {
                world->now += 100 * DAY;
                world_prepare(world, 0);
                world_activate(world, 0, number);
        }
}

START_TEST(a_servers_chain_leads_to_every_ca_before)
{
        _cleanup_(world_done) World world;

        roll(&world);
        expect_chain(&world, 0, 3, "G3<G2 G2<G1");
        expect_chain(&world, 0, 2, "G2<G1");
        expect_chain(&world, 0, 1, "");
        expect_chain(&world, 0, 9, "");
        /* A client's never does. */
        expect_chain(&world, 1, 3, "");
        /* An expired one leads nowhere, nor does what is behind it. */
        world_generation(&world, 0, 2)->cross_facts.not_after_usec = world.now;
        expect_chain(&world, 0, 3, "G3<G2");
        world_generation(&world, 0, 3)->cross_facts.not_after_usec = world.now;
        expect_chain(&world, 0, 3, "");
}
END_TEST

START_TEST(a_bundle_holds_all_that_are_not_retired)
{
        _cleanup_(world_done) World world;

        roll(&world);
        expect_anchors(&world, 0, "G1 G2 G3");
        expect_anchors(&world, 1, "G1 G2 G3");
        world_retire(&world, 0, 1);
        expect_anchors(&world, 1, "G2 G3");
        world_prepare(&world, 0);
        expect_anchors(&world, 1, "G2 G3 G4");
}
END_TEST

START_TEST(a_bundle_holds_what_its_readers_meet)
{
        static const uint8_t old[CERT_KEY_ID] = {0x01, [8] = 76};
        _cleanup_(world_done) World world;
        PolicyCertificate *server;

        world_init(&world, 1, 1, 0, 2);
        world_settle(&world);
        server = &world.policy.certificates[0];
        server->bundle = reallocarray(server->bundle, 2, sizeof *server->bundle);
        server->bundle[server->n_bundle++] = &world.policy.authorities[1];
        world_add_trust(&world, 1, old);
        expect_anchors(&world, 0, "G1 G1 G77");
        expect_anchors(&world, 1, "G1");
        /* Each once: the same file in two authorities. */
        world_add_trust(&world, 0, old);
        expect_anchors(&world, 0, "G1 G77 G1");
}
END_TEST

START_TEST(a_stolen_root_stays_with_servers_alone)
{
        _cleanup_(world_done) World world;

        world_init(&world, 1, 1, 0, 1);
        world_settle(&world);
        world_phase(&world, 0, AUTHORITY_CURRENT)->is_stolen = true;
        /* Nothing takes its place yet. */
        expect_anchors(&world, 1, "G1");
        world_emergency(&world, 0, 1);
        expect_anchors(&world, 0, "G1 G2");
        expect_anchors(&world, 1, "G2");
        /* Nor with them, once no client here has a leaf of it. */
        world_publish(&world, 1, false);
        expect_anchors(&world, 0, "G2");
}
END_TEST

START_TEST(refuses_a_bundle_that_no_message_holds)
{
        _cleanup_(world_done) World world;
        _cleanup_(bundle_done) Bundle anchors = {0};
        Error error;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        for (int i = 0; i <= BUNDLE_PARTS_MAX; i++)
                world_add_trust(&world, 0,
                                (uint8_t[CERT_KEY_ID]){1, (uint8_t)(i >> 8), (uint8_t)i});
        ck_assert_int_eq(bundle_anchors(&world.policy, world.observation, 0, &anchors, &error),
                         -E2BIG);
        ck_assert_uint_eq(anchors.n, 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("bundle");
        TCase *tcase = tcase_create("bundle");

        tcase_add_test(tcase, a_servers_chain_leads_to_every_ca_before);
        tcase_add_test(tcase, a_bundle_holds_all_that_are_not_retired);
        tcase_add_test(tcase, a_bundle_holds_what_its_readers_meet);
        tcase_add_test(tcase, a_stolen_root_stays_with_servers_alone);
        tcase_add_test(tcase, refuses_a_bundle_that_no_message_holds);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
