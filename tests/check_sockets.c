/*
 * Where systemd listens, and which command is told where it does not.
 */
#include "daemon/sockets.h"

#include "tests/judge.h"

#include <errno.h>

static const struct {
        const char *owner;
        int code;
        const char *sentence;
} failures[] = {
        {"app", ENOENT,
         "no worker for app: why HINT: Run: systemctl enable --now pgcertd-worker@app.socket"},
        {"app", ECONNREFUSED,
         "no worker for app: why HINT: Run: systemctl enable --now pgcertd-worker@app.socket"},
        {"app", ETIMEDOUT, "no worker for app: why"},
        {NULL, ENOENT, "no signer: why HINT: Run: systemctl restart pgcertd-signer.socket"},
        {NULL, EACCES, "no signer: why"},
};

START_TEST(names_the_command_where_nobody_listens)
{
        Error error;

        error_set(&error, failures[_i].code, "why");
        ck_assert_int_eq(sockets_explain(failures[_i].owner, &error), -failures[_i].code);
        ck_assert_str_eq(error.text, failures[_i].sentence);
}
END_TEST

START_TEST(are_due_where_their_directory_is)
{
        char path[SOCKETS_PATH_MAX];

        ck_assert_int_eq(sockets_path(judge_directory, "app", path, NULL), 0);
        ck_assert_ptr_nonnull(strstr(path, "/worker-app.sock"));
        ck_assert(sockets_are_due(judge_directory));
        ck_assert(!sockets_are_due("missing"));
        ck_assert_int_eq(judge_run("touch signer.sock"), 0);
        ck_assert(!sockets_are_due("signer.sock"));
}
END_TEST

START_TEST(refuses_a_path_that_is_too_long)
{
        char path[SOCKETS_PATH_MAX], directory[SOCKETS_PATH_MAX];

        memset(directory, 'x', sizeof directory - 1);
        directory[sizeof directory - 1] = '\0';
        ck_assert_int_eq(sockets_path(directory, NULL, path, NULL), -ENAMETOOLONG);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("sockets");
        TCase *tc = tcase_create("sockets");

        tcase_add_checked_fixture(tc, judge_setup, judge_teardown);
        tcase_add_loop_test(tc, names_the_command_where_nobody_listens, 0, ELEMENTSOF(failures));
        tcase_add_test(tc, are_due_where_their_directory_is);
        tcase_add_test(tc, refuses_a_path_that_is_too_long);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
