/*
 * The texts for operators: the table's cells, its 80 columns, and what hostile names and messages
 * do to a terminal (nothing).
 */
#include "tests/report_scene.h"

static const Writer writers[] = {report_status, report_plan, report_check};

START_TEST(shows_a_row_per_reader)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        report_status(&scene.report, &text);
        ck_assert_str_eq(
                text_content(&text),
                "READER         STATE  SERVED  VALID UNTIL        NEXT\n"
                "main (server)  ok     yes     2026-12-31 12:00Z  renew 2026-12-21 12:00Z\n"
                "app (client)   ok     -       2026-12-31 12:00Z  renew 2026-12-21 12:00Z\n"
                "\n"
                "AUTHORITY  CA       PHASE    VALID UNTIL        NEXT\n"
                "main       root G1  current  2031-11-06 12:00Z  prepare 2030-03-16 "
                "12:00Z\n"
                "\n"
                "OK: all 2 readers have what they should have; next: renew server at\n"
                "  2026-12-21T12:00:00Z (in 19d); last looked at 2026-12-02T11:59:59Z\n");
}
END_TEST

START_TEST(shows_where_each_generation_of_a_ca_stands)
{
        _cleanup_(text_done) Text text = {0};
        ObservedGeneration generations[2];
        Scene scene;

        set_scene(&scene);
        generations[0] = scene.generation;
        generations[1] = scene.generation;
        generations[1].number = 2;
        generations[1].phase = AUTHORITY_NEXT;
        generations[1].subject = (char *)"CN=root G2 00000000, O=Bytebase";
        scene.observed_authority.generations = generations;
        scene.observed_authority.n_generations = 2;
        scene.planned_authority = (PlanAuthority){.next_verb = STEP_ACTIVATE,
                                                  .next_generation = 2,
                                                  .next_usec = NOW + 7 * DAY,
                                                  .waits_for = (char *)"cluster main"};
        report_status(&scene.report, &text);
        has(&text, "root G1  current  2031-11-06 12:00Z  -\n");
        has(&text, "root G2  next     2031-11-06 12:00Z  activate 2026-12-09 12:00Z\n");
        has(&text, "  main: to activate the next CA waits for cluster main\n");
}
END_TEST

START_TEST(shows_seconds_within_the_next_day)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.planned[0].renew_at_usec = NOW + 20 * USEC_PER_SEC;
        scene.planned[1].renew_at_usec = NOW;
        scene.sets[0].leaf.not_after_usec = NOW + 30 * USEC_PER_SEC;
        report_status(&scene.report, &text);
        has(&text, "12:00:30Z          renew 12:00:20Z\n");
        has(&text, "renew now\n");
}
END_TEST

START_TEST(tells_what_a_server_serves_in_a_word)
{
        static const struct {
                ClusterState state;
                HandshakeOutcome outcome;
                bool is_other;
                const char *word;
        } cases[] = {
                {CLUSTER_RUNNING, HANDSHAKE_TLS, false, "  yes  "},
                {CLUSTER_RUNNING, HANDSHAKE_TLS, true, "  other  "},
                {CLUSTER_RUNNING, HANDSHAKE_PLAIN, false, "  no TLS  "},
                {CLUSTER_RUNNING, HANDSHAKE_REFUSED, false, "  no reply  "},
                {CLUSTER_RUNNING, HANDSHAKE_TIMEOUT, false, "  no reply  "},
                {CLUSTER_RUNNING, HANDSHAKE_BROKEN, false, "  broken  "},
                {CLUSTER_RUNNING, HANDSHAKE_NOT_TRIED, false, "  unseen  "},
                {CLUSTER_DOWN, HANDSHAKE_NOT_TRIED, false, "  down  "},
                {CLUSTER_ABSENT, HANDSHAKE_NOT_TRIED, false, "  absent  "},
                {CLUSTER_UNKNOWN, HANDSHAKE_NOT_TRIED, false, "  ?  "},
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_done) Text text = {0}, check = {0};
                Scene scene;

                set_scene(&scene);
                scene.observed_cluster.state = cases[i].state;
                scene.observed_cluster.served.outcome = cases[i].outcome;
                if (cases[i].is_other)
                        scene.observed_cluster.served.leaf = leaf(9);
                report_status(&scene.report, &text);
                has(&text, cases[i].word);
                is_fit(&text);
                report_check(&scene.report, &check);
                is_fit(&check);
        }
}
END_TEST

START_TEST(sums_up_in_one_line)
{
        static const struct {
                Health health, certificate, cluster;
                bool is_first; /* no pass yet */
                const char *line;
        } cases[] = {
                {HEALTH_OK, HEALTH_OK, HEALTH_OK, true, "\nUNKNOWN: no pass has finished yet"},
                {HEALTH_WARNING, HEALTH_WARNING, HEALTH_OK, false,
                 "\nWARNING: 1 of 2 readers needs attention; next: renew server at"},
                {HEALTH_CRITICAL, HEALTH_CRITICAL, HEALTH_CRITICAL, false,
                 "\nCRITICAL: 1 of 2 readers needs attention"},
                {HEALTH_WARNING, HEALTH_OK, HEALTH_WARNING, false, "\nWARNING: 1 of 2 readers"},
                {HEALTH_CRITICAL, HEALTH_OK, HEALTH_OK, false,
                 "\nCRITICAL: 2 readers are well, but see above"},
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_done) Text text = {0};
                Scene scene;

                set_scene(&scene);
                scene.plan.health = cases[i].health;
                scene.planned[0].health = cases[i].certificate;
                scene.planned_cluster.health = cases[i].cluster;
                if (cases[i].is_first)
                        scene.report.pass_usec = 0;
                report_status(&scene.report, &text);
                has(&text, cases[i].line);
                ck_assert_int_eq(report_health(&scene.report),
                                 cases[i].is_first ? HEALTH_UNKNOWN : cases[i].health);
        }
}
END_TEST

START_TEST(tells_each_problem_once)
{
        _cleanup_(text_done) Text text = {0};
        char sentence[] = "key values mismatch HINT: Look at the key.";
        Scene scene;
        const char *first;

        set_scene(&scene);
        scene.plan.health = HEALTH_WARNING;
        scene.planned[0] = (PlanCertificate){CERTIFICATE_REFUSED, HEALTH_WARNING, NOW, sentence};
        scene.planned_cluster.proof = PROOF_REFUSED;
        scene.planned_cluster.health = HEALTH_WARNING;
        scene.planned_cluster.error = sentence;
        report_status(&scene.report, &text);
        has(&text, "main (server)  refused");
        has(&text, "  certificate server: key values mismatch\n    HINT: Look at the key.\n");
        first = strstr(text_content(&text), "mismatch");
        ck_assert_ptr_null(strstr(first + 1, "mismatch"));
}
END_TEST

START_TEST(names_the_cluster_that_does_not_serve)
{
        _cleanup_(text_done) Text text = {0};
        PolicyCluster clusters[2];
        ObservedCluster observed[2];
        PlanCluster planned[2];
        Scene scene;

        set_scene(&scene);
        clusters[0] = clusters[1] = scene.cluster;
        clusters[1].name = (char *)"standby";
        observed[0] = observed[1] = scene.observed_cluster;
        observed[1].served.leaf = leaf(9);
        planned[0] = planned[1] = scene.planned_cluster;
        planned[1].proof = PROOF_OWED;
        scene.planned[0].state = CERTIFICATE_OWED;
        scene.policy.clusters = clusters;
        scene.observation.clusters = observed;
        scene.plan.clusters = planned;
        scene.policy.n_clusters = scene.observation.n_clusters = scene.plan.n_clusters = 2;
        report_status(&scene.report, &text);
        has(&text, "main (server)     ok     yes ");
        has(&text, "standby (server)  owed   other ");
}
END_TEST

START_TEST(a_cluster_that_fails_its_checks_is_not_ok)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.plan.health = scene.planned_cluster.health = HEALTH_WARNING;
        scene.memory_cluster.unusable = (char *)"plaintext is not refused";
        report_status(&scene.report, &text);
        has(&text, "main (server)  problem  yes ");
        has(&text, "  cluster main: plaintext is not refused\n");
        has(&text, "app (client)   ok ");
}
END_TEST

START_TEST(shows_a_server_without_cluster)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.policy.n_clusters = 0;
        report_status(&scene.report, &text);
        has(&text, "server (server)  ok     unused  2026");
}
END_TEST

static char *long_name(char buffer[POLICY_NAME_MAX + 1], char letter)
{
        memset(buffer, letter, POLICY_NAME_MAX);
        buffer[POLICY_NAME_MAX] = '\0';
        return buffer;
}

START_TEST(fits_80_columns_and_is_harmless)
{
        static const char *const nasty[] = {
                "",
                "plain",
                "\033[2J\033]0;owned\a\r\n\tnext line\b\b",
                "\xC2\x9B"
                "31m and \xE2\x80\xAE turned \xFF\xFE\xC0\x80 bytes \xF0\x9F\x98\x80",
                "\xE7\xA7\x98\xE5\xAF\x86\xE9\x8D\xB5\xE3\x81\xAE\xE6\xA8\xA9\xE9\x99\x90\xE3\x81"
                "\x8C\xE9\x81\x95\xE3\x81\x84\xE3\x81\xBE\xE3\x81\x99\xE7\xA7\x98\xE5\xAF\x86\xE9"
                "\x8D\xB5\xE3\x81\xAE\xE6\xA8\xA9\xE9\x99\x90\xE3\x81\x8C\xE9\x81\x95\xE3\x81\x84",
                "a-word-without-end-"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                "bbb"
                " HINT: HINT: HINT:",
        };
        for (size_t i = 0; i < ELEMENTSOF(nasty); i++)
                for (int state = 0; state < CERTIFICATE_STATES; state++) {
                        char names[3][POLICY_NAME_MAX + 1];
                        Scene scene;

                        set_scene(&scene);
                        scene.certificates[0].name = long_name(names[0], 's');
                        scene.certificates[1].name = long_name(names[1], 'c');
                        scene.cluster.name = long_name(names[2], 'm');
                        for (size_t j = 0; j < 2; j++) {
                                scene.planned[j].state = (CertificateState)state;
                                scene.planned[j].health = HEALTH_CRITICAL;
                                scene.planned[j].error = (char *)nasty[i];
                                scene.sets[j].problem = (char *)nasty[i];
                        }
                        scene.planned_cluster.proof = PROOF_REFUSED;
                        scene.planned_cluster.error = (char *)nasty[i];
                        scene.observed_cluster.override = (char *)nasty[i];
                        scene.observed_cluster.served.outcome = HANDSHAKE_REFUSED;
                        scene.memory_cluster.unusable = (char *)"cannot log in";
                        scene.report.policy_error = nasty[i];
                        scene.report.clock_sync = CLOCK_UNSYNCHRONISED;
                        scene.plan.steps = scene.steps;
                        scene.plan.n_steps = 2;
                        scene.steps[1].reason = (char *)nasty[i];
                        for (size_t j = 0; j < ELEMENTSOF(writers); j++) {
                                _cleanup_(text_done) Text text = {0};

                                writers[j](&scene.report, &text);
                                is_fit(&text);
                                has_not(&text, "\xC2\x9B");
                                has_not(&text, "\xE2\x80\xAE");
                        }
                }
}
END_TEST

START_TEST(tells_nothing_on_disk_from_not_looked_at)
{
        static const struct {
                SetState state;
                const char *cell;
        } cases[] = {{SET_ABSENT, " -       nothing "}, {SET_UNKNOWN, " -       ?  "}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_done) Text text = {0};
                Scene scene;

                set_scene(&scene);
                scene.sets[1].state = (uint8_t)cases[i].state;
                scene.sets[1].has_leaf = false;
                report_status(&scene.report, &text);
                has(&text, cases[i].cell);
        }
}
END_TEST

START_TEST(cuts_a_long_name_in_the_middle)
{
        _cleanup_(text_done) Text text = {0};
        char name[POLICY_NAME_MAX + 1];
        Scene scene;

        set_scene(&scene);
        scene.cluster.name = long_name(name, 'm');
        report_status(&scene.report, &text);
        has(&text, "mmmmmm\xE2\x80\xA6 (server)  ok ");
        has(&text, "renew 2026-12-21 12:00Z\n");
        is_fit(&text);
}
END_TEST

START_TEST(plans_the_steps_and_what_lies_ahead)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.planned[1].renew_at_usec = USEC_INFINITY;
        report_plan(&scene.report, &text);
        ck_assert_str_eq(text_content(&text),
                         "Nothing is due now.\n"
                         "\n"
                         "Ahead:\n"
                         "  2026-12-21T12:00:00Z renew server (in 19d)\n"
                         "  2031-11-06T12:00:00Z the CA of main expires (in 4y 339d)\n");
        text_done(&text);
        scene.plan.steps = scene.steps;
        scene.plan.n_steps = 2;
        report_plan(&scene.report, &text);
        has(&text, ":\n  issue certificate server, with a new key: renewal is due\n"
                   "  load cluster main: new files are in place\n");
}
END_TEST

START_TEST(check_says_what_why_and_what_to_do)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.planned[0] = (PlanCertificate){CERTIFICATE_EXPIRED, HEALTH_CRITICAL, NOW, NULL};
        report_check(&scene.report, &text);
        has(&text, "certificate server: expired\n");
        has(&text, "  wanted: a server certificate for db1.example.com, signed by main");
        has(&text, "  on disk: /etc/postgresql/ssl: serial 3f0d3aec01, valid from");
        has(&text, "  wrong: its certificate has expired\n");
        has(&text, "  matters: Clients");
        has(&text, "  do: Renew it now: pgcertctl renew server.");
        has(&text, "  served: what is on disk, over TLSv1.3; proven\n");
        has(&text, "  wanted: the certificate server; connections without TLS refused\n");
        has(&text, "certificate app: ok\n  wanted: a client certificate for the role app");
        has(&text, ": 1 finding\n");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("report");
        TCase *c = tcase_create("report");

        tcase_add_test(c, shows_a_row_per_reader);
        tcase_add_test(c, shows_where_each_generation_of_a_ca_stands);
        tcase_add_test(c, shows_seconds_within_the_next_day);
        tcase_add_test(c, tells_what_a_server_serves_in_a_word);
        tcase_add_test(c, sums_up_in_one_line);
        tcase_add_test(c, tells_each_problem_once);
        tcase_add_test(c, names_the_cluster_that_does_not_serve);
        tcase_add_test(c, a_cluster_that_fails_its_checks_is_not_ok);
        tcase_add_test(c, shows_a_server_without_cluster);
        tcase_add_test(c, fits_80_columns_and_is_harmless);
        tcase_add_test(c, tells_nothing_on_disk_from_not_looked_at);
        tcase_add_test(c, cuts_a_long_name_in_the_middle);
        tcase_add_test(c, plans_the_steps_and_what_lies_ahead);
        tcase_add_test(c, check_says_what_why_and_what_to_do);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
