#include "daemon/worker/configuration.h"
#include "daemon/worker/settings.h"

#include "tests/postgres.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static SettingsResult result;

static void check(const Postmaster *postmaster)
{
        Error error = {0};

        settings_result_done(&result);
        ck_assert_msg(settings_check(&postgres.cluster, postmaster, postgres_within(5000), &result,
                                     &error) == 0,
                      "%s", error.text);
}

static void check_running(void)
{
        Postmaster postmaster;

        postgres_find(&postmaster);
        check(&postmaster);
        ck_assert(result.known);
}

static void expect(const char *said)
{
        if (said)
                ck_assert_msg(result.override && strstr(result.override, said), "%s",
                              result.override ? result.override : "no override");
        else
                ck_assert_msg(!result.override, "%s", result.override);
}

static void write_ours(void)
{
        ck_assert_int_eq(configuration_write(&postgres.cluster, false, NULL), 1);
}

START_TEST(finds_nobody_else_where_our_file_is_read)
{
        write_ours();
        if (_i == 1) /* what comes before ours loses */
                postgres_configure("ssl = off\nssl_cert_file = '/x'", "");
        if (_i == 2) /* what comes later and says the same is welcome */
                postgres_configure("", "ssl = yes");
        if (_i == 3) { /* a name by way of a link is the same file */
                postgres_must("ln -s . linked; sed -i 's|%s/pgcertd|%s/linked/pgcertd|' "
                              "$PGDATA/postgresql.conf; grep linked $PGDATA/postgresql.conf",
                              postgres.directory, postgres.directory);
        }
        postgres_start("");
        check_running();
        ck_assert(result.included);
        expect(NULL);
}
END_TEST

START_TEST(names_the_file_and_line_of_an_override)
{
        static const struct {
                const char *command, *said;
        } table[] = {
                {"psql -XAtc \"alter system set ssl_cert_file = '/x'\"",
                 "ssl_cert_file is set to '/x' by "},
                {"psql -XAtc \"alter system set ssl_cert_file = '/x'\"",
                 "/data/postgresql.auto.conf:3 (ALTER SYSTEM) HINT: Run ALTER SYSTEM RESET "
                 "ssl_cert_file."},
                {"psql -XAtc 'alter system set ssl = off'", "ssl is set to 'off' by "},
                {"psql -XAtc \"alter system set ssl_ca_file = ''\"",
                 "ssl_ca_file is set to '' by "},
                {"echo \"ssl_key_file = '/y'\" >>$PGDATA/postgresql.conf",
                 "ssl_key_file is set to '/y' by "},
                {"echo \"ssl_key_file = '/y'\" >>$PGDATA/postgresql.conf",
                 "HINT: Remove that line, or put it before the one that includes "},
                {"echo 'ssl = false' >>$PGDATA/postgresql.conf", "ssl is set to 'false' by "},
                {"echo \"include 'last.conf'\" >>$PGDATA/postgresql.conf; "
                 "echo \"ssl_key_file = '/z'\" >$PGDATA/last.conf",
                 "/data/last.conf:1 HINT: "},
        };

        write_ours();
        postgres_start("");
        postgres_must("%s", table[_i].command);
        check_running(); /* before any reload */
        expect(table[_i].said);
        postgres_must("pg_ctl reload; until grep 'received SIGHUP' log; do sleep 0.05; done");
        check_running();
        expect(table[_i].said);
        ck_assert(result.included);
}
END_TEST

START_TEST(sees_the_command_line)
{
        if (_i == 0)
                write_ours();
        postgres_start("-c ssl_ca_file=");
        check_running();
        expect("ssl_ca_file is set to '' by the command line HINT: ");
}
END_TEST

START_TEST(says_nothing_of_lines_while_ours_is_not_there)
{
        postgres_configure("ssl = off", "ssl_cert_file = '/x'");
        postgres_start("");
        check_running();
        ck_assert(result.included);
        expect(NULL);
        postgres_sql("alter system set ssl_cert_file = '/x'");
        check_running();
        expect("(ALTER SYSTEM)");
}
END_TEST

START_TEST(tells_that_ours_is_not_included)
{
        write_ours();
        postgres_must("sed -i '/include_if_exists/d' $PGDATA/postgresql.conf");
        postgres_start("");
        check_running();
        ck_assert(!result.included);
        expect("PostgreSQL does not read our configuration HINT: Put the line include_if_exists");
}
END_TEST

START_TEST(compares_values_alone_without_a_file_of_ours)
{
        char lines[600];

        snprintf(lines, sizeof lines,
                 "ssl = on\nssl_cert_file = '%s'\nssl_key_file = '%s/server/server.key'\n"
                 "ssl_ca_file = '%s/server/root.crt'",
                 _i == 1 ? "/x" : "server/server.crt", postgres.directory, postgres.directory);
        if (_i == 0)
                snprintf(lines, sizeof lines,
                         "ssl = on\nssl_cert_file = '%s/server/server.crt'\nssl_key_file = "
                         "'%s/server/server.key'\nssl_ca_file = '%s/server/root.crt'",
                         postgres.directory, postgres.directory, postgres.directory);
        postgres.cluster.configuration = NULL;
        postgres_configure("ssl = off", "");
        postgres_start("");
        postgres_configure("", _i == 2 ? "" : lines);
        postgres_must("pg_ctl reload; until grep 'received SIGHUP' log; do sleep 0.05; done; "
                      "sleep 0.2");
        check_running();
        ck_assert(result.included);
        expect(NULL); /* the files have to be there before the user can name them */
        ck_assert_int_eq(result.advice != NULL, _i > 0);
        ck_assert(_i != 1 || strstr(result.advice, "ssl_cert_file is '/x' HINT: "));
        ck_assert(_i != 2 || strstr(result.advice, "ssl is 'off' HINT: "));
}
END_TEST

START_TEST(does_not_know_where_nobody_can_be_asked)
{
        Postmaster postmaster;

        write_ours();
        check(NULL); /* never started: no postmaster.opts */
        ck_assert(!result.known && result.included);
        postgres_start("");
        postgres_find(&postmaster);
        kill(postmaster.pid, SIGSTOP);
        settings_result_done(&result);
        ck_assert_int_eq(
                settings_check(&postgres.cluster, &postmaster, postgres_within(200), &result, NULL),
                0);
        kill(postmaster.pid, SIGCONT);
        ck_assert(!result.known && result.included && !result.override);
}
END_TEST

START_TEST(asks_the_program_while_it_is_down)
{
        static const struct {
                const char *command, *options;
                bool known, included;
                const char *said;
        } table[] = {
                {"", "", true, true, NULL},
                {"rm pgcertd.conf", "", false, true, NULL},
                {"sed -i /include_if/d $PGDATA/postgresql.conf", "", true, false,
                 "PostgreSQL does not read our configuration"},
                {"echo \"ssl_key_file = '/y'\" >>$PGDATA/postgresql.conf", "", true, true,
                 "ssl_key_file is set to '/y' elsewhere than in our configuration HINT: "},
                {"", "-c ssl_ca_file=", true, true, "ssl_ca_file is set to '' elsewhere"},
                {"echo nonsense >>$PGDATA/postgresql.conf", "", false, true, NULL},
                {"rm $PGDATA/postmaster.opts", "", false, true, NULL},
                {"echo '/bin/echo \"ssl\"' >$PGDATA/postmaster.opts", "", false, true, NULL},
                {"echo 'postgres' >$PGDATA/postmaster.opts", "", false, true, NULL},
                {": >$PGDATA/postmaster.opts", "", false, true, NULL},
                {"printf '#!/bin/sh\\nsleep 30\\n' >postgres; chmod +x postgres; "
                 "echo \"$PWD/postgres\" >$PGDATA/postmaster.opts",
                 "", false, true, NULL},
                {"printf '#!/bin/sh\\nyes\\n' >postgres; chmod +x postgres; "
                 "echo \"$PWD/postgres\" >$PGDATA/postmaster.opts",
                 "", false, true, NULL},
        };
        int64_t before;

        write_ours();
        postgres_start(table[_i].options);
        postgres_stop();
        postgres_must("%s", table[_i].command[0] ? table[_i].command : ":");
        before = clock_boottime();
        settings_result_done(&result);
        ck_assert_int_eq(settings_check(&postgres.cluster, NULL,
                                        postgres_within(_i < 10 ? 3000 : 300), &result, NULL),
                         0);
        ck_assert_int_lt(clock_boottime() - before, 4 * USEC_PER_SEC);
        ck_assert_int_eq(result.known, table[_i].known);
        ck_assert_int_eq(result.included, table[_i].included);
        expect(table[_i].said);
}
END_TEST

static void teardown(void)
{
        settings_result_done(&result);
}

static Suite *suite(void)
{
        Suite *s = suite_create("settings");
        TCase *c = tcase_create("settings");

        postgres_become();
        tcase_set_timeout(c, 30);
        tcase_add_unchecked_fixture(c, postgres_create, postgres_remove);
        tcase_add_checked_fixture(c, postgres_reset, teardown);
        tcase_add_loop_test(c, finds_nobody_else_where_our_file_is_read, 0, 4);
        tcase_add_loop_test(c, names_the_file_and_line_of_an_override, 0, 8);
        tcase_add_loop_test(c, sees_the_command_line, 0, 2);
        tcase_add_test(c, says_nothing_of_lines_while_ours_is_not_there);
        tcase_add_test(c, tells_that_ours_is_not_included);
        tcase_add_loop_test(c, compares_values_alone_without_a_file_of_ours, 0, 3);
        tcase_add_test(c, does_not_know_where_nobody_can_be_asked);
        tcase_add_loop_test(c, asks_the_program_while_it_is_down, 0, 12);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
