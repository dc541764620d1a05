/*
 * Observations on the wire: the same there and back, and never more than "bad" from anything that
 * a peer could send instead.
 */
#include "tests/observing.h"

#include <errno.h>

static Message *message;
static Observation *observation;
static Error error;
static uint8_t anchors[OBSERVED_ANCHORS_MAX + 1][CERT_KEY_ID];

static void setup(void)
{
        Policy policy = {.tag = 99, .n_certificates = 2, .n_clusters = 1, .n_authorities = 1};

        ck_assert_int_eq(message_new(&message, NULL), 0);
        ck_assert_int_eq(observation_new(&policy, &observation, NULL), 0);
        memset(longest, 'p', sizeof longest - 1);
        for (size_t i = 0; i < ELEMENTSOF(anchors); i++)
                memset(anchors[i], (int)i, CERT_KEY_ID);
        wire_reply(message, WIRE_OBSERVE);
        message->position = message->size;
}

static void teardown(void)
{
        message = message_free(message);
        observation = observation_free(observation);
}

START_TEST(carries_a_set)
{
        _cleanup_(observed_set_done) ObservedSet sent = some_set(_i), got = {0};
        size_t n = _i ? OBSERVED_ANCHORS_MAX : 0;

        observation_put_set(message, &sent, (const uint8_t(*)[CERT_KEY_ID])anchors, n);
        ck_assert_uint_lt(message->size + POLICY_NAME_MAX + 6, OBSERVED_ITEM_MAX);
        ck_assert_int_eq(observation_get_set(message, observation, &got, &error), 0);
        ck_assert_int_eq(wire_end(message, &error), 0);
        expect_same_set(&sent, &got);
        ck_assert_uint_eq(observation->n_bundles, 1);
        ck_assert_uint_eq(observation->bundles[got.bundle].n, n);
        ck_assert_mem_eq(observation->bundles[got.bundle].anchors, anchors, n * CERT_KEY_ID);
}
END_TEST

START_TEST(carries_a_cluster)
{
        _cleanup_(observed_cluster_done) ObservedCluster sent = some_cluster(_i), got = {0};

        observation_put_cluster(message, &sent);
        ck_assert_uint_lt(message->size + POLICY_NAME_MAX + 6, OBSERVED_ITEM_MAX);
        ck_assert_int_eq(observation_get_cluster(message, &got, &error), 0);
        ck_assert_int_eq(wire_end(message, &error), 0);
        expect_same_cluster(&sent, &got);
}
END_TEST

START_TEST(carries_an_authority)
{
        _cleanup_(authority_done) ObservedAuthority sent = some_authority((size_t)_i), got = {0};

        authority_put(message, &sent);
        ck_assert(!message->bad);
        ck_assert_int_eq(authority_get(message, &got, &error), 0);
        ck_assert_int_eq(wire_end(message, &error), 0);
        expect_same_authority(&sent, &got);
}
END_TEST

START_TEST(cuts_a_problem_that_is_too_long)
{
        _cleanup_(observed_set_done) ObservedSet sent = {.problem = strdup(longest)}, got = {0};

        observation_put_set(message, &sent, NULL, 0);
        ck_assert_int_eq(observation_get_set(message, observation, &got, &error), 0);
        ck_assert_uint_eq(strlen(got.problem), OBSERVED_PROBLEM_MAX);
        ck_assert_int_eq(wire_end(message, &error), 0);
}
END_TEST

START_TEST(cuts_a_problem_between_characters)
{
        _cleanup_(observed_set_done) ObservedSet sent = {.problem = strdup(longest)}, got = {0};

        memcpy(sent.problem + OBSERVED_PROBLEM_MAX - 1, "\xC3\xA9", 2);
        observation_put_set(message, &sent, NULL, 0);
        ck_assert_int_eq(observation_get_set(message, observation, &got, &error), 0);
        ck_assert_uint_eq(strlen(got.problem), OBSERVED_PROBLEM_MAX - 1);
        ck_assert_int_eq(wire_end(message, &error), 0);
}
END_TEST

/* The three kinds of things, put with all their fields and got as a peer's message. */
static void put_thing(int kind)
{
        _cleanup_(observed_set_done) ObservedSet set = some_set(true);
        _cleanup_(observed_cluster_done) ObservedCluster cluster = some_cluster(true);
        _cleanup_(authority_done) ObservedAuthority authority = some_authority(3);

        wire_reply(message, WIRE_OBSERVE);
        if (kind == 0)
                observation_put_set(message, &set, (const uint8_t(*)[CERT_KEY_ID])anchors, 2);
        else if (kind == 1)
                observation_put_cluster(message, &cluster);
        else
                authority_put(message, &authority);
}

/* 0 where it was well formed to its end. */
static int get_thing(int kind)
{
        _cleanup_(observed_set_done) ObservedSet set = {0};
        _cleanup_(observed_cluster_done) ObservedCluster cluster = {0};
        _cleanup_(authority_done) ObservedAuthority authority = {0};
        int r;

        message->position = 6;
        message->bad = false;
        if (kind == 0)
                r = observation_get_set(message, observation, &set, &error);
        else if (kind == 1)
                r = observation_get_cluster(message, &cluster, &error);
        else
                r = authority_get(message, &authority, &error);
        ck_assert_int_eq(r, 0);
        if (!message->bad) {
                ck_assert_uint_lt(set.state, SET_STATES);
                ck_assert_uint_le(observation->bundles ? set.bundle : 0, observation->n_bundles);
                ck_assert_uint_lt(cluster.state, CLUSTER_STATES);
                ck_assert_uint_lt(cluster.configuration, CONFIGURATION_STATES);
                ck_assert_uint_lt(cluster.served.outcome, HANDSHAKE_OUTCOMES);
                for (size_t i = 0; i < authority.n_generations; i++)
                        ck_assert_uint_lt(authority.generations[i].phase, AUTHORITY_PHASES);
        }
        return wire_end(message, &error);
}

START_TEST(finds_every_truncation_bad)
{
        size_t size;

        put_thing(_i);
        ck_assert_int_eq(get_thing(_i), 0);
        size = message->size;
        for (size_t cut = 6; cut < size; cut++) {
                /* Nothing behind the end may be read: ASan sees it. */
                message->data = realloc(message->data, cut);
                message->size = cut;
                ck_assert_int_eq(get_thing(_i), -EBADMSG);
                message->data = realloc(message->data, WIRE_MESSAGE_MAX);
                put_thing(_i);
        }
        wire_put_u8(message, 0);
        ck_assert_int_eq(get_thing(_i), -EBADMSG);
}
END_TEST

static uint64_t seed = 0x9E3779B97F4A7C15;

static uint64_t next_random(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

START_TEST(survives_random_changes)
{
        unsigned good = 0;

        for (unsigned i = 0; i < 10000; i++) {
                size_t size;

                put_thing(_i);
                size = message->size - (next_random() % 4 == 0 ? next_random() % 20 : 0);
                message->size = size > 6 ? size : 6;
                for (uint64_t n = next_random() % 4; n > 0; n--)
                        message->data[6 + next_random() % (message->size - 6)] =
                                (uint8_t)next_random();
                good += get_thing(_i) == 0;
        }
        ck_assert_uint_gt(good, 100);
        ck_assert_uint_lt(good, 9900);
}
END_TEST

/* Where a byte with few values stands: its kind, its offset from the header, how many it has. */
static const struct {
        int kind;
        size_t offset;
        unsigned values;
} bytes[] = {
        {0, 0, SET_STATES},          {0, 1, 2},
        {1, 0, CLUSTER_STATES},      {1, 1, CONFIGURATION_STATES},
        {1, 18, HANDSHAKE_OUTCOMES}, {2, 5, AUTHORITY_PHASES},
};

START_TEST(takes_no_value_that_an_enum_lacks)
{
        for (unsigned value = 0; value < 256; value++) {
                put_thing(bytes[_i].kind);
                message->data[6 + bytes[_i].offset] = (uint8_t)value;
                ck_assert_int_eq(get_thing(bytes[_i].kind),
                                 value < bytes[_i].values ? 0 : -EBADMSG);
        }
}
END_TEST

START_TEST(takes_no_more_than_its_limits)
{
        _cleanup_(observed_set_done) ObservedSet set = some_set(false);
        _cleanup_(authority_done) ObservedAuthority many =
                some_authority(OBSERVED_GENERATIONS_MAX + 1);

        wire_reply(message, WIRE_OBSERVE);
        observation_put_set(message, &set, (const uint8_t(*)[CERT_KEY_ID])anchors,
                            OBSERVED_ANCHORS_MAX + 1);
        ck_assert_int_eq(get_thing(0), -EBADMSG);
        wire_reply(message, WIRE_OBSERVE);
        authority_put(message, &many);
        ck_assert_int_eq(get_thing(2), -EBADMSG);
        ck_assert_uint_eq(observation->n_bundles, 0);
}
END_TEST

START_TEST(takes_whole_key_ids_only)
{
        put_thing(0);
        for (size_t i = 6; i + 44 < message->size; i++) {
                uint32_t size;

                memcpy(&size, message->data + i, 4);
                if (size != 2 * CERT_KEY_ID)
                        continue;
                /* One byte moves from the anchors to the end of the message. */
                size--;
                memcpy(message->data + i, &size, 4);
                memmove(message->data + i + 4 + size, message->data + i + 5 + size,
                        message->size - i - 5 - size);
                message->size--;
                ck_assert_int_eq(get_thing(0), -EBADMSG);
                return;
        }
        ck_abort_msg("no anchors in the message");
}
END_TEST

START_TEST(keeps_each_bundle_once)
{
        uint32_t first, second, none, again;
        const uint8_t(*a)[CERT_KEY_ID] = (const uint8_t(*)[CERT_KEY_ID])anchors;

        ck_assert_int_eq(observation_bundle(observation, a, 2, &first, &error), 0);
        ck_assert_int_eq(observation_bundle(observation, a + 1, 2, &second, &error), 0);
        ck_assert_int_eq(observation_bundle(observation, NULL, 0, &none, &error), 0);
        ck_assert_uint_ne(first, second);
        ck_assert_uint_ne(first, none);
        ck_assert_uint_eq(observation->n_bundles, 3);
        ck_assert_int_eq(observation_bundle(observation, a, 2, &again, &error), 0);
        ck_assert_uint_eq(again, first);
        ck_assert_int_eq(observation_bundle(observation, a + 1, 2, &again, &error), 0);
        ck_assert_uint_eq(again, second);
        ck_assert_int_eq(observation_bundle(observation, a, 0, &again, &error), 0);
        ck_assert_uint_eq(again, none);
        ck_assert_int_eq(observation_bundle(observation, a, 1, &again, &error), 0);
        ck_assert_uint_eq(again, 3);
}
END_TEST

START_TEST(copies_all_of_an_observation)
{
        Observation *copy = NULL;
        uint32_t index;

        observation_bundle(observation, NULL, 0, &index, &error);
        observation_bundle(observation, (const uint8_t(*)[CERT_KEY_ID])anchors, 3, &index, &error);
        observation->sets[0] = some_set(true);
        observation->sets[1] = some_set(false);
        observation->sets[0].bundle = index;
        observation->clusters[0] = some_cluster(true);
        observation->authorities[0] = some_authority(4);
        observation->authorities[0].problem = strdup("slow");
        ck_assert_int_eq(observation_copy(observation, &copy, &error), 0);
        ck_assert_uint_eq(copy->tag, 99);
        ck_assert_uint_eq(copy->n_sets, 2);
        ck_assert_uint_eq(copy->n_clusters, 1);
        ck_assert_uint_eq(copy->n_authorities, 1);
        ck_assert_uint_eq(copy->n_bundles, 2);
        ck_assert_uint_eq(copy->sets[0].bundle, index);
        ck_assert_uint_eq(copy->bundles[index].n, 3);
        ck_assert_mem_eq(copy->bundles[index].anchors, anchors, 3 * CERT_KEY_ID);
        for (size_t i = 0; i < 2; i++)
                expect_same_set(&observation->sets[i], &copy->sets[i]);
        expect_same_cluster(&observation->clusters[0], &copy->clusters[0]);
        expect_same_authority(&observation->authorities[0], &copy->authorities[0]);
        /* Nothing is shared. */
        observation = observation_free(observation);
        ck_assert_str_eq(copy->clusters[0].problem, "one");
        ck_assert_ptr_eq(authority_current(&copy->authorities[0]),
                         &copy->authorities[0].generations[1]);
        observation_free(copy);
        observation_free(NULL);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("observation");
        TCase *tcase = tcase_create("observation");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, carries_a_set, 0, 2);
        tcase_add_loop_test(tcase, carries_a_cluster, 0, 2);
        tcase_add_loop_test(tcase, carries_an_authority, 0, OBSERVED_GENERATIONS_MAX + 1);
        tcase_add_test(tcase, cuts_a_problem_that_is_too_long);
        tcase_add_test(tcase, cuts_a_problem_between_characters);
        tcase_add_loop_test(tcase, finds_every_truncation_bad, 0, 3);
        tcase_add_loop_test(tcase, survives_random_changes, 0, 3);
        tcase_add_loop_test(tcase, takes_no_value_that_an_enum_lacks, 0, ELEMENTSOF(bytes));
        tcase_add_test(tcase, takes_no_more_than_its_limits);
        tcase_add_test(tcase, takes_whole_key_ids_only);
        tcase_add_test(tcase, keeps_each_bundle_once);
        tcase_add_test(tcase, copies_all_of_an_observation);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
