/*
 * A lock is had by one program at a time, waited for, and ends with whoever had it.
 */
#include "common/lock.h"

#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int directory_fd;
static Error error;

static void setup(void)
{
        judge_setup();
        error = (Error){0};
        directory_fd = open(judge_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(directory_fd, 0);
}

static void teardown(void)
{
        close(directory_fd);
        judge_teardown();
}

/* A process that takes the lock, on the directory or on the file in it, and holds it for so long
 * after this has returned. */
static pid_t hold(bool on_directory, int msec)
{
        int ready[2], fd;
        pid_t pid;
        char byte;

        ck_assert_int_eq(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                /* Opened anew: what fork() has copied is the same lock. */
                int own = open(judge_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (on_directory ? lock_take(own, judge_directory, 0, NULL) < 0
                                 : lock_open(own, judge_directory, 0, &fd, NULL) < 0)
                        _exit(1);
                if (write(ready[1], "", 1) != 1)
                        _exit(2);
                poll(NULL, 0, msec);
                _exit(0);
        }
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static void let_go(pid_t pid)
{
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(says_who_holds_a_file)
{
        pid_t pid = hold(false, 30000);
        char expected[200];
        int fd = -1;

        ck_assert_int_eq(lock_open(directory_fd, judge_directory, 0, &fd, &error), -EWOULDBLOCK);
        snprintf(expected, sizeof expected, "process %d holds the lock on %s/lock", (int)pid,
                 judge_directory);
        ck_assert_str_eq(error.text, expected);
        ck_assert_int_eq(fd, -1);

        /* It ends with its holder, whose file stays. */
        let_go(pid);
        ck_assert_msg(lock_open(directory_fd, judge_directory, 0, &fd, &error) == 0, "%s",
                      error.text);
        close(fd);
        snprintf(expected, sizeof expected,
                 "test $(cat lock) = %d && test $(stat -c %%a lock) = 600", (int)getpid());
        ck_assert_int_eq(judge_run("%s", expected), 0);
}
END_TEST

/* The kernel does not tell of every file system and every pid namespace. */
START_TEST(says_who_holds_a_directory_where_it_can)
{
        pid_t pid = hold(true, 30000);
        char expected[200], other[200];

        snprintf(expected, sizeof expected, "process %d holds the lock on %s", (int)pid,
                 judge_directory);
        snprintf(other, sizeof other, "another program holds the lock on %s", judge_directory);
        ck_assert_int_eq(lock_take(directory_fd, judge_directory, 0, &error), -EWOULDBLOCK);
        ck_assert_msg(strcmp(error.text, expected) == 0 || strcmp(error.text, other) == 0, "%s",
                      error.text);
        let_go(pid);
        ck_assert_int_eq(lock_take(directory_fd, judge_directory, 0, &error), 0);
}
END_TEST

START_TEST(waits_for_a_holder_that_ends)
{
        for (int on_directory = 0; on_directory < 2; on_directory++) {
                _cleanup_(closep) int fd = -1;
                pid_t pid = hold(on_directory, 300);
                int64_t begin = clock_boottime();
                int r = on_directory
                                ? lock_take(directory_fd, judge_directory, LOCK_WAIT_USEC, &error)
                                : lock_open(directory_fd, judge_directory, LOCK_WAIT_USEC, &fd,
                                            &error);

                ck_assert_msg(r == 0, "%s", error.text);
                ck_assert_int_lt(clock_boottime() - begin, LOCK_WAIT_USEC);
                let_go(pid);
        }
}
END_TEST

START_TEST(gives_up_after_the_time_allowed)
{
        pid_t pid = hold(true, 30000);
        int64_t begin = clock_boottime();

        ck_assert_int_eq(lock_take(directory_fd, "it", 200 * USEC_PER_MSEC, &error), -EWOULDBLOCK);
        ck_assert_int_ge(clock_boottime() - begin, 200 * USEC_PER_MSEC);
        let_go(pid);
}
END_TEST

START_TEST(names_nobody_by_a_file_that_does_not)
{
        static const char *const texts[] = {"", "\n", "nobody\n", "-7\n", "0\n"};
        _cleanup_(closep) int held = -1;
        int fd = -1;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                judge_write("lock", texts[i], strlen(texts[i]));
                closep(&held);
                held = openat(directory_fd, "lock", O_RDONLY | O_CLOEXEC);
                ck_assert_int_eq(flock(held, LOCK_EX), 0);
                ck_assert_int_eq(lock_open(directory_fd, "d", 0, &fd, &error), -EWOULDBLOCK);
                ck_assert_str_eq(error.text, "another program holds the lock on d/lock");
        }
}
END_TEST

START_TEST(follows_no_link)
{
        int fd = -1;

        ck_assert_int_eq(symlinkat("elsewhere", directory_fd, "lock"), 0);
        ck_assert_int_eq(lock_open(directory_fd, "d", 0, &fd, &error), -ELOOP);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot open d/lock"));
        ck_assert_int_eq(faccessat(directory_fd, "elsewhere", F_OK, 0), -1);
}
END_TEST

START_TEST(tells_what_cannot_be_locked)
{
        ck_assert_int_eq(lock_take(-1, "nothing", 0, &error), -EBADF);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot lock nothing"));
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("lock");
        TCase *tcase = tcase_create("lock");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, says_who_holds_a_file);
        tcase_add_test(tcase, says_who_holds_a_directory_where_it_can);
        tcase_add_test(tcase, waits_for_a_holder_that_ends);
        tcase_add_test(tcase, gives_up_after_the_time_allowed);
        tcase_add_test(tcase, names_nobody_by_a_file_that_does_not);
        tcase_add_test(tcase, follows_no_link);
        tcase_add_test(tcase, tells_what_cannot_be_locked);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
