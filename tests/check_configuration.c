#include "daemon/worker/configuration.h"
#include "daemon/worker/service.h"

#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char certificate_name[] = "server.crt", key_name[] = "server.key", trust_name[] = "root.crt";
static char name[] = "main", directory[300], path[300];
static PolicyCertificate certificate = {
        .name = name,
        .directory = directory,
        .files = {certificate_name, key_name, trust_name},
};
static PolicyCluster cluster = {
        .name = name,
        .certificate = &certificate,
        .configuration = path,
        .asks_client_certificates = true,
};

static void setup(void)
{
        judge_setup();
        snprintf(directory, sizeof directory, "/etc/ssl");
        snprintf(path, sizeof path, "%s/conf.d/pgcertd.conf", judge_directory);
        judge_run("mkdir conf.d");
}

static ConfigurationState look(const char *said)
{
        _cleanup_(freep) char *problem = NULL;
        ConfigurationState state = configuration_observe(&cluster, &problem);

        if (said)
                ck_assert_msg(problem && strstr(problem, said) != NULL, "%s", problem);
        else
                ck_assert_ptr_null(problem);
        return state;
}

START_TEST(writes_settings_from_column_one)
{
        static const struct {
                bool asks;
                const char *directory, *text;
        } table[] = {
                {true, "/etc/ssl",
                 "# made by pgcertd\nssl = on\nssl_cert_file = '/etc/ssl/server.crt'\n"
                 "ssl_key_file = '/etc/ssl/server.key'\nssl_ca_file = '/etc/ssl/root.crt'\n"},
                {false, "/etc/ssl",
                 "# made by pgcertd\nssl = on\nssl_cert_file = '/etc/ssl/server.crt'\n"
                 "ssl_key_file = '/etc/ssl/server.key'\nssl_ca_file = ''\n"},
                {false, "/it's \\n",
                 "# made by pgcertd\nssl = on\nssl_cert_file = '/it''s \\\\n/server.crt'\n"
                 "ssl_key_file = '/it''s \\\\n/server.key'\nssl_ca_file = ''\n"},
        };
        _cleanup_(text_done) Text text = {0};

        cluster.asks_client_certificates = table[_i].asks;
        snprintf(directory, sizeof directory, "%s", table[_i].directory);
        configuration_format(&cluster, &text);
        ck_assert_str_eq(text_content(&text), table[_i].text);
}
END_TEST

START_TEST(writes_once_and_again_when_the_policy_changes)
{
        struct stat stat;
        Error error = {0};

        umask(077);
        ck_assert_int_eq(look(NULL), CONFIGURATION_ABSENT);
        ck_assert_int_eq(configuration_write(&cluster, false, &error), 1);
        ck_assert_int_eq(look(NULL), CONFIGURATION_WANTED);
        ck_assert_int_eq(lstat(path, &stat), 0);
        ck_assert_int_eq(stat.st_mode & 07777, 0644);
        ck_assert_int_eq(configuration_write(&cluster, false, &error), 0);
        cluster.asks_client_certificates = false;
        ck_assert_int_eq(look(NULL), CONFIGURATION_STALE);
        ck_assert_int_eq(configuration_write(&cluster, false, &error), 1);
        ck_assert_int_eq(look(NULL), CONFIGURATION_WANTED);
        judge_run("echo '# made by pgcertd' >conf.d/pgcertd.conf");
        ck_assert_int_eq(look(NULL), CONFIGURATION_STALE);
        ck_assert_int_eq(configuration_remove(&cluster, &error), 1);
        ck_assert_int_eq(configuration_remove(&cluster, &error), 0);
        ck_assert_int_eq(look(NULL), CONFIGURATION_ABSENT);
        ck_assert_int_eq(judge_run("test -z \"$(ls -A conf.d)\""), 0);
        umask(022);
}
END_TEST

START_TEST(leaves_a_foreign_file_alone)
{
        static const char *const commands[] = {
                "echo 'ssl = off' >conf.d/pgcertd.conf",
                ": >conf.d/pgcertd.conf",
                "printf '# made by pgcertd' >conf.d/pgcertd.conf",
                "echo '# made by pgcertd, once' >conf.d/pgcertd.conf",
                "echo ' # made by pgcertd' >conf.d/pgcertd.conf",
                "echo '# made by pgcertd' >x; ln -s ../x conf.d/pgcertd.conf",
                "mkdir conf.d/pgcertd.conf",
                "mkfifo conf.d/pgcertd.conf",
                "echo '# made by pgcertd' >conf.d/pgcertd.conf; truncate -s 1M conf.d/pgcertd.conf",
        };
        Error error = {0};

        judge_run("%s; ls -l conf.d >before", commands[_i]);
        ck_assert_int_ge(look("pgcertctl adopt main --yes"), CONFIGURATION_FOREIGN);
        ck_assert_int_eq(configuration_write(&cluster, false, &error), -EEXIST);
        ck_assert_msg(strstr(error.text, "/conf.d/pgcertd.conf is not pgcertd's") != NULL, "%s",
                      error.text);
        ck_assert_int_eq(configuration_remove(&cluster, &error), -EEXIST);
        ck_assert_msg(judge_run("ls -l conf.d | diff - before") == 0, "%s", judge_output);
}
END_TEST

START_TEST(says_that_the_directory_is_missing)
{
        Error error = {0};

        judge_run("rmdir conf.d");
        ck_assert_int_eq(look("HINT: Create it"), CONFIGURATION_ABSENT);
        ck_assert_int_eq(configuration_write(&cluster, false, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "/conf.d does not exist HINT: Create it"));
        ck_assert_int_eq(configuration_remove(&cluster, &error), 0);
}
END_TEST

START_TEST(does_nothing_where_none_is_named)
{
        cluster.configuration = NULL;
        ck_assert_int_eq(look(NULL), CONFIGURATION_NONE);
        ck_assert_int_eq(configuration_write(&cluster, false, NULL), 0);
        ck_assert_int_eq(configuration_remove(&cluster, NULL), 0);
        cluster.configuration = path;
}
END_TEST

START_TEST(writes_a_service_file_with_our_parameters)
{
        static char file[] = "pg_service.conf", service_name[] = "app", role[] = "app";
        static char host[] = "host", host_value[] = "db1", mode[] = "sslmode", off[] = "disable";
        PolicyAttribute parameters[] = {{host, host_value}, {mode, off}};
        PolicyService service = {file, service_name, parameters, ELEMENTSOF(parameters)};
        _cleanup_(text_done) Text text = {0};
        _cleanup_(closep) int fd = open(judge_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char *problem;

        certificate.role = role;
        certificate.service = &service;
        service_format(&certificate, 7, &text);
        ck_assert_str_eq(text_content(&text),
                         "# made by pgcertd\n[app]\nhost=db1\nuser=app\nsslmode=verify-full\n"
                         "sslcert=/etc/ssl/server.crt\nsslkey=/etc/ssl/server.key\n"
                         "sslrootcert=/etc/ssl/root.crt\n");
        text_done(&text);
        certificate.rekey_always = true;
        service_format(&certificate, 7, &text);
        ck_assert_ptr_nonnull(
                strstr(text_content(&text), "sslkey=/etc/ssl/generation-7/server.key"));
        ck_assert_int_eq(service_observe(fd, &certificate, 7, &problem), CONFIGURATION_ABSENT);
        ck_assert_int_eq(service_write(fd, &certificate, 7, NULL), 1);
        ck_assert_int_eq(service_write(fd, &certificate, 7, NULL), 0);
        ck_assert_int_eq(service_observe(fd, &certificate, 7, &problem), CONFIGURATION_WANTED);
        ck_assert_int_eq(service_observe(fd, &certificate, 8, &problem), CONFIGURATION_STALE);
        judge_run("echo '[mine]' >pg_service.conf");
        ck_assert_int_eq(service_observe(fd, &certificate, 8, &problem), CONFIGURATION_FOREIGN);
        free(problem);
        ck_assert_int_eq(service_write(fd, &certificate, 8, NULL), -EEXIST);
        certificate.service = NULL;
        ck_assert_int_eq(service_observe(fd, &certificate, 8, &problem), CONFIGURATION_NONE);
        certificate.rekey_always = false;
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("configuration");
        TCase *c = tcase_create("configuration");

        tcase_add_checked_fixture(c, setup, judge_teardown);
        tcase_add_loop_test(c, writes_settings_from_column_one, 0, 3);
        tcase_add_test(c, writes_once_and_again_when_the_policy_changes);
        tcase_add_loop_test(c, leaves_a_foreign_file_alone, 0, 9);
        tcase_add_test(c, says_that_the_directory_is_missing);
        tcase_add_test(c, does_nothing_where_none_is_named);
        tcase_add_test(c, writes_a_service_file_with_our_parameters);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
