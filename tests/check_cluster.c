#include "daemon/worker/cluster.h"
#include "daemon/worker/configuration.h"

#include "tests/postgres.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static uint8_t first[32], second[32], other[32];
static const PolicyCluster *clusters[] = {&postgres.cluster};

static void setup(void)
{
        postgres_reset();
        postgres_fingerprint("server/server.crt", first);
        postgres_fingerprint("others/second.crt", second);
        postgres_fingerprint("others/other.crt", other);
}

static void write_ours(void)
{
        ck_assert_int_eq(configuration_write(&postgres.cluster, false, NULL), 1);
}

static void load(void)
{
        int64_t pid, started;
        Postmaster postmaster;
        Error error = {0};

        ck_assert_msg(cluster_load(&postgres.cluster, &pid, &started, &error) == 0, "%s",
                      error.text);
        postgres_find(&postmaster);
        ck_assert_int_eq(pid, postmaster.pid);
        ck_assert_int_eq(started, postmaster.started_sec);
}

static ProveResult prove(const uint8_t leaf[32], int64_t msec)
{
        ProveResult result;
        Error error = {0};

        ck_assert_msg(
                cluster_prove(&postgres.cluster, leaf, postgres_within(msec), &result, &error) == 0,
                "%s", error.text);
        return result;
}

static void expect(const ProveResult *result, ProveOutcome outcome, const char *said)
{
        ck_assert_msg(result->outcome == outcome, "outcome %d: %s", result->outcome,
                      result->sentence);
        ck_assert_msg(strstr(result->sentence, said) != NULL, "%s", result->sentence);
}

static ObservedCluster observe(int64_t msec)
{
        ObservedCluster observed;
        Error error = {0};

        ck_assert_msg(cluster_observe(clusters, 1, postgres_within(msec), &observed, &error) == 0,
                      "%s", error.text);
        return observed;
}

START_TEST(turns_tls_on_by_a_reload_and_proves_it)
{
        ObservedCluster observed;
        ProveResult result;

        postgres.cluster.reload = _i ? POLICY_RELOAD_SQL : POLICY_RELOAD_SIGNAL;
        postgres_start("");
        observed = observe(5000);
        ck_assert_int_eq(observed.state, CLUSTER_RUNNING);
        ck_assert_int_eq(observed.served.outcome, HANDSHAKE_PLAIN);
        ck_assert_int_eq(observed.configuration, CONFIGURATION_ABSENT);
        ck_assert(observed.in_force_known && !observed.override && !observed.problem);
        write_ours();
        load();
        result = prove(first, 5000);
        expect(&result, PROVE_PROVEN, "");
        ck_assert_mem_eq(result.served.leaf.sha256, first, 32);
        postgres_must("cp others/second.crt server/server.crt");
        load();
        result = prove(second, 5000);
        expect(&result, PROVE_PROVEN, "");
        observed = observe(5000);
        ck_assert_mem_eq(observed.served.leaf.sha256, second, 32);
        ck_assert_int_eq(observed.configuration, CONFIGURATION_WANTED);
        ck_assert(!observed.override && !observed.problem);
}
END_TEST

START_TEST(tells_postgresql_s_own_words_of_a_refusal)
{
        static const struct {
                const char *command, *said;
        } table[] = {
                {"cp others/other.crt server/server.crt", "key values mismatch"},
                {"chmod 640 server/server.key", "has group or world access"},
                {"rm server/server.crt", "could not load server certificate file"},
                {"rm server/server.key", "could not access private key file"},
                {": >server/server.crt", "could not load server certificate file"},
                {"echo junk >server/root.crt", "could not load root certificate file"},
                {"openssl ec -aes128 -passout pass:x -in server/server.key -out x; "
                 "cp x server/server.key",
                 "cannot be reloaded because it requires a passphrase"},
                {"cp others/second.crt server/server.crt; echo '= x' >>$PGDATA/postgresql.conf",
                 "syntax error"},
        };
        bool is_refused = strcmp(table[_i].said, "syntax error") != 0;
        ProveResult result;

        write_ours();
        postgres_start("");
        postgres_must("%s", table[_i].command);
        load();
        result = prove(is_refused ? other : first, 300);
        expect(&result, PROVE_REFUSED, table[_i].said);
        ck_assert_ptr_null(strstr(result.sentence, "LOG:"));
        ck_assert_mem_eq(result.served.leaf.sha256, is_refused ? first : second, 32);
}
END_TEST

START_TEST(reads_the_collector_s_log)
{
        ProveResult result;

        write_ours();
        postgres_configure("logging_collector = on\nlog_line_prefix = '%m [%p] '", "");
        postgres_start("");
        postgres_must("cp others/other.crt server/server.crt");
        load();
        result = prove(other, 500);
        expect(&result, PROVE_REFUSED, "could not load private key file");
}
END_TEST

/* A refusal of last week is not the reason of today. */
START_TEST(tells_only_of_the_last_reload)
{
        ProveResult result;

        write_ours();
        postgres_start("");
        postgres_must("cp others/other.crt server/server.crt");
        load();
        result = prove(other, 300);
        expect(&result, PROVE_REFUSED, "key values mismatch");
        postgres_must("cp others/second.crt server/server.crt");
        load();
        result = prove(second, 5000);
        expect(&result, PROVE_PROVEN, "");
        result = prove(first, 300);
        expect(&result, PROVE_REFUSED, "PostgreSQL still serves serial");
}
END_TEST

START_TEST(tells_first_who_else_decides)
{
        ProveResult result;

        write_ours();
        postgres_start("");
        if (_i == 0)
                postgres_sql("alter system set ssl_cert_file = '/x'");
        else
                postgres_must("sed -i /include_if/d $PGDATA/postgresql.conf; cp "
                              "others/second.crt server/server.crt");
        load();
        result = prove(second, 300);
        /* What was never read was not refused. */
        expect(&result, _i == 0 ? PROVE_REFUSED : PROVE_OWED,
               _i == 0 ? "(ALTER SYSTEM)" : "Put the line include_if_exists = '");
}
END_TEST

START_TEST(owes_the_proof_where_the_server_hangs)
{
        ObservedCluster observed;
        ProveResult result;
        Postmaster postmaster;
        int64_t before;

        write_ours();
        postgres_start("");
        postgres_find(&postmaster);
        kill(postmaster.pid, SIGSTOP);
        load();
        before = clock_boottime();
        result = prove(first, 300);
        expect(&result, PROVE_OWED, "did not answer");
        observed = observe(300);
        ck_assert_int_eq(observed.state, CLUSTER_RUNNING);
        ck_assert_int_eq(observed.served.outcome, HANDSHAKE_TIMEOUT);
        ck_assert(!observed.in_force_known && observed.problem);
        observed_cluster_done(&observed);
        /* A look of the proof may take a second whatever the deadline. */
        ck_assert_int_lt(clock_boottime() - before, 2500 * USEC_PER_MSEC);
        kill(postmaster.pid, SIGCONT);
        result = prove(first, 5000);
        expect(&result, PROVE_PROVEN, "");
}
END_TEST

START_TEST(looks_at_the_others_where_some_hang)
{
        PolicyCluster down = postgres.cluster;
        const PolicyCluster *many[9];
        ObservedCluster observed[ELEMENTSOF(many)];
        Postmaster postmaster;
        int64_t before;

        write_ours();
        postgres_start("");
        postgres_find(&postmaster);
        kill(postmaster.pid, SIGSTOP);
        postgres.cluster.timeout_usec = 300 * USEC_PER_MSEC;
        down.data_directory = postgres.directory;
        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i] = &postgres.cluster;
        many[8] = &down;
        before = clock_boottime();
        ck_assert_int_eq(
                cluster_observe(many, ELEMENTSOF(many), postgres_within(9000), observed, NULL), 0);
        ck_assert_int_lt(clock_boottime() - before, 1500 * USEC_PER_MSEC);
        ck_assert_int_eq(observed[0].served.outcome, HANDSHAKE_TIMEOUT);
        ck_assert_int_eq(observed[8].state, CLUSTER_DOWN);
        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                observed_cluster_done(&observed[i]);
        kill(postmaster.pid, SIGCONT);
}
END_TEST

START_TEST(owes_the_proof_where_the_server_is_down)
{
        ObservedCluster observed;
        ProveResult result;
        int64_t pid, started;
        LoginResult login;

        observed = observe(5000);
        ck_assert_int_eq(observed.state, CLUSTER_DOWN);
        ck_assert_int_eq(observed.served.outcome, HANDSHAKE_NOT_TRIED);
        ck_assert_int_eq(cluster_load(&postgres.cluster, &pid, &started, NULL), -ESRCH);
        result = prove(first, 5000);
        expect(&result, PROVE_OWED, "no postmaster runs");
        ck_assert_int_eq(cluster_login(&postgres.cluster, postgres_within(5000), &login, NULL), 0);
        ck_assert_int_eq(login.outcome, LOGIN_UNVERIFIABLE);
        postgres.cluster.data_directory = postgres.configuration;
        ck_assert_int_eq(cluster_observe(clusters, 1, postgres_within(5000), &observed, NULL), 0);
        ck_assert_int_eq(observed.state, CLUSTER_ABSENT);
}
END_TEST

START_TEST(owes_the_proof_where_the_server_was_restarted_meanwhile)
{
        ProveResult result;

        write_ours();
        postgres_start("");
        postgres_must("(sleep 0.2; pg_ctl -w -m immediate -l log restart) >/dev/null 2>&1 &");
        /* Refused while it is down ends the wait, too: then it is down. */
        result = prove(other, 3000);
        expect(&result, PROVE_OWED, "");
        postgres_must("until psql -XAtc 'select 1'; do sleep 0.05; done");
}
END_TEST

START_TEST(cannot_verify_without_tcp)
{
        ObservedCluster observed;
        ProveResult result;
        LoginResult login;

        write_ours();
        postgres_start("-c listen_addresses=''");
        load();
        result = prove(first, 5000);
        expect(&result, PROVE_UNVERIFIABLE, "no TCP");
        observed = observe(5000);
        ck_assert_int_eq(observed.served.outcome, HANDSHAKE_NOT_TRIED);
        ck_assert_int_eq(cluster_login(&postgres.cluster, postgres_within(5000), &login, NULL), 0);
        ck_assert_int_eq(login.outcome, LOGIN_UNVERIFIABLE);
}
END_TEST

START_TEST(tells_the_first_failure_of_all_that_verify_asks)
{
        static char protocol[] = "TLSv1.3";
        static const struct {
                const char *command;
                LoginOutcome outcome;
                const char *said;
        } table[] = {
                {":", LOGIN_DONE, ""},
                {"cp others/client.* client/", LOGIN_FAILED, "the login with client failed: "},
                {"echo 'host all app all trust' >>$PGDATA/pg_hba.conf; "
                 "sed -i /reject/d $PGDATA/pg_hba.conf",
                 LOGIN_FAILED, "plaintext is not refused: "},
                {"echo \"ssl_min_protocol_version = 'TLSv1.2'\" >>$PGDATA/postgresql.conf",
                 LOGIN_FAILED, "an old protocol is not refused: "},
        };
        LoginResult result;
        Error error = {0};

        write_ours();
        postgres.cluster.plaintext = POLICY_PLAINTEXT_REFUSED;
        postgres.cluster.min_protocol = protocol;
        postgres_configure("ssl_min_protocol_version = 'TLSv1.3'", "");
        postgres_must("%s", table[_i].command);
        postgres_start("");
        ck_assert_msg(cluster_login(&postgres.cluster, postgres_within(10000), &result, &error) ==
                              0,
                      "%s", error.text);
        ck_assert_msg(result.outcome == table[_i].outcome, "%s", result.sentence);
        ck_assert_msg(strstr(result.sentence, table[_i].said) != NULL, "%s", result.sentence);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("cluster");
        TCase *c = tcase_create("cluster");

        postgres_become();
        tcase_set_timeout(c, 30);
        tcase_add_unchecked_fixture(c, postgres_create, postgres_remove);
        tcase_add_checked_fixture(c, setup, NULL);
        tcase_add_loop_test(c, turns_tls_on_by_a_reload_and_proves_it, 0, 2);
        tcase_add_loop_test(c, tells_postgresql_s_own_words_of_a_refusal, 0, 8);
        tcase_add_test(c, reads_the_collector_s_log);
        tcase_add_test(c, tells_only_of_the_last_reload);
        tcase_add_loop_test(c, tells_first_who_else_decides, 0, 2);
        tcase_add_test(c, owes_the_proof_where_the_server_hangs);
        tcase_add_test(c, looks_at_the_others_where_some_hang);
        tcase_add_test(c, owes_the_proof_where_the_server_is_down);
        tcase_add_test(c, owes_the_proof_where_the_server_was_restarted_meanwhile);
        tcase_add_test(c, cannot_verify_without_tcp);
        tcase_add_loop_test(c, tells_the_first_failure_of_all_that_verify_asks, 0, 4);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
