/* common/policy and its parts: a file to a complete policy, or to all that is wrong with it. */
#include "common/clock.h"
#include "common/fdio.h"
#include "common/nearest.h"
#include "common/policy.h"

#include <assert.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HOUR (3600 * USEC_PER_SEC)
#define DAY (24 * HOUR)

enum { FILE_MAX = 1 << 20, CASES_MAX = 400 };

/* These two also run before there is a test to fail. */
static char *slurp(const char *name)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(freep) char *path = NULL;
        const char *source = getenv("PGCERTD_SOURCE");
        int r = asprintf(&path, "%s/%s", source ? source : ".", name);

        assert(r > 0);
        r = fdio_read_followed(path, FILE_MAX, &bytes, NULL);
        assert(r == 0);
        return (char *)TAKE_PTR(bytes.data);
}

static void append(char **place, const char *line)
{
        char *grown = NULL;
        int r = asprintf(&grown, "%s%s\n", *place ? *place : "", line);

        assert(r > 0);
        free(*place);
        *place = grown;
}

/* The errors, a line each, without the file's name. */
static char *tell(const Errors *errors)
{
        Text text = {0};
        char line[2 * ERROR_TEXT_MAX], *result = NULL;

        for (size_t i = 0; i < errors->n; i++) {
                error_format(&errors->items[i], line, sizeof line);
                text_addf(&text, "%s\n", strncmp(line, "policy.yaml:", 12) == 0 ? line + 12 : line);
        }
        ck_assert_int_eq(text_take(&text, &result, NULL), 0);
        return result;
}

/* The policy of a text, or its errors. */
static Policy *parse(const char *text, char **ret_errors)
{
        _cleanup_(errors_done) Errors errors = {0};
        Policy *policy = NULL;
        int r = policy_parse("policy.yaml", text, strlen(text), &policy, &errors);

        ck_assert_int_eq(r == 0, errors.n == 0);
        ck_assert_int_eq(r == 0, policy != NULL);
        *ret_errors = tell(&errors);
        return policy;
}

static Policy *parse_good(const char *text)
{
        _cleanup_(freep) char *errors = NULL;
        Policy *policy = parse(text, &errors);

        ck_assert_str_eq(errors, "");
        return policy;
}

static char *print(const Policy *policy)
{
        Text text = {0};
        char *result = NULL;

        policy_print(policy, &text);
        ck_assert_int_eq(text_take(&text, &result, NULL), 0);
        return result;
}

/* A case of broken.txt or accepted.txt: what replaces which lines of good.yaml, and all errors. */
typedef struct Case {
        char *from; /* lines, each with its end */
        char *to;   /* NULL: nothing */
        char *says; /* NULL: accepted */
} Case;

static Case cases[CASES_MAX];
static size_t n_cases;

static void read_cases(const char *name)
{
        char *text = slurp(name), *rest = text, *line;

        while ((line = strsep(&rest, "\n"))) {
                Case *now = &cases[n_cases];

                assert(n_cases + 1 < CASES_MAX);
                if (!line[0] && now->from)
                        n_cases++;
                else if (line[0] == '-')
                        append(&now->from, line + 2);
                else if (line[0] == '+')
                        append(&now->to, line + 2);
                else if (line[0] == '=')
                        append(&now->says, line + 2);
        }
        free(text);
}

/* Where the lines stand in the text. */
static char *find_lines(char *text, const char *lines)
{
        char *place = text;

        while (place && strncmp(place, lines, strlen(lines)) != 0) {
                place = strchr(place, '\n');
                place = place ? place + 1 : NULL;
        }
        ck_assert_msg(place, "good.yaml has no lines %s", lines);
        return place;
}

START_TEST(tells_everything_that_is_wrong_and_nothing_else)
{
        _cleanup_(freep) char *good = slurp("tests/policy/good.yaml"), *text = NULL, *errors = NULL;
        const Case *now = &cases[_i];
        const char *place = find_lines(good, now->from);

        ck_assert_int_gt(asprintf(&text, "%.*s%s%s", (int)(place - good), good,
                                  now->to ? now->to : "", place + strlen(now->from)),
                         0);
        policy_unref(parse(text, &errors));
        ck_assert_str_eq(errors, now->says ? now->says : "");
}
END_TEST

START_TEST(has_many_cases)
{
        size_t n_broken = 0;

        for (size_t i = 0; i < n_cases; i++)
                n_broken += cases[i].says != NULL;
        ck_assert_uint_ge(n_broken, 150);
        ck_assert_uint_ge(n_cases - n_broken, 50);
}
END_TEST

static const char *const whole[] = {"good", "many", "full"};

/* NAME.expected is the printed policy, or its errors. */
START_TEST(reads_whole_files_as_expected)
{
        _cleanup_(freep) char *file = NULL, *expected_file = NULL, *text = NULL, *expected = NULL;
        _cleanup_(freep) char *errors = NULL, *printed = NULL;
        _cleanup_(policy_unrefp) Policy *policy = NULL;

        ck_assert_int_gt(asprintf(&file, "tests/policy/%s.yaml", whole[_i]), 0);
        ck_assert_int_gt(asprintf(&expected_file, "tests/policy/%s.expected", whole[_i]), 0);
        text = slurp(file);
        expected = slurp(expected_file);
        policy = parse(text, &errors);
        printed = policy ? print(policy) : TAKE_PTR(errors);
        ck_assert_str_eq(printed, expected);
}
END_TEST

START_TEST(reads_back_what_it_prints)
{
        _cleanup_(freep) char *text = slurp("tests/policy/full.yaml"), *once = NULL, *twice = NULL;
        _cleanup_(policy_unrefp) Policy *policy = parse_good(text), *again = NULL;

        once = print(policy);
        again = parse_good(once);
        twice = print(again);
        ck_assert_str_eq(once, twice);
        ck_assert_int_eq(policy_outage(policy), policy_outage(again));
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *a = &policy->certificates[i], *b = &again->certificates[i];

                ck_assert_uint_eq(a->subject.n, b->subject.n);
                ck_assert_uint_eq(a->n_names, b->n_names);
                ck_assert_uint_eq(a->n_bundle, b->n_bundle);
                ck_assert_int_eq(a->rekey_always, b->rekey_always);
                ck_assert_uint_eq(a->owner_uid, b->owner_uid);
        }
}
END_TEST

/* The examples name the user postgres, which the machine need not have. */
static char *without_postgres(char *text)
{
        for (char *p = text; (p = strstr(p, "owner: postgres"));)
                memcpy(p, "owner: nobody  ", 15);
        return text;
}

static const char *const examples[] = {"conf/pgcertd.example.yaml", "conf/tutorial.yaml"};

START_TEST(accepts_the_examples)
{
        _cleanup_(freep) char *text = without_postgres(slurp(examples[_i]));

        policy_unref(parse_good(text));
}
END_TEST

START_TEST(completes_objects_with_their_defaults)
{
        _cleanup_(freep) char *text = slurp("tests/policy/good.yaml");
        _cleanup_(policy_unrefp) Policy *policy = parse_good(text);
        const PolicyAuthority *ca = policy_find_authority(policy, "main");
        const PolicyCertificate *server = policy_find_certificate(policy, "server");
        const PolicyCertificate *app = policy_find_certificate(policy, "app");
        const PolicyCluster *cluster = policy_find_cluster(policy, "main");

        ck_assert_int_eq(policy->check_every_usec, 15 * 60 * USEC_PER_SEC);
        ck_assert_int_eq(policy->max_clock_step_usec, DAY);
        ck_assert_int_eq(policy->backdate_usec, 5 * 60 * USEC_PER_SEC);
        ck_assert_uint_eq(ca->key, KEY_ECDSA_P256);
        ck_assert_int_eq(ca->renew_before_usec, ca->lifetime_usec / 3);
        ck_assert(!ca->has_renew_before);
        ck_assert_int_eq(server->renew_before_usec, 10 * DAY);
        ck_assert_int_eq(server->mode, 0600);
        ck_assert_uint_eq(server->group_gid, (gid_t)-1);
        ck_assert_str_eq(server->files[POLICY_TRUST], "root.crt");
        ck_assert_str_eq(server->subject.items[0].value, "localhost");
        ck_assert_uint_eq(server->names[1].address_size, 4);
        ck_assert_int_eq(server->names[1].address[0], 127);
        ck_assert_str_eq(app->files[POLICY_KEY], "postgresql.key");
        ck_assert_str_eq(app->subject.items[0].value, "app");
        ck_assert_str_eq(app->service->parameters[0].type, "host");
        ck_assert_ptr_eq(cluster->certificate, server);
        ck_assert_ptr_eq(cluster->as[0], app);
        ck_assert(cluster->asks_client_certificates);
        ck_assert_ptr_null(policy_find_cluster(policy, "app"));
        ck_assert_uint_eq(policy->warnings.n, 1); /* no data directory */
        /* min(10d - 7d - 5min, (R - 7d - 10d - 5min) / 2) - 30min */
        ck_assert_int_eq(policy_outage(policy), 3 * DAY - 35 * 60 * USEC_PER_SEC);
}
END_TEST

START_TEST(gives_a_bundle_the_authorities_it_meets)
{
        _cleanup_(freep) char *text = slurp("tests/policy/full.yaml");
        _cleanup_(policy_unrefp) Policy *policy = parse_good(text);
        const PolicyAuthority *main = policy_find_authority(policy, "main");
        const PolicyAuthority *other = policy_find_authority(policy, "other");
        const PolicyCertificate *server = policy_find_certificate(policy, "server");
        const PolicyCertificate *app = policy_find_certificate(policy, "app");

        ck_assert(main->has_renew_before);
        ck_assert(!other->has_renew_before);
        ck_assert_uint_eq(server->n_bundle, 2);
        ck_assert_ptr_eq(server->bundle[0], main);
        ck_assert_ptr_eq(server->bundle[1], other);
        ck_assert_uint_eq(app->n_bundle, 2);
        ck_assert_ptr_eq(app->bundle[0], other);
        ck_assert_ptr_eq(app->bundle[1], main);
        ck_assert(policy_find_cluster(policy, "main")->asks_client_certificates);
        /* A client certificate exists, but of another authority. */
        ck_assert(!policy_find_cluster(policy, "bare")->asks_client_certificates);
}
END_TEST

START_TEST(keeps_a_policy_while_it_is_referred_to)
{
        _cleanup_(freep) char *text = slurp("tests/policy/good.yaml");
        Policy *policy = parse_good(text), *other = policy_ref(policy);

        ck_assert_ptr_null(policy_unref(policy));
        ck_assert_ptr_nonnull(policy_find_authority(other, "main"));
        policy_unref(other);
        policy_unref(NULL);
}
END_TEST

/* A directory with a policy's files. */
typedef struct Place {
        char directory[32];
        char file[64];
} Place;

static void write_file(const Place *place, const char *name, const char *text)
{
        const FileMode mode = {.mode = 0600, .group = (gid_t)-1};
        char path[128];
        Error error;

        snprintf(path, sizeof path, "%s/%s", place->directory, name);
        unlink(path);
        ck_assert_msg(fdio_create(AT_FDCWD, path, text, strlen(text), &mode, &error) == 0, "%s",
                      error.text);
}

static void place_begin(Place *place)
{
        char path[64];

        strcpy(place->directory, "/tmp/check-policy-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->directory));
        snprintf(place->file, sizeof place->file, "%s/p.yaml", place->directory);
        snprintf(path, sizeof path, "%s/conf.d", place->directory);
        ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void place_end(Place *place)
{
        _cleanup_(freep) char *command = NULL;

        ck_assert_int_gt(asprintf(&command, "rm -rf %s", place->directory), 0);
        ck_assert_int_eq(system(command), 0);
}

/* The errors of loading, with "D" for the directory. */
static char *load(const Place *place, Policy **ret)
{
        _cleanup_(errors_done) Errors errors = {0};
        _cleanup_(freep) char *told = NULL;
        char *result = NULL, *p, *rest;

        *ret = NULL;
        policy_load(place->file, ret, &errors);
        told = rest = tell(&errors);
        append(&result, "");
        result[0] = '\0';
        while ((p = strstr(rest, place->directory))) {
                char *grown = NULL;

                ck_assert_int_gt(asprintf(&grown, "%s%.*sD", result, (int)(p - rest), rest), 0);
                free(result);
                result = grown;
                rest = p + strlen(place->directory);
        }
        ck_assert_int_ge(asprintf(&p, "%s%s", result, rest), 0);
        free(result);
        return p;
}

static const char authority[] = "version: 1\nauthorities:\n  main: { subject: { CN: root } }\n";

START_TEST(merges_the_files_beside_it_in_order)
{
        Place place;
        Policy *policy;

        place_begin(&place);
        write_file(&place, "p.yaml", authority);
        write_file(&place, "conf.d/b.yaml",
                   "version: 1\nauthorities: { b: { subject: { CN: b } } }");
        write_file(&place, "conf.d/a.yaml",
                   "version: 1\ncheck_every: 1h\nauthorities: { a: { subject: { CN: a } } }");
        write_file(&place, "conf.d/.c.yaml", "not read");
        write_file(&place, "conf.d/c.yml", "not read");
        free(load(&place, &policy));
        ck_assert_ptr_nonnull(policy);
        ck_assert_uint_eq(policy->n_authorities, 3);
        ck_assert_str_eq(policy->authorities[0].name, "main");
        ck_assert_str_eq(policy->authorities[1].name, "a");
        ck_assert_str_eq(policy->authorities[2].name, "b");
        ck_assert_int_eq(policy->check_every_usec, HOUR);
        policy_unref(policy);
        place_end(&place);
}
END_TEST

START_TEST(names_both_places_of_what_two_files_define)
{
        _cleanup_(freep) char *errors = NULL;
        Place place;
        Policy *policy;

        place_begin(&place);
        write_file(&place, "p.yaml", authority);
        write_file(&place, "conf.d/a.yaml",
                   "defaults: {}\nauthorities: { main: { subject: { CN: a } } }\n");
        write_file(&place, "conf.d/b.yaml", "version: 1\ndefaults: { key: none }\nx: 1\n");
        errors = load(&place, &policy);
        ck_assert_str_eq(
                errors,
                "D/conf.d/a.yaml:1:1: version: is missing. HINT: Write version: 1.\n"
                "D/conf.d/a.yaml:2:16: authorities.main: is already defined at D/p.yaml:3:3. HINT: "
                "Rename or remove one of them.\n"
                "D/conf.d/b.yaml:2:1: defaults: is already written at D/conf.d/a.yaml:1:1. HINT: "
                "Keep it in one file.\n"
                "D/conf.d/b.yaml:3:1: x: unknown key. HINT: Known here are version, check_every, "
                "max_clock_step, defaults, authorities, certificates, clusters.\n");
        place_end(&place);
}
END_TEST

START_TEST(does_not_miss_what_a_broken_file_may_hold)
{
        _cleanup_(freep) char *errors = NULL;
        Place place;
        Policy *policy;

        place_begin(&place);
        write_file(&place, "p.yaml",
                   "version: 1\ncertificates:\n  a: { use: server, authority: main, names: [a], "
                   "directory: /a, owner: nobody }\n");
        write_file(&place, "conf.d/a.yaml", "version: 1\nauthorities: {\n");
        errors = load(&place, &policy);
        ck_assert_str_eq(
                errors, "D/conf.d/a.yaml:3:1: this is not YAML: did not find expected node content "
                        "while parsing a flow node. HINT: Look at this line and the one above it: "
                        "indentation, colons, quotes.\n");
        place_end(&place);
}
END_TEST

START_TEST(tells_which_file_cannot_be_read)
{
        _cleanup_(freep) char *missing = NULL, *directory = NULL;
        Place place;
        Policy *policy;

        place_begin(&place);
        missing = load(&place, &policy);
        ck_assert_str_eq(missing, "cannot open D/p.yaml: No such file or directory\n");
        snprintf(place.file, sizeof place.file, "%s/conf.d", place.directory);
        directory = load(&place, &policy);
        ck_assert_str_eq(directory, "D/conf.d is not a regular file\n");
        place_end(&place);
}
END_TEST

START_TEST(tags_the_bytes_of_all_files)
{
        uint64_t first, tag;
        Place place;
        Policy *policy;

        place_begin(&place);
        write_file(&place, "p.yaml", authority);
        ck_assert_int_eq(policy_tag(place.file, &first, NULL), 0);
        free(load(&place, &policy));
        ck_assert_uint_eq(policy->tag, first);
        policy_unref(policy);
        write_file(&place, "conf.d/a.yaml", "");
        ck_assert_int_eq(policy_tag(place.file, &tag, NULL), 0);
        ck_assert_uint_ne(tag, first);
        first = tag;
        write_file(&place, "conf.d/a.yaml", "x");
        ck_assert_int_eq(policy_tag(place.file, &tag, NULL), 0);
        ck_assert_uint_ne(tag, first);
        place_end(&place);
        ck_assert_int_eq(policy_tag(place.file, &tag, NULL), -ENOENT);
}
END_TEST

/* A policy of n servers, each with a cluster of its own. */
static char *make_large(size_t n)
{
        Text text = {0};
        char *result = NULL;

        text_add(&text, authority);
        text_add(&text, "certificates:\n");
        for (size_t i = 0; i < n; i++)
                text_addf(&text,
                          "  c%zu: { use: server, authority: main, names: [c%zu.example.com], "
                          "directory: /d/%zu, owner: nobody }\n",
                          i, i, i);
        text_add(&text, "clusters:\n");
        for (size_t i = 0; i < n && i < POLICY_CERTIFICATES_MAX; i++)
                text_addf(&text,
                          "  c%zu: { data_directory: /data/%zu, certificate: c%zu, "
                          "configuration: /c/%zu }\n",
                          i, i, i, i);
        ck_assert_int_eq(text_take(&text, &result, NULL), 0);
        return result;
}

START_TEST(reads_ten_thousand_certificates_and_no_more)
{
        _cleanup_(freep) char *most = make_large(POLICY_CERTIFICATES_MAX);
        _cleanup_(freep) char *more = make_large(POLICY_CERTIFICATES_MAX + 1), *errors = NULL;
        _cleanup_(policy_unrefp) Policy *policy = parse_good(most);
        char name[16];

        ck_assert_uint_eq(policy->n_certificates, POLICY_CERTIFICATES_MAX);
        for (size_t i = 0; i < POLICY_CERTIFICATES_MAX; i++) {
                snprintf(name, sizeof name, "c%zu", i);
                ck_assert_ptr_eq(policy_find_certificate(policy, name), &policy->certificates[i]);
        }
        policy_unref(parse(more, &errors));
        ck_assert_str_eq(errors, "10005:3: certificates.c10000: more than 10000 certificates\n");
}
END_TEST

START_TEST(finds_the_nearest_word)
{
        static const char *const words[] = {"lifetime", "key", "TLSv1.1", "TLSv1.2"};

        ck_assert_str_eq(nearest_word("lifetme", words, 4), "lifetime");
        ck_assert_str_eq(nearest_word("liftiem", words, 4), "lifetime");
        ck_assert_str_eq(nearest_word("kye", words, 4), "key");
        ck_assert_ptr_null(nearest_word("use", words, 4));
        ck_assert_ptr_null(nearest_word("TLSv1.4", words, 4)); /* two are as near */
        ck_assert_uint_eq(nearest_distance("ab", "ba"), 1);
        ck_assert_uint_eq(nearest_distance("", "abc"), NEAREST_FAR);
}
END_TEST

static Suite *suite(void)
{
        Suite *result = suite_create("policy");
        TCase *tests = tcase_create("policy");

        read_cases("tests/policy/broken.txt");
        read_cases("tests/policy/accepted.txt");
        tcase_set_timeout(tests, 60);
        tcase_add_loop_test(tests, tells_everything_that_is_wrong_and_nothing_else, 0,
                            (int)n_cases);
        tcase_add_test(tests, has_many_cases);
        tcase_add_loop_test(tests, reads_whole_files_as_expected, 0, ELEMENTSOF(whole));
        tcase_add_test(tests, reads_back_what_it_prints);
        tcase_add_loop_test(tests, accepts_the_examples, 0, ELEMENTSOF(examples));
        tcase_add_test(tests, completes_objects_with_their_defaults);
        tcase_add_test(tests, gives_a_bundle_the_authorities_it_meets);
        tcase_add_test(tests, keeps_a_policy_while_it_is_referred_to);
        tcase_add_test(tests, merges_the_files_beside_it_in_order);
        tcase_add_test(tests, names_both_places_of_what_two_files_define);
        tcase_add_test(tests, does_not_miss_what_a_broken_file_may_hold);
        tcase_add_test(tests, tells_which_file_cannot_be_read);
        tcase_add_test(tests, tags_the_bytes_of_all_files);
        tcase_add_test(tests, reads_ten_thousand_certificates_and_no_more);
        tcase_add_test(tests, finds_the_nearest_word);
        suite_add_tcase(result, tests);
        return result;
}

#include "tests/check_main.h"
