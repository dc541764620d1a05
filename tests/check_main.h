/*
 * The main() of every unit test: runs one suite, prints TAP, and returns 0 where TAP was printed
 * (it carries the verdict). A test file defines `static Suite *suite(void)` and includes this last.
 */
#pragma once

#include <check.h>
#include <stdlib.h>

static Suite *suite(void);

int main(void)
{
        SRunner *runner = srunner_create(suite());
        const char *tap = getenv("CK_TAP_LOG_FILE_NAME");
        int failed;

        srunner_run_all(runner, tap ? CK_SILENT : CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed && !tap ? 1 : 0;
}
