#include "daemon/worker/pair.h"

#include "tests/issuing.h"

#include <errno.h>

/* Two keys with their text, and a leaf of the first one's. */
static Key *keys[2];
static KeyText texts[2];
static X509 *leaf;

static void setup(void)
{
        TestCertificate t;

        issuing_setup();
        test_certificate(&t, POLICY_SERVER, "ssl");
        for (size_t i = 0; i < 2; i++) {
                ck_assert_int_eq(key_new(KEY_ECDSA_P256, &keys[i], NULL), 0);
                ck_assert_int_eq(key_format(keys[i], &texts[i], NULL), 0);
        }
        leaf = issuing_leaf(keys[0], &t.policy, TEST_NOW, TEST_NOW + TEST_DAY);
}

static void teardown(void)
{
        for (size_t i = 0; i < 2; i++) {
                key_free(keys[i]);
                key_text_done(&texts[i]);
        }
        X509_free(leaf);
        issuing_teardown();
}

static bool is_pair(const KeyText *text)
{
        bool ret;

        ck_assert_int_eq(pair_check(text->data, text->size, leaf, &ret, NULL), 0);
        return ret;
}

START_TEST(tells_a_pair_whether_remembered_or_not)
{
        ck_assert(is_pair(&texts[0]));
        ck_assert(is_pair(&texts[0]));
        ck_assert(!is_pair(&texts[1]));
        for (size_t i = 0; i < 2; i++)
                pair_remember(texts[i].data, texts[i].size, keys[i]);
        ck_assert(is_pair(&texts[0]));
        ck_assert(!is_pair(&texts[1]));
        ck_assert(!is_pair(&texts[1]));
}

START_TEST(looks_again_at_bytes_that_changed)
{
        bool ret;

        ck_assert(is_pair(&texts[0]));
        texts[0].data[texts[0].size / 2] ^= 1;
        ck_assert_int_eq(pair_check(texts[0].data, texts[0].size, leaf, &ret, NULL) == 0 && ret, 0);
        ck_assert_int_eq(pair_check("junk", 4, leaf, &ret, NULL), -EINVAL);
}

/* What was remembered is tried first: were it wrong, this would tell a false pair. */
START_TEST(takes_a_memory_for_what_it_says)
{
        pair_remember(texts[1].data, texts[1].size, keys[0]);
        ck_assert(is_pair(&texts[1]));
}

static Suite *suite(void)
{
        Suite *s = suite_create("pair");
        TCase *c = tcase_create("pair");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, tells_a_pair_whether_remembered_or_not);
        tcase_add_test(c, looks_again_at_bytes_that_changed);
        tcase_add_test(c, takes_a_memory_for_what_it_says);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
