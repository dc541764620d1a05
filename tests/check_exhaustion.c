/*
 * Reading a policy while memory runs out: the Nth allocation fails, for N from 1 until none does.
 * Linked with --wrap, so that only our own code is hit. Nothing may be lost or freed twice (ASan),
 * and running out is never told as a fault of the policy, or passed over.
 */
#include "common/policy.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TRIES_MAX = 5000 };

static unsigned calls, failing;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__real_arena_get(Arena *arena, size_t size);
char *__real_arena_text(Arena *arena, const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void *__wrap_arena_get(Arena *arena, size_t size);
char *__wrap_arena_text(Arena *arena, const char *text, size_t length);

static bool is_failing(void)
{
        if (++calls != failing)
                return false;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return is_failing() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return is_failing() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
        return is_failing() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
        return is_failing() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
        return is_failing() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
        return is_failing() ? NULL : __real_strndup(text, size);
}

/* An arena asks for memory once in a while; here each taking from it counts. */
void *__wrap_arena_get(Arena *arena, size_t size)
{
        return is_failing() ? NULL : __real_arena_get(arena, size);
}

char *__wrap_arena_text(Arena *arena, const char *text, size_t length)
{
        return is_failing() ? NULL : __real_arena_text(arena, text, length);
}

/* Loads with the Nth call failing; whether it was reached. */
static bool load(const char *file, unsigned n, int *ret_r, Errors *errors, Policy **ret)
{
        *ret = NULL;
        calls = 0;
        failing = n;
        *ret_r = policy_load(file, ret, errors);
        failing = 0;
        return calls >= n;
}

static const char *const files[] = {"good", "full", "many"};

START_TEST(tells_that_memory_ran_out_and_nothing_else)
{
        const char *source = getenv("PGCERTD_SOURCE");
        bool is_good = strcmp(files[_i], "many") != 0, is_reached = true;
        char path[512];
        unsigned n = 1;

        snprintf(path, sizeof path, "%s/tests/policy/%s.yaml", source ? source : ".", files[_i]);
        for (; is_reached && n < TRIES_MAX; n++) {
                _cleanup_(errors_done) Errors errors = {0};
                _cleanup_(policy_unrefp) Policy *policy = NULL;
                int r;

                is_reached = load(path, n, &r, &errors, &policy);
                ck_assert_int_eq(r == 0, policy != NULL);
                /* Only a warning may be lost, and is counted then or not necessary. */
                if (!is_good)
                        ck_assert_int_lt(r, 0);
                else if (r < 0)
                        ck_assert_msg(errors.n == 0 ||
                                              strstr(errors.items[0].text, "out of memory"),
                                      "%u: %s", n, errors.items[0].text);
                for (size_t i = 0; is_good && i < errors.n; i++)
                        ck_assert_int_eq(errors.items[i].code, ENOMEM);
        }
        ck_assert_uint_gt(n, 100);
        ck_assert_uint_lt(n, TRIES_MAX);
}
END_TEST

static Suite *suite(void)
{
        Suite *result = suite_create("exhaustion");
        TCase *cases = tcase_create("memory");

        tcase_set_timeout(cases, 60);
        tcase_add_loop_test(cases, tells_that_memory_ran_out_and_nothing_else, 0,
                            ELEMENTSOF(files));
        suite_add_tcase(result, cases);
        return result;
}

#include "tests/check_main.h"
