#include "common/key.h"

#include "tests/judge.h"

#include <errno.h>
#include <openssl/pem.h>

/* What openssl says of a key of each type. */
static const char *const described[KEY_TYPE_COUNT] = {
        [KEY_ECDSA_P256] = "NIST CURVE: P-256",    [KEY_ECDSA_P384] = "NIST CURVE: P-384",
        [KEY_RSA_2048] = "Private-Key: (2048 bit", [KEY_RSA_3072] = "Private-Key: (3072 bit",
        [KEY_RSA_4096] = "Private-Key: (4096 bit", [KEY_ED25519] = "ED25519 Private-Key",
};

START_TEST(makes_keys_that_openssl_reads)
{
        _cleanup_(key_freep) Key *key = NULL, *again = NULL;
        _cleanup_(key_text_done) KeyText text = {0};
        Error error = {0};

        ck_assert_int_eq(key_new((KeyType)_i, &key, &error), 0);
        ck_assert_int_eq(key_format(key, &text, &error), 0);
        ck_assert_int_eq(strncmp(text.data, "-----BEGIN PRIVATE KEY-----\n", 28), 0);
        judge_write("key.pem", text.data, text.size);
        ck_assert_int_eq(judge_run("openssl pkey -in key.pem -noout -text -check"), 0);
        ck_assert_msg(strstr(judge_output, described[_i]) != NULL, "%s", judge_output);
        ck_assert_int_eq(key_parse(text.data, text.size, &again, &error), 0);
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                ck_assert_int_eq(key_is_type(again, type), type == (unsigned)_i);
}
END_TEST

/* So many that some begin or end with zeros, which are easily lost. */
START_TEST(writes_the_same_bytes_as_libcrypto)
{
        static const KeyType types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_ED25519};
        enum { KEYS = 600 };

        for (int i = 0; i < KEYS; i++) {
                _cleanup_(key_freep) Key *key = NULL, *again = NULL;
                _cleanup_(key_text_done) KeyText text = {0};
                BIO *bio = BIO_new(BIO_s_mem());
                char *expected;
                long size;

                ck_assert_int_eq(key_new(types[_i], &key, NULL), 0);
                ck_assert_int_eq(key_format(key, &text, NULL), 0);
                ck_assert(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
                size = BIO_get_mem_data(bio, &expected);
                ck_assert_uint_eq(text.size, (size_t)size);
                ck_assert_mem_eq(text.data, expected, text.size);
                ck_assert_int_eq(key_parse(text.data, text.size, &again, NULL), 0);
                ck_assert_int_eq(EVP_PKEY_eq(key, again), 1);
                BIO_free(bio);
        }
}
END_TEST

START_TEST(reads_keys_that_openssl_wrote)
{
        static const char *const commands[] = {
                "openssl genrsa -traditional 2048",
                "openssl ecparam -name prime256v1 -genkey",
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
                "openssl genpkey -algorithm ed25519",
                /* Without the public half; with a compressed point. */
                "openssl ecparam -name prime256v1 -genkey | openssl ec -no_public | "
                "openssl pkcs8 -topk8 -nocrypt",
                "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
                "openssl ecparam -name prime256v1 -genkey | openssl ec -conv_form compressed | "
                "openssl pkcs8 -topk8 -nocrypt",
        };
        static const KeyType types[] = {KEY_RSA_2048,   KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_ED25519,
                                        KEY_ECDSA_P256, KEY_RSA_3072,   KEY_ECDSA_P256};
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(freep) char *text = NULL;
        Error error = {0};
        size_t size;

        ck_assert_int_eq(judge_run("%s >key.pem", commands[_i]), 0);
        text = judge_read("key.pem", &size);
        ck_assert_msg(key_parse(text, size, &key, &error) == 0, "%s", error.text);
        ck_assert(key_is_type(key, types[_i]));
}
END_TEST

START_TEST(refuses_what_is_no_key)
{
        static const char *const texts[] = {
                "",
                "\n",
                "junk",
                "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----\n",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        };
        Key *key = NULL;
        Error error = {0};

        ck_assert_int_eq(key_parse(texts[_i], strlen(texts[_i]), &key, &error), -EINVAL);
        ck_assert_ptr_null(key);
        ck_assert_int_ne(error.text[0], '\0');
}
END_TEST

START_TEST(refuses_every_torn_key)
{
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(key_text_done) KeyText text = {0};
        Key *torn = NULL;

        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &key, NULL), 0);
        ck_assert_int_eq(key_format(key, &text, NULL), 0);
        /* Without its last newline it is still whole. */
        for (size_t size = 0; size + 1 < text.size; size++)
                ck_assert_int_eq(key_parse(text.data, size, &torn, NULL), -EINVAL);
}
END_TEST

START_TEST(never_asks_for_a_passphrase)
{
        _cleanup_(freep) char *text = NULL;
        Key *key = NULL;
        Error error = {0};
        size_t size;

        ck_assert_int_eq(judge_run("openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret "
                                   "-out key.pem"),
                         0);
        text = judge_read("key.pem", &size);
        ck_assert_int_eq(key_parse(text, size, &key, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "unencrypted"));
}
END_TEST

START_TEST(tells_other_kinds_apart)
{
        static const char *const commands[] = {
                "openssl ecparam -name secp521r1 -genkey",
                "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
                "openssl genrsa 1024",
                "openssl genpkey -algorithm ed448",
        };
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(freep) char *text = NULL;
        Error error = {0};
        size_t size;

        ck_assert_int_eq(judge_run("%s 2>/dev/null >key.pem", commands[_i]), 0);
        text = judge_read("key.pem", &size);
        ck_assert_msg(key_parse(text, size, &key, &error) == 0, "%s", error.text);
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                ck_assert(!key_is_type(key, type));
}
END_TEST

START_TEST(locks_a_key_with_a_passphrase)
{
        _cleanup_(key_freep) Key *key = NULL, *again = NULL;
        _cleanup_(key_text_done) KeyText text = {0};
        Error error = {0};

        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &key, NULL), 0);
        ck_assert_int_eq(key_format_locked(key, "a secret", &text, &error), 0);
        ck_assert_ptr_eq(strstr(text.data, "-----BEGIN ENCRYPTED PRIVATE KEY-----"), text.data);
        judge_write("locked.pem", text.data, text.size);
        ck_assert_int_eq(judge_run("openssl pkey -in locked.pem -passin 'pass:a secret' -noout"),
                         0);
        ck_assert_int_eq(key_parse_locked(text.data, text.size, "a secret", &again, &error), 0);
        ck_assert(key_is_type(again, KEY_ECDSA_P256));
        ck_assert_int_eq(key_parse(text.data, text.size, &again, &error), -EINVAL);
        ck_assert_int_eq(key_parse_locked(text.data, text.size, "another", &again, &error),
                         -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "with the passphrase that was given"));
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("key");
        TCase *tc = tcase_create("key");

        tcase_add_checked_fixture(tc, judge_setup, judge_teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_loop_test(tc, makes_keys_that_openssl_reads, 0, KEY_TYPE_COUNT);
        tcase_add_loop_test(tc, writes_the_same_bytes_as_libcrypto, 0, 3);
        tcase_add_loop_test(tc, reads_keys_that_openssl_wrote, 0, 7);
        tcase_add_loop_test(tc, refuses_what_is_no_key, 0, 6);
        tcase_add_test(tc, refuses_every_torn_key);
        tcase_add_test(tc, never_asks_for_a_passphrase);
        tcase_add_test(tc, locks_a_key_with_a_passphrase);
        tcase_add_loop_test(tc, tells_other_kinds_apart, 0, 4);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
