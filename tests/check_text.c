/*
 * Growing strings, and JSON that any reader accepts.
 */
#include "common/text.h"

#include "common/clock.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(grows_by_every_kind_of_addition)
{
        Text text = {0};
        char *taken;

        ck_assert_str_eq(text_content(&text), "");
        text_add(&text, "");
        text_add(&text, "one ");
        text_addf(&text, "%d-%s ", 2, "two");
        text_add_bytes(&text, "th\0ree", 6);
        text_add_hex(&text, (const uint8_t *)"\x00\x0F\xA5\xFF", 4);
        text_add_bytes(&text, NULL, 0);
        ck_assert_int_eq(text_check(&text, NULL), 0);
        ck_assert_uint_eq(text.size, 4 + 6 + 6 + 8);
        ck_assert_mem_eq(text_content(&text), "one 2-two th\0ree000fa5ff", text.size + 1);
        ck_assert_int_eq(text_take(&text, &taken, NULL), 0);
        ck_assert_ptr_null(text.data);
        ck_assert_str_eq(text_content(&text), "");
        free(taken);
}
END_TEST

START_TEST(takes_an_empty_string)
{
        Text text = {0};
        char *taken = NULL;

        ck_assert_int_eq(text_take(&text, &taken, NULL), 0);
        ck_assert_str_eq(taken, "");
        free(taken);
}
END_TEST

START_TEST(holds_a_hundred_thousand_additions)
{
        _cleanup_(text_done) Text text = {0};

        for (unsigned i = 0; i < 100000; i++)
                text_addf(&text, "%c", 'a' + i % 26);
        ck_assert_uint_eq(text.size, 100000);
        ck_assert_uint_eq(strlen(text.data), 100000);
        for (unsigned i = 0; i < 100000; i++)
                ck_assert_int_eq(text.data[i], 'a' + i % 26);
}
END_TEST

START_TEST(remembers_what_did_not_fit)
{
        Text text = {0};
        char *taken = NULL;
        Error error = {0};

        text_add(&text, "begin");
        text_add_bytes(&text, "x", SIZE_MAX - 2);
        text_add(&text, "more");
        text_addf(&text, "%s", "more");
        ck_assert_str_eq(text_content(&text), "begin");
        ck_assert_int_eq(text_check(&text, &error), -ENOMEM);
        ck_assert_int_eq(text_take(&text, &taken, &error), -ENOMEM);
        ck_assert_ptr_null(taken);
        ck_assert_ptr_null(text.data);
}
END_TEST

static const struct {
        const char *value, *json;
} strings[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"say \"no\" \\ yes", "\"say \\\"no\\\" \\\\ yes\""},
        {"a\nb\tc\rd\x01\x1F\x7F", "\"a\\nb\\u0009c\\u000dd\\u0001\\u001f\\u007f\""},
        {"/", "\"/\""},
        /* UTF-8 of every length, at both ends of their ranges */
        {"\xC2\x80\xDF\xBF", "\"\xC2\x80\xDF\xBF\""},
        {"\xE0\xA0\x80\xEF\xBF\xBF", "\"\xE0\xA0\x80\xEF\xBF\xBF\""},
        {"\xED\x9F\xBF\xEE\x80\x80", "\"\xED\x9F\xBF\xEE\x80\x80\""},
        {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""},
        /* what is not UTF-8, byte by byte */
        {"\x80", "\"\xEF\xBF\xBD\""},
        {"\xC0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xC1\xBF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xC3", "\"\xEF\xBF\xBD\""},
        {"\xC3\"", "\"\xEF\xBF\xBD\\\"\""},
        {"\xE0\x9F\xBF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xE2\x82z", "\"\xEF\xBF\xBD\xEF\xBF\xBDz\""},
        {"\xF0\x8F\xBF\xBF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xF5z", "\"\xEF\xBF\xBDz\""},
        {"\xFFz", "\"\xEF\xBF\xBDz\""},
        {"\xF0\x9F\x98", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
};

START_TEST(quotes_strings)
{
        _cleanup_(text_done) Text text = {0};
        Json json = {.text = &text};

        json_string(&json, NULL, strings[_i].value);
        ck_assert_str_eq(text_content(&text), strings[_i].json);
}
END_TEST

START_TEST(writes_values_and_nests_them)
{
        _cleanup_(text_done) Text text = {0};
        Json json = {.text = &text};

        json_object(&json, NULL);
        json_integer(&json, "least", INT64_MIN);
        json_integer(&json, "most", INT64_MAX);
        json_boolean(&json, "yes", true);
        json_boolean(&json, "no", false);
        json_string(&json, "absent", NULL);
        json_null(&json, "null");
        json_hex(&json, "hex", (const uint8_t *)"\x0A\xB0", 2);
        json_hex(&json, "none", NULL, 0);
        json_time(&json, "at", INT64_C(1769860800) * USEC_PER_SEC);
        json_time(&json, "never", USEC_INFINITY);
        json_array(&json, "empty");
        json_array_end(&json);
        json_array(&json, "list");
        json_integer(&json, NULL, 1);
        json_object(&json, NULL);
        json_object_end(&json);
        json_object(&json, NULL);
        json_string(&json, "a \"key\"", "v");
        json_object_end(&json);
        json_array(&json, NULL);
        json_boolean(&json, NULL, true);
        json_null(&json, NULL);
        json_array_end(&json);
        json_array_end(&json);
        json_integer(&json, "last", 0);
        json_object_end(&json);
        ck_assert_str_eq(
                text_content(&text),
                "{\"least\":-9223372036854775808,\"most\":9223372036854775807,\"yes\":true,"
                "\"no\":false,\"absent\":null,\"null\":null,\"hex\":\"0ab0\",\"none\":\"\","
                "\"at\":\"2026-01-31T12:00:00Z\",\"never\":\"never\",\"empty\":[],"
                "\"list\":[1,{},{\"a \\\"key\\\"\":\"v\"},[true,null]],\"last\":0}");
}
END_TEST

START_TEST(nests_a_thousand_deep)
{
        _cleanup_(text_done) Text text = {0};
        Json json = {.text = &text};

        for (unsigned i = 0; i < 1000; i++)
                json_array(&json, NULL);
        for (unsigned i = 0; i < 1000; i++)
                json_array_end(&json);
        ck_assert_uint_eq(text.size, 2000);
        ck_assert_ptr_null(strchr(text.data, ','));
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("text");
        TCase *tcase = tcase_create("text");

        tcase_add_test(tcase, grows_by_every_kind_of_addition);
        tcase_add_test(tcase, takes_an_empty_string);
        tcase_add_test(tcase, holds_a_hundred_thousand_additions);
        tcase_add_test(tcase, remembers_what_did_not_fit);
        tcase_add_loop_test(tcase, quotes_strings, 0, ELEMENTSOF(strings));
        tcase_add_test(tcase, writes_values_and_nests_them);
        tcase_add_test(tcase, nests_a_thousand_deep);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
