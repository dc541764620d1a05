/* What a changed policy leaves behind, over restarts, until it is gone or named again. */
#include "common/fdio.h"
#include "daemon/leftover.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A state directory with the directories of sets below it, and a policy that names some. */
typedef struct Bench {
        char path[32];
        PolicyCertificate certificates[2];
        char *directories[2];
        ObservedSet sets[2];
        Policy policy;
        Observation observation;
} Bench;

static void bench_name(Bench *bench, size_t index, const char *name, const char *directory)
{
        char *place;

        ck_assert_int_gt(asprintf(&place, "%s/%s", bench->path, directory), 0);
        free(bench->directories[index]);
        bench->directories[index] = place;
        bench->certificates[index] = (PolicyCertificate){.name = (char *)name, .directory = place};
        if (mkdir(place, 0700) < 0)
                ck_assert_int_eq(access(place, F_OK), 0);
}

static void bench_init(Bench *bench)
{
        *bench = (Bench){.path = "/tmp/check-left.XXXXXX"};
        ck_assert_ptr_nonnull(mkdtemp(bench->path));
        bench_name(bench, 0, "server", "zeta with a space");
        bench_name(bench, 1, "app", "alpha");
        bench->sets[0].state = SET_OURS;
        bench->sets[1].state = SET_DAMAGED;
        bench->policy = (Policy){.certificates = bench->certificates, .n_certificates = 2};
        bench->observation = (Observation){.sets = bench->sets, .n_sets = 2};
}

static void bench_done(Bench *bench)
{
        char command[64];

        free(bench->directories[0]);
        free(bench->directories[1]);
        snprintf(command, sizeof command, "rm -rf %s", bench->path);
        ck_assert_int_eq(system(command), 0);
}

static Leftovers find(const Bench *bench, bool save)
{
        Leftovers found;

        ck_assert_int_eq(leftovers_find(bench->path, &bench->policy, &bench->observation, save,
                                        &found, NULL),
                         0);
        ck_assert(found.is_known);
        return found;
}

/* Finds as many; where there is one, it is the certificate's below that name. */
static void expect(const Bench *bench, size_t n, const char *certificate, const char *directory,
                   bool is_new)
{
        _cleanup_(leftovers_done) Leftovers found = find(bench, true);

        ck_assert_uint_eq(found.n, n);
        if (n == 0)
                return;
        ck_assert_str_eq(found.items[0].certificate, certificate);
        ck_assert_str_eq(strrchr(found.items[0].directory, '/') + 1, directory);
        ck_assert_int_eq(found.items[0].is_new, is_new);
}

START_TEST(tells_what_the_policy_names_no_more)
{
        Bench bench;

        bench_init(&bench);
        expect(&bench, 0, NULL, NULL, false);
        bench_name(&bench, 0, "server", "elsewhere"); /* moved */
        expect(&bench, 1, "server", "zeta with a space", true);
        expect(&bench, 1, "server", "zeta with a space", false);
        bench_name(&bench, 0, "renamed", "zeta with a space"); /* named again */
        bench.policy.n_certificates = 1;
        bench.observation.n_sets = 1;
        {
                _cleanup_(leftovers_done) Leftovers found = find(&bench, true);

                ck_assert_uint_eq(found.n, 2); /* elsewhere, and the removed one's */
        }
        bench_done(&bench);
}
END_TEST

START_TEST(forgets_what_is_gone)
{
        Bench bench;
        char left[64];

        bench_init(&bench);
        expect(&bench, 0, NULL, NULL, false);
        strcpy(left, bench.directories[1]);
        bench.policy.n_certificates = bench.observation.n_sets = 1;
        expect(&bench, 1, "app", "alpha", true);
        ck_assert_int_eq(rmdir(left), 0);
        expect(&bench, 0, NULL, NULL, false);
        ck_assert_int_eq(mkdir(left, 0700), 0); /* whose it is now is not known */
        expect(&bench, 0, NULL, NULL, false);
        bench_done(&bench);
}
END_TEST

START_TEST(names_nothing_that_was_never_published)
{
        static const uint8_t states[] = {SET_ABSENT, SET_FOREIGN, SET_UNKNOWN};

        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                Bench bench;

                bench_init(&bench);
                bench.sets[1].state = states[i];
                expect(&bench, 0, NULL, NULL, false);
                bench.policy.n_certificates = bench.observation.n_sets = 1;
                expect(&bench, 0, NULL, NULL, false);
                bench_done(&bench);
        }
}
END_TEST

START_TEST(keeps_what_was_published_while_nobody_can_look)
{
        Bench bench;

        bench_init(&bench);
        expect(&bench, 0, NULL, NULL, false);
        bench.sets[1].state = SET_UNKNOWN;
        expect(&bench, 0, NULL, NULL, false);
        bench.policy.n_certificates = bench.observation.n_sets = 1;
        expect(&bench, 1, "app", "alpha", true);
        bench_done(&bench);
}
END_TEST

START_TEST(a_dry_run_writes_nothing)
{
        Bench bench;
        Leftovers found;
        char path[64];

        bench_init(&bench);
        found = find(&bench, false);
        leftovers_done(&found);
        snprintf(path, sizeof path, "%s/directories", bench.path);
        ck_assert_int_lt(access(path, F_OK), 0);
        bench_done(&bench);
}
END_TEST

START_TEST(takes_no_harm_from_a_damaged_file)
{
        static const char *const texts[] = {"",
                                            "\n\n\n",
                                            "managed",
                                            "managed app",
                                            "managed app relative/path\n",
                                            "other app /etc\n",
                                            "managed  /nonexistent\n",
                                            "left app /nonexistent/directory\n",
                                            "managed \xff\x01 /nonexistent"};
        static const FileMode mode = {.mode = 0600, .group = (gid_t)-1};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(closep) int fd = -1;
                Bench bench;

                bench_init(&bench);
                ck_assert_int_eq(fdio_open_directory(AT_FDCWD, bench.path, &fd, NULL), 0);
                ck_assert_int_ge(
                        fdio_create(fd, "directories", texts[i], strlen(texts[i]), &mode, NULL), 0);
                expect(&bench, 0, NULL, NULL, false);
                bench.policy.n_certificates = bench.observation.n_sets = 1;
                expect(&bench, 1, "app", "alpha", true);
                bench_done(&bench);
        }
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("leftover");
        TCase *c = tcase_create("leftover");

        tcase_add_test(c, tells_what_the_policy_names_no_more);
        tcase_add_test(c, forgets_what_is_gone);
        tcase_add_test(c, names_nothing_that_was_never_published);
        tcase_add_test(c, keeps_what_was_published_while_nobody_can_look);
        tcase_add_test(c, a_dry_run_writes_nothing);
        tcase_add_test(c, takes_no_harm_from_a_damaged_file);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
