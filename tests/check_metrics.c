#include "daemon/metrics.h"

#include "tests/report_scene.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static Scene scene;
static Text text;

static void set_up(void)
{
        set_scene(&scene);
        text = (Text){0};
}

static void tear_down(void)
{
        text_done(&text);
}

START_TEST(tells_each_view_of_a_certificate)
{
        CertFacts issued = leaf(9);

        issued.not_after_usec = NOW + 60 * DAY;
        scene.memory_certificates[0].wanted = &issued;
        report_metrics(&scene.report, &text);
        has(&text, "pgcertd_certificate_not_after_seconds{certificate=\"server\",use=\"server\","
                   "view=\"wanted\"} 1801396800");
        has(&text, "pgcertd_certificate_not_after_seconds{certificate=\"server\",use=\"server\","
                   "view=\"disk\"} 1798718400");
        has(&text, "pgcertd_certificate_not_after_seconds{certificate=\"server\",use=\"server\","
                   "view=\"served\"} 1798718400");
        has(&text, "pgcertd_certificate_not_after_seconds{certificate=\"app\",use=\"client\","
                   "view=\"disk\"} 1798718400");
        has_not(&text, "certificate=\"app\",use=\"client\",view=\"served\"");
}
END_TEST

START_TEST(tells_since_when_a_proof_is_owed)
{
        report_metrics(&scene.report, &text);
        has(&text, "pgcertd_cluster_proof{cluster=\"main\",proof=\"proven\"} 1");
        has_not(&text, "owed_since_seconds{");
        text_done(&text);
        scene.planned_cluster.proof = PROOF_OWED;
        scene.policy.backdate_usec = 300 * USEC_PER_SEC;
        report_metrics(&scene.report, &text);
        has(&text, "pgcertd_cluster_proof_owed_since_seconds{cluster=\"main\"} 1796126700");
}
END_TEST

START_TEST(tells_what_is_wrong)
{
        scene.sets[0].refused = scene.sets[0].generation + 1;
        scene.memory_certificates[0].attempt.failures = 3;
        scene.memory_cluster.unusable = (char *)"no login";
        scene.memory.clock.is_doubted = true;
        scene.report.policy_error = "broken";
        report_metrics(&scene.report, &text);
        has(&text, "pgcertd_certificate_refused{certificate=\"server\",use=\"server\"} 1");
        has(&text, "pgcertd_certificate_failures{certificate=\"server\",use=\"server\"} 3");
        has(&text, "pgcertd_cluster_usable{cluster=\"main\"} 0");
        has(&text, "pgcertd_clock_trusted 0");
        has(&text, "pgcertd_policy_valid 0");
}
END_TEST

START_TEST(tells_little_before_the_first_pass)
{
        Report report = {.now_usec = NOW};

        report_metrics(&report, &text);
        has(&text, "pgcertd_health 3");
        has(&text, "pgcertd_heartbeat_timestamp_seconds 1796212800");
        has(&text, "pgcertd_pass_timestamp_seconds 0");
}
END_TEST

START_TEST(replaces_its_file_and_tells_why_it_cannot)
{
        char directory[] = "/tmp/check_metrics.XXXXXX", path[64];
        struct stat before, after;
        Error error = {0};

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/pgcertd.prom", directory);
        ck_assert_int_eq(metrics_write(&scene.report, directory, &error), 0);
        ck_assert_int_eq(stat(path, &before), 0);
        ck_assert_int_eq(before.st_mode & 07777, 0644);
        ck_assert_int_eq(metrics_write(&scene.report, directory, &error), 0);
        ck_assert_int_eq(stat(path, &after), 0);
        ck_assert_uint_ne(before.st_ino, after.st_ino);
        unlink(path);
        ck_assert_int_eq(rmdir(directory), 0);
        ck_assert_int_eq(metrics_write(&scene.report, directory, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, directory));
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("metrics");
        TCase *tcase = tcase_create("metrics");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, tells_each_view_of_a_certificate);
        tcase_add_test(tcase, tells_since_when_a_proof_is_owed);
        tcase_add_test(tcase, tells_what_is_wrong);
        tcase_add_test(tcase, tells_little_before_the_first_pass);
        tcase_add_test(tcase, replaces_its_file_and_tells_why_it_cannot);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
