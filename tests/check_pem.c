#include "common/pem.h"

#include "common/cert.h"

#include <check.h>
#include <string.h>

/* Every length of a last line and of a last group, as libcrypto writes it. */
START_TEST(writes_what_libcrypto_writes)
{
        uint8_t der[200];

        for (size_t i = 0; i < sizeof der; i++)
                der[i] = (uint8_t)(i * 37 + 200);
        for (size_t size = 0; size <= sizeof der; size++) {
                Text ours = {0}, theirs = {0};

                pem_add_certificate(&ours, der, size);
                cert_add_pem(&theirs, der, size);
                ck_assert_str_eq(text_content(&ours), text_content(&theirs));
                text_done(&ours);
                text_done(&theirs);
        }
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("pem");
        TCase *c = tcase_create("pem");

        tcase_add_test(c, writes_what_libcrypto_writes);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
