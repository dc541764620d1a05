/*
 * Characters are told from what is none, and a cut keeps whole ones.
 */
#include "common/macro.h"
#include "common/utf8.h"

#include <check.h>
#include <string.h>

START_TEST(tells_characters_from_what_is_none)
{
        static const struct {
                const char *bytes;
                size_t size, expected;
        } cases[] = {
                {"", 0, 0},
                {"a", 0, 0},
                {"a", 1, 1},
                {"\0", 1, 1},
                {"\x7F", 1, 1},
                {"\x80", 1, 0},
                {"\xC1\xBF", 2, 0}, /* overlong */
                {"\xC2\x80", 2, 2},
                {"\xDF\xBF", 2, 2},
                {"\xC3\xA9", 1, 0}, /* not whole */
                {"\xC3z", 2, 0},
                {"\xE0\x9F\xBF", 3, 0}, /* overlong */
                {"\xE0\xA0\x80", 3, 3},
                {"\xE2\x82\xAC", 2, 0},
                {"\xE2\x82z", 3, 0},
                {"\xED\x9F\xBF", 3, 3},
                {"\xED\xA0\x80", 3, 0}, /* a surrogate */
                {"\xEF\xBF\xBF", 3, 3},
                {"\xF0\x8F\xBF\xBF", 4, 0}, /* overlong */
                {"\xF0\x90\x80\x80", 4, 4},
                {"\xF4\x8F\xBF\xBF", 4, 4},
                {"\xF4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
                {"\xF5\x80\x80\x80", 4, 0},
                {"\xFF", 1, 0},
                {"a\x80", 2, 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                ck_assert_msg(utf8_length(cases[i].bytes, cases[i].size) == cases[i].expected,
                              "case %zu", i);
}
END_TEST

/* Characters of one to four bytes, beginning at every offset around the limit: cutting by the
 * length, and trimming what a buffer has cut, keep the same bytes. */
START_TEST(cuts_between_characters)
{
        static const char *const characters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC",
                                                 "\xF0\x9F\x98\x80"};
        enum { MAX = 20 };

        for (size_t c = 0; c < ELEMENTSOF(characters); c++)
                for (size_t before = MAX - 6; before <= MAX + 2; before++) {
                        size_t length = strlen(characters[c]);
                        size_t expected = before + length <= MAX ? before + length
                                          : before < MAX         ? before
                                                                 : MAX;
                        char text[64] = "", cut[MAX + 1] = "";

                        memset(text, '-', before);
                        strcpy(text + before, characters[c]);
                        ck_assert_uint_eq(utf8_cut(text, MAX), expected);
                        memcpy(cut, text, MAX);
                        utf8_trim(cut);
                        ck_assert_uint_eq(strlen(cut), expected);
                        ck_assert_mem_eq(cut, text, expected);
                }
}
END_TEST

START_TEST(bounds_what_is_not_utf8)
{
        char junk[32];

        memset(junk, '\x80', sizeof junk - 1);
        junk[sizeof junk - 1] = '\0';
        ck_assert_uint_eq(utf8_cut(junk, 10), 10);
        ck_assert_uint_eq(utf8_cut(junk, 0), 0);
        ck_assert_uint_eq(utf8_cut("", 0), 0);
        utf8_trim(junk);
        ck_assert_uint_eq(strlen(junk), sizeof junk - 1);
        strcpy(junk, "");
        utf8_trim(junk);
        ck_assert_str_eq(junk, "");
        strcpy(junk, "\xC3");
        utf8_trim(junk);
        ck_assert_str_eq(junk, "");
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("utf8");
        TCase *tcase = tcase_create("utf8");

        tcase_add_test(tcase, tells_characters_from_what_is_none);
        tcase_add_test(tcase, cuts_between_characters);
        tcase_add_test(tcase, bounds_what_is_not_utf8);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
