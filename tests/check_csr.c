#include "common/csr.h"

#include "tests/judge.h"

#include <errno.h>
#include <openssl/x509.h>

DEFINE_CLEANUP(X509_PUBKEY *, X509_PUBKEY_free);

/* How openssl makes a key of each type. */
static const char *const genpkey[KEY_TYPE_COUNT] = {
        [KEY_ECDSA_P256] = "EC -pkeyopt ec_paramgen_curve:P-256",
        [KEY_ECDSA_P384] = "EC -pkeyopt ec_paramgen_curve:P-384",
        [KEY_RSA_2048] = "RSA -pkeyopt rsa_keygen_bits:2048",
        [KEY_RSA_3072] = "RSA -pkeyopt rsa_keygen_bits:3072",
        [KEY_RSA_4096] = "RSA -pkeyopt rsa_keygen_bits:4096",
        [KEY_ED25519] = "ed25519",
};

static void openssl_csr(const char *algorithm, const char *options, char **ret, size_t *ret_size)
{
        ck_assert_int_eq(judge_run("openssl genpkey -algorithm %s -out key.pem", algorithm), 0);
        ck_assert_msg(judge_run("openssl req -new -key key.pem -outform DER -out csr.der %s",
                                options) == 0,
                      "%s", judge_output);
        *ret = judge_read("csr.der", ret_size);
}

START_TEST(makes_requests_that_openssl_verifies)
{
        _cleanup_(key_freep) Key *key = NULL, *public_key = NULL;
        _cleanup_(freep) uint8_t *der = NULL;
        Error error = {0};
        size_t size;

        ck_assert_int_eq(key_new((KeyType)_i, &key, &error), 0);
        ck_assert_msg(csr_format(key, &der, &size, &error) == 0, "%s", error.text);
        judge_write("csr.der", der, size);
        ck_assert_int_eq(judge_run("openssl req -inform DER -in csr.der -verify -noout -text"), 0);
        ck_assert_ptr_nonnull(strstr(judge_output, "verify OK"));
        ck_assert_ptr_nonnull(strstr(judge_output, "Subject: \n"));
        ck_assert_msg(csr_parse(der, size, (KeyType)_i, &public_key, &error) == 0, "%s",
                      error.text);
        ck_assert(key_is_type(public_key, (KeyType)_i));
}
END_TEST

START_TEST(takes_requests_that_openssl_made)
{
        _cleanup_(key_freep) Key *public_key = NULL;
        _cleanup_(freep) char *der = NULL;
        Error error = {0};
        size_t size;

        openssl_csr(genpkey[_i], "-subj /CN=ignored -addext subjectAltName=DNS:ignored", &der,
                    &size);
        ck_assert_msg(csr_parse(der, size, (KeyType)_i, &public_key, &error) == 0, "%s",
                      error.text);
}
END_TEST

START_TEST(refuses_another_type_of_key)
{
        _cleanup_(freep) char *der = NULL;
        Key *public_key = NULL;
        Error error = {0};
        size_t size;

        openssl_csr(genpkey[KEY_RSA_2048], "-subj /", &der, &size);
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                if (type != KEY_RSA_2048)
                        ck_assert_int_eq(csr_parse(der, size, type, &public_key, &error), -EINVAL);
        ck_assert_ptr_null(public_key);
        ck_assert_str_eq(error.text, "the request: the key is not of type ed25519");
}
END_TEST

/* Turning any one bit gives something malformed, or a signature that is wrong; never a key. */
START_TEST(refuses_every_turned_bit)
{
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(freep) uint8_t *der = NULL;
        Key *public_key = NULL;
        size_t size, n_signature = 0;

        ck_assert_int_eq(key_new(KEY_ED25519, &key, NULL), 0);
        ck_assert_int_eq(csr_format(key, &der, &size, NULL), 0);
        for (size_t bit = 0; bit < size * 8; bit++) {
                int r;

                der[bit / 8] ^= 1 << bit % 8;
                r = csr_parse(der, size, KEY_ED25519, &public_key, NULL);
                ck_assert_msg(r == -EINVAL || r == -EBADMSG, "bit %zu: %d", bit, r);
                n_signature += r == -EBADMSG;
                der[bit / 8] ^= 1 << bit % 8;
        }
        /* At least every bit of the signature itself. */
        ck_assert_uint_ge(n_signature, 64 * 8);
        ck_assert_ptr_null(public_key);
}
END_TEST

START_TEST(refuses_every_other_length)
{
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(freep) uint8_t *der = NULL, *longer = NULL;
        Key *public_key = NULL;
        Error error = {0};
        size_t size;

        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &key, NULL), 0);
        ck_assert_int_eq(csr_format(key, &der, &size, NULL), 0);
        for (size_t n = 0; n < size; n++)
                ck_assert_int_eq(csr_parse(der, n, KEY_ECDSA_P256, &public_key, NULL), -EINVAL);
        longer = calloc(1, CSR_MAX + 1);
        memcpy(longer, der, size);
        ck_assert_int_eq(csr_parse(longer, size + 1, KEY_ECDSA_P256, &public_key, &error), -EINVAL);
        ck_assert_str_eq(error.text, "bytes follow the certificate request");
        ck_assert_int_eq(csr_parse(longer, CSR_MAX + 1, KEY_ECDSA_P256, &public_key, NULL),
                         -EINVAL);
        ck_assert_ptr_null(public_key);
}
END_TEST

/* Other encodings of a key are taken, but what is made of it has the one canonical form. */
START_TEST(makes_other_encodings_canonical)
{
        static const char *const options[] = {"-conv_form compressed", "-param_enc explicit"};
        _cleanup_(freep) char *der = NULL;
        _cleanup_(key_freep) Key *public_key = NULL;
        _cleanup_(X509_PUBKEY_freep) X509_PUBKEY *spki = X509_PUBKEY_new();
        unsigned char *bytes = NULL;
        Error error = {0};
        size_t size;
        int n;

        ck_assert_int_eq(judge_run("openssl ecparam -name prime256v1 -genkey -noout | openssl ec "
                                   "%s -out key.pem && openssl req -new -key key.pem -subj / "
                                   "-outform DER -out csr.der",
                                   options[_i]),
                         0);
        der = judge_read("csr.der", &size);
        ck_assert_msg(csr_parse(der, size, KEY_ECDSA_P256, &public_key, &error) == 0, "%s",
                      error.text);
        ck_assert_msg(key_put_public(public_key, spki, &error) == 0, "%s", error.text);
        n = i2d_X509_PUBKEY(spki, &bytes);
        judge_write("canonical.der", bytes, (size_t)n);
        OPENSSL_free(bytes);
        ck_assert_int_eq(
                judge_run("openssl ec -in key.pem -pubout -outform DER -conv_form "
                          "uncompressed -param_enc named_curve 2>&- | cmp - canonical.der"),
                0);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("csr");
        TCase *tc = tcase_create("csr");

        tcase_add_checked_fixture(tc, judge_setup, judge_teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_loop_test(tc, makes_requests_that_openssl_verifies, 0, KEY_TYPE_COUNT);
        tcase_add_loop_test(tc, takes_requests_that_openssl_made, 0, KEY_TYPE_COUNT);
        tcase_add_test(tc, refuses_another_type_of_key);
        tcase_add_test(tc, refuses_every_turned_bit);
        tcase_add_test(tc, refuses_every_other_length);
        tcase_add_loop_test(tc, makes_other_encodings_canonical, 0, 2);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
