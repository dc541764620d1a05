/*
 * For unit tests whose judge is another program: a directory of the test's own, files in it, and
 * commands run in it. Everything fails the test where it cannot be done.
 */
#pragma once

#include "common/macro.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { JUDGE_OUTPUT_MAX = 64 * 1024, JUDGE_COMMAND_MAX = 4096 };

static char judge_directory[] = "/tmp/pgcertd-test-XXXXXX";

/* What the last command wrote, both streams. */
static char judge_output[JUDGE_OUTPUT_MAX];

_unused_ static void judge_setup(void)
{
        strcpy(judge_directory + strlen("/tmp/pgcertd-test-"), "XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(judge_directory));
}

/* Runs a shell command in the directory; returns its exit status. */
_unused_ _printf_(1, 2) static int judge_run(const char *format, ...)
{
        char command[JUDGE_COMMAND_MAX], whole[JUDGE_COMMAND_MAX + 100];
        size_t size;
        va_list ap;
        FILE *pipe;

        va_start(ap, format);
        ck_assert_int_lt(vsnprintf(command, sizeof command, format, ap), (int)sizeof command);
        va_end(ap);
        snprintf(whole, sizeof whole, "cd %s && { %s\n} 2>&1 </dev/null", judge_directory, command);
        pipe = popen(whole, "r");
        ck_assert_ptr_nonnull(pipe);
        size = fread(judge_output, 1, sizeof judge_output - 1, pipe);
        judge_output[size] = '\0';
        return pclose(pipe);
}

_unused_ static void judge_teardown(void)
{
        char directory[sizeof judge_directory];

        strcpy(directory, judge_directory);
        ck_assert_int_eq(judge_run("rm -rf %s", directory), 0);
}

_unused_ static void judge_write(const char *name, const void *data, size_t size)
{
        char path[JUDGE_COMMAND_MAX];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(data, 1, size, file), size);
        ck_assert_int_eq(fclose(file), 0);
}

/* Reads a file of the directory whole; a NUL follows. The caller frees. */
_unused_ static char *judge_read(const char *name, size_t *ret_size)
{
        char path[JUDGE_COMMAND_MAX], *data = calloc(1, JUDGE_OUTPUT_MAX);
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        ck_assert_ptr_nonnull(data);
        *ret_size = fread(data, 1, JUDGE_OUTPUT_MAX - 1, file);
        fclose(file);
        return data;
}
