/*
 * The words for key types, there and back.
 */
#include "common/keytype.h"

#include "common/macro.h"

#include <check.h>
#include <string.h>

START_TEST(names_each_type_there_and_back)
{
        static const char *const names[KEY_TYPE_COUNT] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048",
                                                          "rsa-3072",   "rsa-4096",   "ed25519"};

        for (unsigned i = 0; i < KEY_TYPE_COUNT; i++) {
                KeyType type = KEY_TYPE_COUNT;

                ck_assert_str_eq(key_type_name((KeyType)i), names[i]);
                ck_assert(key_type_parse(names[i], &type));
                ck_assert_uint_eq(type, i);
        }
}
END_TEST

START_TEST(knows_no_other_words)
{
        static const char *const others[] = {"",         "rsa",        "rsa-1024",   "RSA-2048",
                                             "ed25519 ", "ecdsa-p521", "ecdsa_p256", "dsa"};

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                KeyType type = KEY_RSA_3072;

                ck_assert(!key_type_parse(others[i], &type));
                ck_assert_uint_eq(type, KEY_RSA_3072);
        }
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("keytype");
        TCase *tcase = tcase_create("keytype");

        tcase_add_test(tcase, names_each_type_there_and_back);
        tcase_add_test(tcase, knows_no_other_words);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
