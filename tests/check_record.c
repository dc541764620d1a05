#include "common/clock.h"
#include "common/fdio.h"
#include "daemon/record.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static char directory[64];
static int fd = -1;

static void make_directory(void)
{
        strcpy(directory, "/tmp/check_record.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
}

static void remove_directory(void)
{
        unlinkat(fd, "history.jsonl", 0);
        unlinkat(fd, "history.jsonl.1", 0);
        close(fd);
        rmdir(directory);
}

static Record *open_record(void)
{
        Record *record = NULL;
        Error error = {0};
        int r = record_open(directory, &record, &error);

        ck_assert_msg(r == 0, "%s", error.text);
        return record;
}

static void write_history(const char *text)
{
        int file = openat(fd, "history.jsonl", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_eq(fdio_write_all(file, text, strlen(text), "history", NULL), 0);
        close(file);
}

static FileBytes read_history(const char *name)
{
        FileBytes bytes = {0};
        Error error = {0};

        ck_assert_msg(fdio_read(fd, name, 32 << 20, &bytes, &error) == 0, "%s", error.text);
        return bytes;
}

/* What a restart knows of cluster "main": the first byte of the leaf last proved, or -1. */
static int restored(const Record *record, int64_t *ret_usec)
{
        PolicyCluster cluster = {.name = (char[]){"main"}};
        Policy policy = {.clusters = &cluster, .n_clusters = 1};
        _cleanup_(memory_freep) Memory *memory = NULL;

        ck_assert_int_eq(memory_new(&policy, &memory, NULL), 0);
        record_restore(record, &policy, memory);
        *ret_usec = memory->clusters[0].proven_usec;
        return memory->clusters[0].has_proven ? memory->clusters[0].proven[0] : -1;
}

static int reopened(void)
{
        _cleanup_(record_freep) Record *record = open_record();
        int64_t usec;

        return restored(record, &usec);
}

static void prove(Record *record, const char *cluster, uint8_t leaf, int64_t usec, int wanted)
{
        uint8_t sha256[CERT_FINGERPRINT] = {leaf};

        ck_assert_int_eq(record_proven(record, cluster, sha256, usec, NULL), wanted);
}

START_TEST(remembers_the_last_proof_over_a_restart)
{
        int64_t usec;

        {
                _cleanup_(record_freep) Record *record = open_record();

                ck_assert_int_eq(restored(record, &usec), -1);
                prove(record, "other", 9, 1, 1);
                prove(record, "main", 1, 1000001, 1);
                prove(record, "main", 2, 2000002, 1);
                prove(record, "another", 8, 3, 1);
        }
        _cleanup_(record_freep) Record *record = open_record();

        ck_assert_int_eq(restored(record, &usec), 2);
        ck_assert_int_eq(usec, 2000002);
}
END_TEST

START_TEST(does_not_grow_while_nothing_changes)
{
        _cleanup_(record_freep) Record *record = open_record();
        _cleanup_(file_bytes_done) FileBytes once = {0}, often = {0};

        prove(record, "main", 1, 1, 1);
        once = read_history("history.jsonl");
        for (int i = 0; i < 100; i++)
                prove(record, "main", 1, 2 + i, 0);
        record_free(TAKE_PTR(record));
        record = open_record();
        prove(record, "main", 1, 200, 0);
        often = read_history("history.jsonl");
        ck_assert_uint_eq(once.size, often.size);
}
END_TEST

START_TEST(writes_lines_that_others_can_read)
{
        _cleanup_(record_freep) Record *record = open_record();
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        CertFacts leaf = {.serial = "0badcafe", .not_after_usec = 60 * USEC_PER_SEC};

        ck_assert_int_eq(record_published(record, "server", &leaf, 7, 1500000, NULL), 0);
        ck_assert_int_eq(
                record_refused(record, "main", leaf.sha256, "it said \"no\"\n", 2000000, NULL), 0);
        bytes = read_history("history.jsonl");
        ck_assert_str_eq((char *)bytes.data,
                         "{\"at\":\"1970-01-01T00:00:01Z\",\"at_usec\":1500000,"
                         "\"event\":\"published\",\"certificate\":\"server\","
                         "\"serial\":\"0badcafe\",\"sha256\":"
                         "\"0000000000000000000000000000000000000000000000000000000000000000\","
                         "\"not_after\":\"1970-01-01T00:01:00Z\",\"generation\":7}\n"
                         "{\"at\":\"1970-01-01T00:00:02Z\",\"at_usec\":2000000,"
                         "\"event\":\"refused\",\"cluster\":\"main\",\"sha256\":"
                         "\"0000000000000000000000000000000000000000000000000000000000000000\","
                         "\"reason\":\"it said \\\"no\\\"\\n\"}\n");
}
END_TEST

#define HEX "0000000000000000000000000000000000000000000000000000000000000"
#define LINE(leaf)                                                                                 \
        "{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"main\",\"sha256\":\"" leaf "0" HEX      \
        "\"}\n"

static const struct {
        const char *text;
        int leaf;
} histories[] = {
        {"", -1},
        {LINE("01"), 0x01},
        {LINE("01") LINE("02"), 0x02},
        /* A torn last line. */
        {LINE("01") "{\"at_usec\":6,\"event\":\"proven\",\"cluster\":\"main\",\"sha2", 0x01},
        {LINE("01") "{", 0x01},
        /* A torn line in the middle, blank lines, foreign text, other formats. */
        {LINE("01") "{\"at_usec\":6,\"event\":\"pro\n" LINE("03"), 0x03},
        {"\n\nhello\n[]\n{}\n{\"a\":{}}\n{\"a\":[1]}\n" LINE("04"), 0x04},
        {" " LINE("05"), -1},
        {"{\"at_usec\":5, \"event\":\"proven\"}\n", -1},
        /* Unknown events and fields. */
        {LINE("01") "{\"event\":\"announced\",\"cluster\":\"main\"}\n", 0x01},
        {"{\"new\":true,\"more\":\"a\\\"b\\\\\",\"at_usec\":5,\"event\":\"proven\","
         "\"cluster\":\"main\",\"sha256\":\"060" HEX "\"}\n",
         0x06},
        /* Values that are not ours. */
        {"{\"at_usec\":\"5\",\"event\":\"proven\",\"cluster\":\"main\",\"sha256\":\"070" HEX
         "\"}\n",
         -1},
        {"{\"at_usec\":99999999999999999999,\"event\":\"proven\",\"cluster\":\"main\","
         "\"sha256\":\"070" HEX "\"}\n",
         -1},
        {"{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"main\",\"sha256\":\"07\"}\n", -1},
        {"{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"main\",\"sha256\":\"0G0" HEX "\"}\n",
         -1},
        {"{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"\",\"sha256\":\"070" HEX "\"}\n", -1},
        {"{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"main\\", -1},
        {"{\"at_usec\":5,\"event\":\"proven\",\"cluster\":\"main\\\n", -1},
};

START_TEST(skips_what_is_not_a_line_of_ours)
{
        write_history(histories[_i].text);
        ck_assert_int_eq(reopened(), histories[_i].leaf);
        /* And goes on after it, whatever it was. */
        _cleanup_(record_freep) Record *record = open_record();

        prove(record, "main", 0x55, 9, 1);
        record_free(TAKE_PTR(record));
        ck_assert_int_eq(reopened(), 0x55);
}
END_TEST

START_TEST(rotates_a_large_file_and_carries_the_proofs_over)
{
        _cleanup_(record_freep) Record *record = open_record();
        CertFacts leaf = {.serial = "01"};
        struct stat stat;

        prove(record, "main", 7, 1, 1);
        for (int i = 0; i < 20000; i++)
                ck_assert_int_eq(record_published(record, "server", &leaf, 1, i, NULL), 0);
        ck_assert_int_eq(fstatat(fd, "history.jsonl.1", &stat, 0), 0);
        ck_assert_int_gt(stat.st_size, RECORD_SIZE_MAX);
        ck_assert_int_eq(fstatat(fd, "history.jsonl", &stat, 0), 0);
        ck_assert_int_le(stat.st_size, RECORD_SIZE_MAX + 4096);
        record_free(TAKE_PTR(record));
        ck_assert_int_eq(reopened(), 7);
}
END_TEST

START_TEST(rotates_at_the_start_over_an_interrupted_rotation)
{
        _cleanup_(freep) char *text = malloc(RECORD_SIZE_MAX + 4096);
        size_t size;
        struct stat stat;

        strcpy(text, LINE("0a"));
        size = strlen(text);
        memset(text + size, 'x', RECORD_SIZE_MAX + 1024);
        strcpy(text + size + RECORD_SIZE_MAX + 1024, "\n");
        write_history(text);
        /* It died between the second name and the new file. */
        ck_assert_int_eq(linkat(fd, "history.jsonl", fd, "history.jsonl.1", 0), 0);
        ck_assert_int_eq(reopened(), 0x0a);
        ck_assert_int_eq(fstatat(fd, "history.jsonl", &stat, 0), 0);
        ck_assert_int_lt(stat.st_size, 1024);
        ck_assert_int_eq(reopened(), 0x0a);
}
END_TEST

START_TEST(keeps_many_clusters_in_bounded_memory)
{
        _cleanup_(record_freep) Record *record = open_record();
        char name[32];

        for (int i = 0; i < RECORD_CLUSTERS_MAX + 50; i++) {
                snprintf(name, sizeof name, "c%d", (i * 7919) % 100003);
                prove(record, name, 1, 1000 + i, 1);
        }
        prove(record, "main", 2, 100000, 1);
        record_free(TAKE_PTR(record));
        ck_assert_int_eq(reopened(), 2);
}
END_TEST

START_TEST(refuses_a_history_that_is_no_file)
{
        Record *record = NULL;
        Error error = {0};

        ck_assert_int_eq(symlinkat("/dev/null", fd, "history.jsonl"), 0);
        ck_assert_int_lt(record_open(directory, &record, &error), 0);
        ck_assert_ptr_null(record);
        ck_assert_ptr_nonnull(strstr(error.text, "history"));
}
END_TEST

START_TEST(tells_a_failed_write_and_goes_on)
{
        _cleanup_(record_freep) Record *record = open_record();
        uint8_t sha256[CERT_FINGERPRINT] = {3};
        struct rlimit limit, small;
        Error error = {0};

        prove(record, "main", 1, 1, 1);
        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        small = limit;
        small.rlim_cur = 200; /* in the middle of the second line */
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        ck_assert_int_lt(record_proven(record, "main", sha256, 2, NULL), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert(record_take_error(record, &error));
        ck_assert_int_ne(error.code, 0);
        ck_assert(!record_take_error(record, &error));
        prove(record, "main", 3, 3, 1);
        record_free(TAKE_PTR(record));
        ck_assert_int_eq(reopened(), 3);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("record");
        TCase *tcase = tcase_create("history");

        tcase_add_checked_fixture(tcase, make_directory, remove_directory);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, remembers_the_last_proof_over_a_restart);
        tcase_add_test(tcase, does_not_grow_while_nothing_changes);
        tcase_add_test(tcase, writes_lines_that_others_can_read);
        tcase_add_loop_test(tcase, skips_what_is_not_a_line_of_ours, 0,
                            (int)(sizeof histories / sizeof *histories));
        tcase_add_test(tcase, rotates_a_large_file_and_carries_the_proofs_over);
        tcase_add_test(tcase, rotates_at_the_start_over_an_interrupted_rotation);
        tcase_add_test(tcase, keeps_many_clusters_in_bounded_memory);
        tcase_add_test(tcase, refuses_a_history_that_is_no_file);
        tcase_add_test(tcase, tells_a_failed_write_and_goes_on);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
