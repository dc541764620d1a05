/*
 * Errors keep their storage, their whole characters and their place, whatever they are told.
 */
#include "common/error.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(says_a_sentence_and_its_code)
{
        Error error;

        memset(&error, 'x', sizeof error);
        errno = EBUSY;
        ck_assert_int_eq(error_set(&error, ENOENT, "no %s of %d HINT: Make one.", "key", 7),
                         -ENOENT);
        ck_assert_int_eq(errno, EBUSY);
        ck_assert_int_eq(error.code, ENOENT);
        ck_assert_uint_eq(error.line, 0);
        ck_assert_uint_eq(error.column, 0);
        ck_assert_str_eq(error.file, "");
        ck_assert_str_eq(error.text, "no key of 7 HINT: Make one.");
}
END_TEST

START_TEST(does_without_storage)
{
        ck_assert_int_eq(error_set(NULL, EPERM, "%s", "nobody listens"), -EPERM);
        ck_assert_int_eq(error_at(NULL, EINVAL, "f", 1, 2, "%s", "nobody listens"), -EINVAL);
        ck_assert_int_eq(error_oom(NULL), -ENOMEM);
        ck_assert_int_eq(error_prefix(NULL, "%s", "nobody"), -EIO);
}
END_TEST

START_TEST(says_that_memory_ran_out)
{
        Error error;

        ck_assert_int_eq(error_oom(&error), -ENOMEM);
        ck_assert_str_eq(error.text, "out of memory");
}
END_TEST

/* Characters of one to four bytes, each beginning at every offset before the end. */
START_TEST(cuts_at_a_whole_character)
{
        static const char *const characters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC",
                                                 "\xF0\x9F\x98\x80"};

        for (size_t c = 0; c < ELEMENTSOF(characters); c++) {
                size_t length = strlen(characters[c]);

                for (size_t before = ERROR_TEXT_MAX - 8; before < ERROR_TEXT_MAX + 2; before++) {
                        char text[ERROR_TEXT_MAX + 16];
                        Error error;
                        size_t expected = ERROR_TEXT_MAX - 1;

                        memset(text, '-', before);
                        strcpy(text + before, characters[c]);
                        if (before + length < ERROR_TEXT_MAX)
                                expected = before + length;
                        else if (before < ERROR_TEXT_MAX)
                                expected = before;
                        error_set(&error, EINVAL, "%s", text);
                        ck_assert_uint_eq(strlen(error.text), expected);
                        ck_assert_mem_eq(error.text, text, expected);
                }
        }
}
END_TEST

START_TEST(puts_a_prefix_before_the_sentence)
{
        Error error;

        error_at(&error, EACCES, "policy.yaml", 3, 9, "denied");
        ck_assert_int_eq(error_prefix(&error, "cluster %s", "main"), -EACCES);
        ck_assert_str_eq(error.text, "cluster main: denied");
        ck_assert_uint_eq(error.line, 3);
        ck_assert_str_eq(error.file, "policy.yaml");
}
END_TEST

START_TEST(puts_a_prefix_before_a_full_sentence)
{
        char text[ERROR_TEXT_MAX * 2] = "";
        Error error;

        for (size_t i = 0; i < ERROR_TEXT_MAX / 2; i++)
                strcat(text, "\xC3\xA9");
        error_set(&error, EACCES, "%s", text);
        ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_MAX - 2);
        ck_assert_int_eq(error_prefix(&error, "a"), -EACCES);
        /* "a: " and 510 whole characters. */
        ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_MAX - 1);
        ck_assert_int_eq(error_prefix(&error, "b"), -EACCES);
        ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_MAX - 2);
        ck_assert_mem_eq(error.text, "b: a: \xC3\xA9", 8);
        ck_assert_int_eq(error_prefix(&error, "%s", text), -EACCES);
        ck_assert_uint_lt(strlen(error.text), ERROR_TEXT_MAX);
}
END_TEST

START_TEST(prefixes_what_was_never_set)
{
        Error error = {0};

        ck_assert_int_eq(error_prefix(&error, "early"), -EIO);
}
END_TEST

START_TEST(formats_the_place_where_there_is_one)
{
        char buffer[ERROR_TEXT_MAX + ERROR_FILE_MAX], small[8];
        Error error;

        error_at(&error, EINVAL, "policy.yaml", 12, 5, "unknown key");
        ck_assert_str_eq(error_format(&error, buffer, sizeof buffer),
                         "policy.yaml:12:5: unknown key");
        ck_assert_str_eq(error_format(&error, small, sizeof small), "policy.");
        error_at(&error, EINVAL, "policy.yaml", 0, 0, "empty");
        ck_assert_str_eq(error_format(&error, buffer, sizeof buffer), "policy.yaml: empty");
        error_set(&error, EINVAL, "alone");
        ck_assert_str_eq(error_format(&error, buffer, sizeof buffer), "alone");
}
END_TEST

START_TEST(cuts_the_name_of_a_file)
{
        char file[ERROR_FILE_MAX * 2];
        Error error;

        memset(file, 'f', sizeof file - 1);
        file[sizeof file - 1] = '\0';
        error_at(&error, EINVAL, file, 1, 1, "long");
        ck_assert_uint_eq(strlen(error.file), ERROR_FILE_MAX - 1);
        ck_assert_str_eq(error.text, "long");
}
END_TEST

START_TEST(lists_errors_up_to_a_limit)
{
        Errors errors = {0};

        for (unsigned i = 0; i < ERRORS_MAX + 30; i++) {
                Error error;

                error_at(&error, EINVAL, "f", i + 1, 1, "number %u", i);
                ck_assert_int_eq(errors_add(&errors, &error), -EINVAL);
        }
        ck_assert_uint_eq(errors.n, ERRORS_MAX);
        ck_assert_uint_eq(errors.omitted, 30);
        for (unsigned i = 0; i < ERRORS_MAX; i++)
                ck_assert_uint_eq(errors.items[i].line, i + 1);
        errors_done(&errors);
        ck_assert_uint_eq(errors.n, 0);
        ck_assert_uint_eq(errors.omitted, 0);
        errors_done(&errors);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("error");
        TCase *tcase = tcase_create("error");

        tcase_add_test(tcase, says_a_sentence_and_its_code);
        tcase_add_test(tcase, does_without_storage);
        tcase_add_test(tcase, says_that_memory_ran_out);
        tcase_add_test(tcase, cuts_at_a_whole_character);
        tcase_add_test(tcase, puts_a_prefix_before_the_sentence);
        tcase_add_test(tcase, puts_a_prefix_before_a_full_sentence);
        tcase_add_test(tcase, prefixes_what_was_never_set);
        tcase_add_test(tcase, formats_the_place_where_there_is_one);
        tcase_add_test(tcase, cuts_the_name_of_a_file);
        tcase_add_test(tcase, lists_errors_up_to_a_limit);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
