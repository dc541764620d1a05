/*
 * The JSON for programs: its shape as promised, read by another's parser; and every answer, text
 * and JSON, while nothing is known yet.
 */
#include "tests/report_scene.h"

static const Writer writers[] = {report_status, report_plan, report_check};
static const Writer json_writers[] = {report_status_json, report_plan_json, report_check_json};

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
        CertFacts issued = leaf(5);
        Scene scene;

        set_scene(&scene);
        scene.memory_certificates[0].wanted = &issued;
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
        Suite *s = suite_create("report_json");
        TCase *c = tcase_create("report_json");

        tcase_add_test(c, json_has_the_promised_shape);
        tcase_add_test(c, json_findings_and_steps_are_complete);
        tcase_add_test(c, a_broken_policy_is_critical_from_the_first_held_step);
        tcase_add_test(c, knows_nothing_without_harm);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
