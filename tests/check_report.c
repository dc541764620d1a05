/*
 * What operators see, from structures built by hand: the table's cells, its 80 columns, what
 * hostile names and messages do to a terminal (nothing), the shape of the JSON.
 */
#include "daemon/report.h"

#include "common/clock.h"
#include "daemon/table.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1796212800) * USEC_PER_SEC) /* 2026-12-02T12:00:00Z */
#define DAY (24 * 3600 * USEC_PER_SEC)

/* One CA, a server and a client certificate, one cluster: all well. */
typedef struct Scene {
        PolicyAuthority authority;
        PolicyCertificate certificates[2];
        PolicyCluster cluster;
        PolicyName name;
        Policy policy;
        ObservedGeneration generation;
        ObservedAuthority observed_authority;
        ObservedSet sets[2];
        ObservedCluster observed_cluster;
        Observation observation;
        MemoryCertificate memory_certificates[2];
        MemoryCluster memory_cluster;
        Memory memory;
        PlanCertificate planned[2];
        PlanCluster planned_cluster;
        PlanAuthority planned_authority;
        Step steps[2];
        Plan plan;
        Report report;
} Scene;

static CertFacts leaf(uint8_t number)
{
        CertFacts facts = {.not_before_usec = NOW - DAY, .not_after_usec = NOW + 29 * DAY};

        memset(facts.sha256, number, sizeof facts.sha256);
        snprintf(facts.serial, sizeof facts.serial, "3f0d3aec%02x", number);
        return facts;
}

static void set_policy(Scene *scene)
{
        scene->authority = (PolicyAuthority){.name = (char *)"main"};
        scene->name = (PolicyName){.text = (char *)"db1.example.com"};
        scene->certificates[0] = (PolicyCertificate){
                .name = (char *)"server",
                .use = POLICY_SERVER,
                .authority = &scene->authority,
                .directory = (char *)"/etc/postgresql/ssl",
                .owner = (char *)"postgres",
                .names = &scene->name,
                .n_names = 1,
        };
        scene->certificates[1] = (PolicyCertificate){
                .name = (char *)"app",
                .use = POLICY_CLIENT,
                .authority = &scene->authority,
                .directory = (char *)"/var/lib/app/postgresql",
                .owner = (char *)"app",
                .role = (char *)"app",
        };
        scene->cluster = (PolicyCluster){
                .name = (char *)"main",
                .data_directory = (char *)"/var/lib/postgresql/15/main",
                .certificate = &scene->certificates[0],
                .plaintext = POLICY_PLAINTEXT_REFUSED,
        };
        scene->policy = (Policy){
                .file = (char *)"/etc/pgcertd/pgcertd.yaml",
                .authorities = &scene->authority,
                .n_authorities = 1,
                .certificates = scene->certificates,
                .n_certificates = 2,
                .clusters = &scene->cluster,
                .n_clusters = 1,
        };
}

static void set_observation(Scene *scene)
{
        scene->generation = (ObservedGeneration){
                .number = 1,
                .phase = AUTHORITY_CURRENT,
                .subject = (char *)"C=CN, CN=root G1 3f0d3aec",
                .facts = {.not_after_usec = NOW + 1800 * DAY},
        };
        scene->observed_authority = (ObservedAuthority){
                .known = true, .generations = &scene->generation, .n_generations = 1};
        for (size_t i = 0; i < 2; i++)
                scene->sets[i] = (ObservedSet){.leaf = leaf((uint8_t)(i + 1)),
                                               .has_leaf = true,
                                               .state = SET_OURS,
                                               .generation = (uint32_t)(i + 7)};
        scene->observed_cluster = (ObservedCluster){
                .state = CLUSTER_RUNNING,
                .served = {.outcome = HANDSHAKE_TLS, .leaf = leaf(1), .protocol = "TLSv1.3"},
        };
        scene->observation = (Observation){
                .sets = scene->sets,
                .n_sets = 2,
                .clusters = &scene->observed_cluster,
                .n_clusters = 1,
                .authorities = &scene->observed_authority,
                .n_authorities = 1,
        };
        scene->memory = (Memory){
                .certificates = scene->memory_certificates,
                .n_certificates = 2,
                .clusters = &scene->memory_cluster,
                .n_clusters = 1,
        };
}

static void set_scene(Scene *scene)
{
        *scene = (Scene){0};
        set_policy(scene);
        set_observation(scene);
        for (size_t i = 0; i < 2; i++)
                scene->planned[i] = (PlanCertificate){.renew_at_usec = NOW + 19 * DAY};
        scene->planned_cluster =
                (PlanCluster){.proof = PROOF_PROVEN, .running = true, .reachable = true};
        scene->steps[0] = (Step){STEP_ISSUE, 0, true, (char *)"renewal is due"};
        scene->steps[1] = (Step){STEP_LOAD, 0, false, (char *)"new files are in place"};
        scene->plan = (Plan){
                .certificates = scene->planned,
                .n_certificates = 2,
                .clusters = &scene->planned_cluster,
                .n_clusters = 1,
                .authorities = &scene->planned_authority,
                .n_authorities = 1,
                .next_usec = NOW + 19 * DAY,
                .next_boot_usec = USEC_INFINITY,
                .next_what = (char *)"renew server",
        };
        scene->report = (Report){
                .policy = &scene->policy,
                .observation = &scene->observation,
                .memory = &scene->memory,
                .plan = &scene->plan,
                .now_usec = NOW,
                .pass_usec = NOW - USEC_PER_SEC,
                .clock_synchronised = true,
        };
}

static void has(const Text *text, const char *part)
{
        ck_assert_msg(strstr(text_content(text), part), "no \"%s\" in:\n%s", part,
                      text_content(text));
}

static void has_not(const Text *text, const char *part)
{
        ck_assert_msg(!strstr(text_content(text), part), "\"%s\" in:\n%s", part,
                      text_content(text));
}

/* Every line at most 80 columns, nothing that a terminal would obey. */
static void is_fit(const Text *text)
{
        char line[4096];

        ck_assert(!text->failed);
        for (const char *p = text_content(text); *p;) {
                size_t size = strcspn(p, "\n");

                ck_assert_uint_lt(size, sizeof line);
                memcpy(line, p, size);
                line[size] = '\0';
                ck_assert_msg(table_width(line) <= TABLE_WIDTH, "%zu columns: %s",
                              table_width(line), line);
                for (size_t i = 0; i < size; i++)
                        ck_assert_msg((unsigned char)line[i] >= 0x20 && line[i] != 0x7F,
                                      "a control character in: %s", line);
                p += size + (p[size] == '\n');
        }
}

typedef void (*Writer)(const Report *report, Text *text);
static const Writer writers[] = {report_status, report_plan, report_check};
static const Writer json_writers[] = {report_status_json, report_plan_json, report_check_json};

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
                "OK: all 2 readers have what they should have; next: renew server at\n"
                "  2026-12-21T12:00:00Z (in 19d); last looked at 2026-12-02T11:59:59Z\n");
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
                        scene.report.clock_synchronised = false;
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
                         "  2026-12-21T12:00:00Z renew certificate server (in 19d)\n"
                         "  2031-11-06T12:00:00Z expires authority main (in 4y 339d)\n");
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

/* Runs Python on a text at its standard input, with checks that assert. */
static void python(const Text *text, const char *checks)
{
        char command[4096];
        FILE *pipe;
        size_t n = text->size;

        snprintf(command, sizeof command,
                 "/usr/bin/python3 -c 'import json,sys\ns=json.load(sys.stdin)\n%s'", checks);
        pipe = popen(command, "w");
        ck_assert_ptr_nonnull(pipe);
        ck_assert_uint_eq(fwrite(text->data, 1, n, pipe), n);
        ck_assert_msg(pclose(pipe) == 0, "%s\nfails for\n%s", checks, text_content(text));
}

START_TEST(json_has_the_promised_shape)
{
        _cleanup_(text_done) Text text = {0};
        Scene scene;

        set_scene(&scene);
        scene.memory_certificates[0].has_wanted = true;
        scene.memory_certificates[0].wanted = leaf(5);
        report_status_json(&scene.report, &text);
        python(&text,
               "c,a=s[\"certificates\"]\n"
               "L={\"serial\",\"sha256\",\"not_before\",\"not_after\",\"generation\"}\n"
               "assert s[\"version\"]==1 and s[\"health\"]==0\n"
               "assert {\"name\",\"use\",\"authority\",\"state\",\"wanted\",\"disk\",\"served\","
               "\"renew_at\",\"error\"}==set(c)==set(a)\n"
               "assert set(c[\"wanted\"])==set(c[\"disk\"])==set(c[\"served\"])==L\n"
               "assert c[\"wanted\"][\"generation\"] is None\n"
               "assert c[\"wanted\"][\"sha256\"]==\"05\"*32\n"
               "assert c[\"served\"]==c[\"disk\"] and c[\"disk\"][\"generation\"]==7\n"
               "assert c[\"disk\"][\"not_after\"]==\"2026-12-31T12:00:00Z\"\n"
               "assert a[\"wanted\"]==a[\"disk\"] and a[\"served\"] is None\n"
               "assert (c[\"use\"],a[\"use\"])==(\"server\",\"client\")\n"
               "assert c[\"renew_at\"]==\"2026-12-21T12:00:00Z\" and c[\"error\"] is None\n"
               "k,=s[\"clusters\"]\n"
               "assert "
               "{\"name\",\"running\",\"reachable\",\"served\",\"proof\",\"error\"}<=set(k)\n"
               "assert k[\"served\"]==c[\"served\"] and k[\"proof\"]==\"proven\" and "
               "k[\"running\"]\n"
               "g,=s[\"authorities\"][0][\"generations\"]\n"
               "assert g[\"phase\"]==\"current\" and g[\"subject\"].startswith(\"C=CN\")\n"
               "assert s[\"next\"]=={\"at\":\"2026-12-21T12:00:00Z\",\"what\":\"renew server\"}\n");
}
END_TEST

START_TEST(json_findings_and_steps_are_complete)
{
        _cleanup_(text_done) Text check = {0}, plan = {0};
        Scene scene;

        set_scene(&scene);
        scene.planned[1] = (PlanCertificate){CERTIFICATE_ERROR, HEALTH_CRITICAL, USEC_INFINITY,
                                             (char *)"no worker\033 for \"app\"\xFF"};
        scene.plan.steps = scene.steps;
        scene.plan.n_steps = 2;
        report_check_json(&scene.report, &check);
        python(&check,
               "f,=s[\"findings\"]\n"
               "assert (f[\"kind\"],f[\"name\"],f[\"health\"])==(\"certificate\",\"app\",2)\n"
               "assert f[\"what\"]==\"no worker\\x1b for \\\"app\\\"\\ufffd\"\n"
               "assert f[\"why\"] and f[\"todo\"] and s[\"certificates\"][1][\"error\"]\n"
               "assert s[\"certificates\"][1][\"renew_at\"] is None\n");
        report_plan_json(&scene.report, &plan);
        python(&plan, "i,l=s[\"steps\"]\n"
                      "assert (i[\"verb\"],i[\"kind\"],i[\"name\"],i[\"rekey\"])=="
                      "(\"issue\",\"certificate\",\"server\",True)\n"
                      "assert l[\"kind\"]==\"cluster\" and l[\"reason\"]\n"
                      "assert [t[\"name\"] for t in s[\"timeline\"]]==[\"server\",\"main\"]\n");
}
END_TEST

START_TEST(a_broken_policy_is_critical_from_the_first_held_step)
{
        for (int held = 0; held < 2; held++) {
                _cleanup_(text_done) Text text = {0};
                Scene scene;

                set_scene(&scene);
                scene.report.policy_error = "pgcertd.yaml:1:1: nonsense";
                scene.report.policy_error_since_usec = NOW;
                if (held)
                        scene.planned[0].state = CERTIFICATE_HELD;
                report_check_json(&scene.report, &text);
                python(&text, held ? "assert s[\"findings\"][0][\"health\"]==2"
                                   : "assert s[\"findings\"][0][\"health\"]==0");
                has(&text, "\"policy_error\":{\"since\":\"2026-12-02T12:00:00Z\"");
        }
}
END_TEST

START_TEST(knows_nothing_without_harm)
{
        for (int known = 0; known < 3; known++)
                for (size_t i = 0; i < ELEMENTSOF(writers); i++) {
                        _cleanup_(text_done) Text text = {0}, json = {0};
                        Scene scene;

                        set_scene(&scene);
                        scene.report.pass_usec = 0;
                        scene.report.observation = NULL;
                        scene.report.memory = NULL;
                        scene.report.plan = NULL;
                        if (known == 1)
                                scene.policy.n_clusters = scene.policy.n_certificates =
                                        scene.policy.n_authorities = 0;
                        if (known == 0)
                                scene.report.policy = NULL;
                        writers[i](&scene.report, &text);
                        is_fit(&text);
                        ck_assert_uint_gt(text.size, 0);
                        json_writers[i](&scene.report, &json);
                        python(&json, "assert s[\"version\"]==1 and s[\"health\"]==3");
                }
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("report");
        TCase *c = tcase_create("report");

        tcase_add_test(c, shows_a_row_per_reader);
        tcase_add_test(c, shows_seconds_within_the_next_day);
        tcase_add_test(c, tells_what_a_server_serves_in_a_word);
        tcase_add_test(c, sums_up_in_one_line);
        tcase_add_test(c, tells_each_problem_once);
        tcase_add_test(c, names_the_cluster_that_does_not_serve);
        tcase_add_test(c, shows_a_server_without_cluster);
        tcase_add_test(c, fits_80_columns_and_is_harmless);
        tcase_add_test(c, cuts_a_long_name_in_the_middle);
        tcase_add_test(c, plans_the_steps_and_what_lies_ahead);
        tcase_add_test(c, check_says_what_why_and_what_to_do);
        tcase_add_test(c, json_has_the_promised_shape);
        tcase_add_test(c, json_findings_and_steps_are_complete);
        tcase_add_test(c, a_broken_policy_is_critical_from_the_first_held_step);
        tcase_add_test(c, knows_nothing_without_harm);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
