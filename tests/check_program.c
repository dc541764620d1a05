/*
 * The policy that requests are judged by: always the one on disk, never a broken one.
 */
#include "common/program.h"

#include "tests/judge.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char path[100];
static Program program;
static Error error;

static const char policy[] = "version: 1\n"
                             "authorities:\n"
                             "  main: { subject: { CN: %s } }\n"
                             "certificates:\n"
                             "  app: { use: client, authority: main, role: app,\n"
                             "         directory: /tmp/none, owner: nobody }\n";

/* Writes a policy whose CA is called so; returns its tag. */
static uint64_t write_policy(const char *name)
{
        char text[1000];
        uint64_t tag;

        snprintf(text, sizeof text, policy, name);
        judge_write("policy.yaml", text, strlen(text));
        ck_assert_int_eq(policy_tag(path, &tag, &error), 0);
        return tag;
}

static void setup(void)
{
        judge_setup();
        snprintf(path, sizeof path, "%s/policy.yaml", judge_directory);
        error = (Error){0};
        program = (Program){.policy_file = path};
}

static void teardown(void)
{
        program_done(&program);
        judge_teardown();
}

START_TEST(reads_the_policy_with_that_tag)
{
        uint64_t tag = write_policy("root");
        const Policy *first;

        ck_assert_msg(program_policy(&program, tag, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(program.policy->tag, tag);
        ck_assert_ptr_nonnull(policy_find_certificate(program.policy, "app"));
        first = program.policy;
        ck_assert_int_eq(program_policy(&program, tag, &error), 0);
        ck_assert_ptr_eq(program.policy, first);
}
END_TEST

START_TEST(refuses_another_tag)
{
        uint64_t tag = write_policy("root");

        ck_assert_int_eq(program_policy(&program, tag + 1, &error), -ESTALE);
        ck_assert_ptr_nonnull(strstr(error.text, "HINT: Reload pgcertd."));
        ck_assert_int_eq(program_policy(&program, 0, NULL), -ESTALE);
        ck_assert_int_eq(program_policy(&program, tag, &error), 0);
        ck_assert_int_eq(program_policy(&program, ~tag, &error), -ESTALE);
        ck_assert_int_eq(program_policy(&program, tag, &error), 0);
}
END_TEST

START_TEST(reads_again_once_the_file_changed)
{
        uint64_t before = write_policy("root"), after;

        ck_assert_int_eq(program_policy(&program, before, &error), 0);
        after = write_policy("other");
        ck_assert_uint_ne(before, after);
        ck_assert_int_eq(program_policy(&program, after, &error), 0);
        ck_assert_uint_eq(program.policy->tag, after);
        /* The old one is not to be had again. */
        ck_assert_int_eq(program_policy(&program, before, &error), -ESTALE);
}
END_TEST

START_TEST(refuses_all_while_the_policy_is_broken)
{
        uint64_t tag, broken;

        judge_write("policy.yaml", "version: 1\nnonsense: 2\n", 23);
        ck_assert_int_eq(policy_tag(path, &broken, &error), 0);
        ck_assert_int_eq(program_policy(&program, broken, &error), -EINVAL);
        ck_assert_int_eq(error.code, EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "the policy is broken: "));
        ck_assert_ptr_nonnull(strstr(error.text, "policy.yaml:2:1: "));
        ck_assert_ptr_null(program.policy);
        tag = write_policy("root");
        ck_assert_int_eq(program_policy(&program, tag, &error), 0);
}
END_TEST

START_TEST(tells_that_the_policy_is_gone)
{
        int r = program_policy(&program, 1, &error);

        ck_assert_int_lt(r, 0);
        ck_assert_int_eq(r, -error.code);
        ck_assert_ptr_nonnull(strstr(error.text, "policy.yaml"));
        ck_assert_int_lt(program_policy(&program, 1, NULL), 0);
}
END_TEST

/* Arguments and what program_start() says of them to an unprivileged process. */
static const struct {
        const char *arguments[6];
        int code;
} starts[] = {
        {{"x", "--policy", "p"}, 0},
        {{"x", "--policy", "p", "--state-dir", "s"}, 0},
        {{"x"}, -EINVAL},
        {{"x", "--state-dir", "s"}, -EINVAL},
        {{"x", "--policy"}, -EINVAL},
        {{"x", "--policy", "p", "more"}, -EINVAL},
        {{"x", "--other", "p"}, -EINVAL},
};

static int start(size_t i)
{
        char *arguments[7] = {NULL};
        struct rlimit limit;
        int argc = 0, r;

        for (; starts[i].arguments[argc]; argc++)
                arguments[argc] = (char *)starts[i].arguments[argc];
        r = program_start(&program, "x", argc, arguments);
        if (r < 0)
                return r;
        ck_assert_str_eq(program.policy_file, "p");
        ck_assert_int_eq(argc == 5, program.state_dir != NULL);
        ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
        ck_assert_uint_eq(limit.rlim_max, 0);
        ck_assert_uint_eq(umask(0), 077);
        return r;
}

START_TEST(takes_its_arguments)
{
        pid_t pid;
        int status;

        program = (Program){0};
        pid = fork();
        if (pid == 0) {
                if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(100);
                if (!freopen("/dev/null", "w", stderr))
                        _exit(101);
                _exit(start((size_t)_i) == starts[_i].code ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(does_not_run_as_root)
{
        char *arguments[] = {"x", "--policy", "p", NULL};

        if (getuid() != 0)
                return;
        ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
        ck_assert_int_eq(program_start(&program, "x", 3, arguments), -EPERM);
}
END_TEST

/* As systemd starts it: the listening socket is descriptor 3, and no more may be opened. */
static int serve_without_descriptors(void)
{
        const struct rlimit limit = {4, 4};
        char pid[20];
        int fd;

        if (!freopen("/dev/null", "w", stderr) ||
            wire_listen("program.sock", 0600, &fd, NULL) < 0 || dup2(fd, 3) != 3)
                return 100;
        for (int other = 4; other < 64; other++)
                close(other);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&(struct sockaddr_un){AF_UNIX, "program.sock"},
                              sizeof(struct sockaddr_un)) < 0)
                return 101;
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 102;
        alarm(20);
        return program_serve(&program, NULL, 0, NULL) == -EMFILE ? 0 : 1;
}

START_TEST(ends_where_it_cannot_accept)
{
        pid_t pid;
        int status;

        ck_assert_int_eq(chdir(judge_directory), 0);
        pid = fork();
        if (pid == 0)
                _exit(serve_without_descriptors());
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("program");
        TCase *tcase = tcase_create("program");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, reads_the_policy_with_that_tag);
        tcase_add_test(tcase, refuses_another_tag);
        tcase_add_test(tcase, reads_again_once_the_file_changed);
        tcase_add_test(tcase, refuses_all_while_the_policy_is_broken);
        tcase_add_test(tcase, tells_that_the_policy_is_gone);
        tcase_add_loop_test(tcase, takes_its_arguments, 0, ELEMENTSOF(starts));
        tcase_add_test(tcase, does_not_run_as_root);
        tcase_add_test(tcase, ends_where_it_cannot_accept);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
