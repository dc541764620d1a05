/*
 * What systemd is told, read from a socket in its place.
 */
#include "daemon/notify.h"

#include "tests/judge.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static int fd;

static void setup(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        judge_setup();
        snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", judge_directory);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static void teardown(void)
{
        close(fd);
        judge_teardown();
}

/* The next message; "" where there is none. */
static const char *told(void)
{
        static char text[256];
        ssize_t size = recv(fd, text, sizeof text - 1, 0);

        text[size < 0 ? 0 : size] = '\0';
        return text;
}

START_TEST(is_ready_once)
{
        notify_ready();
        ck_assert_str_eq(told(), "READY=1");
        notify_ready();
        ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(arms_the_watchdog_for_the_length_of_a_pass)
{
        setenv("WATCHDOG_USEC", "7000000", 1);
        notify_pass_begins();
        ck_assert_str_eq(told(), "WATCHDOG=1\nWATCHDOG_USEC=7000000");
        notify_progress(); /* within the same second */
        ck_assert_str_eq(told(), "");
        notify_pass_ended();
        ck_assert_str_eq(told(), "WATCHDOG_USEC=0");
}
END_TEST

START_TEST(tells_no_watchdog_where_there_is_none)
{
        unsetenv("WATCHDOG_USEC");
        notify_pass_begins();
        notify_pass_ended();
        ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(tells_status_and_end)
{
        notify_status("OK: 2 certificates");
        ck_assert_str_eq(told(), "STATUS=OK: 2 certificates");
        notify_stopping();
        ck_assert_str_eq(told(), "STOPPING=1\nSTATUS=ending");
}
END_TEST

START_TEST(does_nothing_without_systemd)
{
        unsetenv("NOTIFY_SOCKET");
        notify_ready();
        notify_pass_begins();
        notify_status("OK");
        ck_assert_str_eq(told(), "");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("notify");
        TCase *tc = tcase_create("notify");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, is_ready_once);
        tcase_add_test(tc, arms_the_watchdog_for_the_length_of_a_pass);
        tcase_add_test(tc, tells_no_watchdog_where_there_is_none);
        tcase_add_test(tc, tells_status_and_end);
        tcase_add_test(tc, does_nothing_without_systemd);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
