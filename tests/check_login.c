#include "daemon/worker/login.h"

#include "tests/postgres.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static Postmaster postmaster;

/* TLS as the policy has it, in the place where our configuration would be. */
static void start(const char *more)
{
        postgres_must("printf \"ssl = on\\nssl_cert_file = '%s/server/server.crt'\\n"
                      "ssl_key_file = '%s/server/server.key'\\n"
                      "ssl_ca_file = '%s/server/root.crt'\\n%s\\n\" >pgcertd.conf",
                      postgres.directory, postgres.directory, postgres.directory, more);
        postgres_start("");
        postgres_find(&postmaster);
}

static void expect(const LoginResult *result, LoginOutcome outcome, const char *said)
{
        ck_assert_msg(result->outcome == outcome, "outcome %d: %s", result->outcome,
                      result->sentence);
        ck_assert_msg(strstr(result->sentence, said) != NULL, "%s", result->sentence);
        ck_assert_ptr_null(strpbrk(result->sentence, "\n\t\r"));
}

static LoginResult log_in(int64_t msec)
{
        LoginResult result;
        Error error = {0};

        ck_assert_msg(login_with_certificate(&postgres.cluster, &postgres.client, &postmaster,
                                             postgres_within(msec), &result, &error) == 0,
                      "%s", error.text);
        return result;
}

static LoginResult try_plaintext(int64_t msec)
{
        LoginResult result;
        Error error = {0};

        ck_assert_msg(login_plaintext(&postgres.cluster, "app", &postmaster, postgres_within(msec),
                                      &result, &error) == 0,
                      "%s", error.text);
        return result;
}

START_TEST(logs_in_with_the_policy_s_certificate)
{
        LoginResult result;

        start("");
        result = log_in(5000);
        expect(&result, LOGIN_DONE, "");
        postgres.server.names += 1; /* by its address alone */
        postgres.server.n_names = 1;
        result = log_in(5000);
        expect(&result, LOGIN_DONE, "");
        /* listen_addresses may be a name. */
        snprintf(postmaster.address, sizeof postmaster.address, "localhost");
        result = log_in(5000);
        expect(&result, LOGIN_DONE, "");
}
END_TEST

START_TEST(is_not_led_by_the_environment)
{
        static const char *const table[][2] = {
                {"PGSSLMODE", "disable"},
                {"PGSERVICE", "evil"},
                {"PGOPTIONS", "-c work_mem=x"},
                {"PGHOSTADDR", "192.0.2.1"},
                {"PGPASSFILE", "/x"},
                {"PGSSLCRL", "/dev/zero"},
                {"PGSERVICEFILE", "/x"},
                {"PGSYSCONFDIR", "/x"},
                {"PGREQUIREPEER", "nobody"},
                {"PGREQUIRESSL", "1"},
                {"PGCLIENTENCODING", "x"},
                {"PGCHANNELBINDING", "require"},
                {"PGSSLMINPROTOCOLVERSION", "TLSv9"},
        };
        LoginResult result;
        char home[100];

        /* With a CRL in the home directory every certificate would need one. */
        postgres_must("mkdir -p home/.postgresql; cp others/client.* home/.postgresql/; "
                      "printf '[ca]\\ndefault_ca=a\\n[a]\\ndatabase=index\\ndefault_md=sha256\\n"
                      "default_crl_days=9\\n' >ca.conf; : >index; openssl ca -config ca.conf "
                      "-gencrl -keyfile others/root.key -cert others/root.crt -out "
                      "home/.postgresql/root.crl; echo '[evil]' >home/.pg_service.conf");
        snprintf(home, sizeof home, "%s/home", postgres.directory);
        setenv("HOME", home, 1);
        start("");
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                setenv(table[i][0], table[i][1], 1);
        result = log_in(5000);
        expect(&result, LOGIN_DONE, "");
        ck_assert_ptr_null(getenv("PGSSLMODE"));
        ck_assert_ptr_null(getenv("PGSSLMINPROTOCOLVERSION"));
}
END_TEST

START_TEST(tells_why_a_login_failed)
{
        static const struct {
                const char *command, *said;
        } table[] = {
                {"cp others/client.crt others/client.key client/", "unknown ca"},
                {"cp others/root.crt client/", "certificate verify failed"},
                {"rm client/client.crt", "requires a valid client certificate"},
                {"rm client/root.crt", "root.crt"},
                {"cp others/client.key client/", "key values mismatch"},
                {"chmod 644 client/client.key", "has group or world access"},
                {"psql -XAtc 'alter role app nologin'", "is not permitted to log in"},
                {"psql -XAtc 'drop role app'", "role \"app\" does not exist"},
                {"sed -i 's/^hostssl.*//' $PGDATA/pg_hba.conf; pg_ctl reload; "
                 "until grep 'received SIGHUP' log; do sleep 0.05; done; sleep 0.1",
                 "no pg_hba.conf entry"},
                {"sed -i 's/cert$/scram-sha-256/' $PGDATA/pg_hba.conf; pg_ctl reload; "
                 "until grep 'received SIGHUP' log; do sleep 0.05; done; sleep 0.1",
                 "no password supplied"},
        };
        LoginResult result;

        start("");
        postgres_must("%s", table[_i].command);
        result = log_in(5000);
        postgres_run("psql -XAtc 'create role app login'; psql -XAtc 'alter role app login'");
        expect(&result, LOGIN_FAILED, table[_i].said);
}
END_TEST

START_TEST(sees_that_nobody_asked_for_the_certificate)
{
        LoginResult result;

        postgres_rules("hostssl all app 127.0.0.1/32 trust\n");
        start("ssl_ca_file = ''");
        result = log_in(5000);
        expect(&result, LOGIN_FAILED, "did not ask for the client's certificate");
}
END_TEST

START_TEST(verifies_the_server_s_name)
{
        static char other[] = "db9.example.com", wildcard[] = "*.example.com";
        PolicyName names[] = {{.text = wildcard}, {.text = other}};
        LoginResult result;

        start("");
        postgres.server.names = names;
        postgres.server.n_names = 2;
        result = log_in(5000);
        expect(&result, LOGIN_FAILED, "does not match host name \"db9.example.com\"");
}
END_TEST

START_TEST(logs_in_to_the_service_s_database)
{
        static char dbname[] = "dbname", missing[] = "missing";
        PolicyAttribute parameter = {dbname, missing};
        PolicyService service = {.parameters = &parameter, .n_parameters = 1};
        LoginResult result;

        start("");
        postgres.client.service = &service;
        result = log_in(5000);
        expect(&result, LOGIN_FAILED, "database \"missing\" does not exist");
}
END_TEST

START_TEST(gives_no_verdict_where_the_server_cannot_be_asked)
{
        int64_t before;
        LoginResult result;

        start("max_connections = 4\\nsuperuser_reserved_connections = 0\\nmax_wal_senders = 0");
        /* Each is tried again: the one that looks takes a place for a moment, too. */
        postgres_must("for i in 1 2 3 4; do (for j in $(seq 20); do psql -XAtc 'select "
                      "pg_sleep(20)' && break; sleep 0.05; done) >/dev/null 2>&1 & done\n"
                      "until psql -XAtc 'select 1' 2>&1 | grep 'too many clients'; do "
                      "sleep 0.05; done");
        result = log_in(5000);
        expect(&result, LOGIN_UNVERIFIABLE, "too many clients");
        result = try_plaintext(5000);
        expect(&result, LOGIN_UNVERIFIABLE, "too many clients");
        kill(postmaster.pid, SIGSTOP);
        before = clock_boottime();
        result = log_in(200);
        expect(&result, LOGIN_UNVERIFIABLE, "did not answer in time");
        result = try_plaintext(200);
        expect(&result, LOGIN_UNVERIFIABLE, "timed out");
        ck_assert_int_lt(clock_boottime() - before, USEC_PER_SEC);
        kill(postmaster.pid, SIGCONT);
        postgres_must("pg_ctl -m immediate stop");
        result = log_in(5000);
        expect(&result, LOGIN_UNVERIFIABLE, "Connection refused");
        result = try_plaintext(5000);
        expect(&result, LOGIN_UNVERIFIABLE, "Connection refused");
}
END_TEST

START_TEST(gives_no_verdict_on_a_standby_that_takes_nobody)
{
        LoginResult result;

        /* Versions before 14 say "starting up", later ones "the database system is ". */
        postgres_must("touch $PGDATA/standby.signal");
        start("hot_standby = off");
        result = log_in(5000);
        postgres_must("rm $PGDATA/standby.signal");
        expect(&result, LOGIN_UNVERIFIABLE, "the database system is ");
        result = try_plaintext(5000);
        expect(&result, LOGIN_UNVERIFIABLE, "the database system is ");
}
END_TEST

START_TEST(tells_whether_plaintext_is_refused)
{
        static const struct {
                const char *rules;
                LoginOutcome outcome;
                const char *said;
        } table[] = {
                {"hostssl all app all cert\\nhostnossl all all all reject\\n", LOGIN_DONE,
                 "pg_hba.conf rejects"},
                {"hostssl all app all cert\\n", LOGIN_DONE, "no pg_hba.conf entry"},
                {"host all app all trust\\n", LOGIN_FAILED, "was accepted HINT: "},
                {"host all app all scram-sha-256\\n", LOGIN_FAILED, "was accepted HINT: "},
                {"host all app all md5\\n", LOGIN_FAILED, "was accepted HINT: "},
        };
        LoginResult result;

        postgres_rules(table[_i].rules);
        start("");
        result = try_plaintext(5000);
        expect(&result, table[_i].outcome, table[_i].said);
}
END_TEST

/* What is refused only after the rules let it pass was sent in plaintext. */
START_TEST(takes_a_later_refusal_for_accepted)
{
        static char dbname[] = "dbname", missing[] = "missing";
        PolicyAttribute parameter = {dbname, missing};
        PolicyService service = {.parameters = &parameter, .n_parameters = 1};
        LoginResult result;

        postgres_rules("host all all all trust\\n");
        start("");
        ck_assert_int_eq(login_plaintext(&postgres.cluster, "nobody_there", &postmaster,
                                         postgres_within(5000), &result, NULL),
                         0);
        expect(&result, LOGIN_FAILED, "was accepted");
        postgres.client.service = &service;
        result = try_plaintext(5000);
        expect(&result, LOGIN_FAILED, "was accepted");
}
END_TEST

START_TEST(tells_whether_old_protocols_are_refused)
{
        static char names[][8] = {"TLSv1", "TLSv1.2", "TLSv1.3", "TLSv1.2", "TLSv1.2"};
        static const struct {
                const char *settings;
                LoginOutcome outcome;
                const char *said;
        } table[] = {
                {"", LOGIN_DONE, ""},
                {"", LOGIN_DONE, "protocol version"},
                {"", LOGIN_FAILED, "with TLSv1.2 was accepted HINT: Set ssl_min_protocol_version"},
                {"ssl_min_protocol_version = TLSv1\\nssl_ciphers = 'DEFAULT@SECLEVEL=0'",
                 LOGIN_FAILED, "with TLSv1.1 was accepted"},
                {"ssl = off", LOGIN_UNVERIFIABLE, "no TLS"},
        };
        LoginResult result;

        start(table[_i].settings);
        postgres.cluster.min_protocol = names[_i];
        ck_assert_int_eq(login_old_protocol(&postgres.cluster, &postmaster, postgres_within(5000),
                                            &result, NULL),
                         0);
        expect(&result, table[_i].outcome, table[_i].said);
}
END_TEST

START_TEST(asks_as_the_owner)
{
        _cleanup_(freep) char *rows = NULL;
        Error error = {0};

        start("");
        ck_assert_msg(login_query(&postmaster, postgres.server.owner,
                                  "select 1, null, e'a\\x1fb\\nc' union all select 2, 'x', ''",
                                  postgres_within(5000), &rows, &error) == 0,
                      "%s", error.text);
        ck_assert_str_eq(rows, "1\x1f\x1f"
                               "a b c\n2\x1fx\x1f\n");
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner, "select nonsense",
                                     postgres_within(5000), &rows, &error),
                         -EIO);
        ck_assert_ptr_nonnull(strstr(error.text, "column \"nonsense\" does not exist"));
        ck_assert_int_eq(login_query(&postmaster, "nobody_there", "select 1", postgres_within(5000),
                                     &rows, &error),
                         -EACCES);
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner, "select pg_sleep(5)",
                                     postgres_within(200), &rows, &error),
                         -EAGAIN);
        postgres_must("pg_ctl -m immediate stop");
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner, "select 1",
                                     postgres_within(5000), &rows, &error),
                         -EAGAIN);
        postmaster.socket_directory[0] = '\0';
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner, "select 1",
                                     postgres_within(5000), &rows, &error),
                         -EAGAIN);
}
END_TEST

START_TEST(is_not_logged_for_what_it_asks)
{
        _cleanup_(freep) char *rows = NULL;

        postgres_configure("include_if_exists 'not_there.conf'", "");
        start("");
        postgres_must(": >log");
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner,
                                     "select count(*) > 0 from pg_file_settings",
                                     postgres_within(5000), &rows, NULL),
                         0);
        ck_assert_str_eq(rows, "t\n");
        postgres_must("cat log");
        ck_assert_str_eq(postgres.output, "");
}
END_TEST

START_TEST(finds_a_socket_below_the_data_directory)
{
        _cleanup_(freep) char *rows = NULL;

        postgres_must("mkdir -m 700 $PGDATA/socket");
        postgres_configure("", "unix_socket_directories = 'socket'");
        postgres_must("PGHOST=$PGDATA/socket pg_ctl -w -l log start");
        postgres_find(&postmaster);
        ck_assert_int_eq(login_query(&postmaster, postgres.server.owner, "select 1",
                                     postgres_within(5000), &rows, NULL),
                         0);
        postgres_must("rm -rf $PGDATA/socket");
}
END_TEST

START_TEST(gives_no_verdict_where_the_client_s_files_are_another_s)
{
        LoginResult result;

        start("");
        postgres_must("chmod 0 client");
        result = log_in(5000);
        postgres_must("chmod 700 client");
        expect(&result, LOGIN_UNVERIFIABLE, "/client/client.crt: Permission denied");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("login");
        TCase *c = tcase_create("login");

        postgres_become();
        tcase_set_timeout(c, 30);
        tcase_add_unchecked_fixture(c, postgres_create, postgres_remove);
        tcase_add_checked_fixture(c, postgres_reset, NULL);
        tcase_add_test(c, logs_in_with_the_policy_s_certificate);
        tcase_add_test(c, is_not_led_by_the_environment);
        tcase_add_loop_test(c, tells_why_a_login_failed, 0, 10);
        tcase_add_test(c, sees_that_nobody_asked_for_the_certificate);
        tcase_add_test(c, verifies_the_server_s_name);
        tcase_add_test(c, logs_in_to_the_service_s_database);
        tcase_add_test(c, gives_no_verdict_where_the_server_cannot_be_asked);
        tcase_add_test(c, gives_no_verdict_on_a_standby_that_takes_nobody);
        tcase_add_loop_test(c, tells_whether_plaintext_is_refused, 0, 5);
        tcase_add_test(c, takes_a_later_refusal_for_accepted);
        tcase_add_loop_test(c, tells_whether_old_protocols_are_refused, 0, 5);
        tcase_add_test(c, asks_as_the_owner);
        tcase_add_test(c, is_not_logged_for_what_it_asks);
        tcase_add_test(c, finds_a_socket_below_the_data_directory);
        tcase_add_test(c, gives_no_verdict_where_the_client_s_files_are_another_s);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
