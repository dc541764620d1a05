/*
 * Memory that is taken in small pieces and given back at once.
 */
#include "common/arena.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

START_TEST(keeps_what_was_taken_and_apart)
{
        enum { N = 5000 };
        static char *texts[N];
        static uint64_t *numbers[N];
        Arena arena = {0};
        char text[32];

        for (unsigned i = 0; i < N; i++) {
                int length = snprintf(text, sizeof text, "text %u", i);

                /* What follows the length is not taken. */
                strcat(text, "!");
                texts[i] = arena_text(&arena, text, (size_t)length);
                numbers[i] = arena_get(&arena, sizeof **numbers);
                ck_assert_uint_eq((uintptr_t)numbers[i] % sizeof(void *), 0);
                ck_assert_uint_eq(*numbers[i], 0);
                *numbers[i] = i;
        }
        for (unsigned i = 0; i < N; i++) {
                snprintf(text, sizeof text, "text %u", i);
                ck_assert_str_eq(texts[i], text);
                ck_assert_uint_eq(*numbers[i], i);
        }
        arena_done(&arena);
        arena_done(&arena);
}
END_TEST

START_TEST(takes_what_is_larger_than_a_chunk)
{
        static const size_t sizes[] = {0, 1, 4095, 4096, 65536, 1 << 20};
        static const char zeros[1 << 20];
        Arena arena = {0};

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                char *memory = arena_get(&arena, sizes[i]);

                ck_assert_ptr_nonnull(memory);
                ck_assert_mem_eq(memory, zeros, sizes[i]);
                memset(memory, 'x', sizes[i]);
        }
        arena_done(&arena);
}
END_TEST

static Suite *suite(void)
{
        Suite *result = suite_create("arena");
        TCase *cases = tcase_create("arena");

        tcase_add_test(cases, keeps_what_was_taken_and_apart);
        tcase_add_test(cases, takes_what_is_larger_than_a_chunk);
        suite_add_tcase(result, cases);
        return result;
}

#include "tests/check_main.h"
