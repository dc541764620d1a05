/*
 * Whole reads and writes below an open directory, and what they refuse.
 */
#include "common/fdio.h"

#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int directory = -1;
static Error error;
static const FileMode plain = {.mode = 0600, .group = (gid_t)-1};

static void setup(void)
{
        judge_setup();
        error = (Error){0};
        ck_assert_int_eq(fdio_open_directory(AT_FDCWD, judge_directory, &directory, &error), 0);
}

static void teardown(void)
{
        close(directory);
        judge_teardown();
}

static void put(const char *name, const char *content)
{
        judge_write(name, content, strlen(content));
}

/* The names below the directory, hidden ones too, each with a space behind. */
static const char *names(void)
{
        judge_run("ls -A | tr '\\n' ' '");
        return judge_output;
}

static void expect_content(const char *name, const char *content)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};

        ck_assert_msg(fdio_read(directory, name, 1 << 20, &bytes, &error) == 0, "%s", error.text);
        ck_assert_str_eq((char *)bytes.data, content);
}

START_TEST(opens_directories_only)
{
        int fd = -1;

        put("file", "x");
        ck_assert_int_eq(judge_run("mkdir inner && ln -s inner link && mkfifo fifo"), 0);
        ck_assert_int_eq(fdio_open_directory(directory, "inner", &fd, &error), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        ck_assert_int_eq(fdio_open_directory(directory, "missing", &fd, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "missing"));
        ck_assert_int_eq(fdio_open_directory(directory, "file", &fd, &error), -ENOTDIR);
        ck_assert_int_eq(fdio_open_directory(directory, "fifo", &fd, &error), -ENOTDIR);
        ck_assert_int_eq(fdio_open_directory(directory, "link", &fd, &error), -ENOTDIR);
}
END_TEST

START_TEST(reads_files_whole)
{
        FileBytes bytes = {0};

        judge_write("file", "a\0b", 3);
        put("empty", "");
        ck_assert_int_eq(fdio_read(directory, "file", 3, &bytes, &error), 0);
        ck_assert_uint_eq(bytes.size, 3);
        ck_assert_mem_eq(bytes.data, "a\0b", 4);
        ck_assert_int_eq(bytes.stat.st_size, 3);
        ck_assert_uint_eq(bytes.stat.st_uid, geteuid());
        file_bytes_done(&bytes);
        ck_assert_ptr_null(bytes.data);
        ck_assert_int_eq(fdio_read(directory, "empty", 0, &bytes, &error), 0);
        ck_assert_uint_eq(bytes.size, 0);
        ck_assert_int_eq(bytes.data[0], 0);
        file_bytes_done(&bytes);
        file_bytes_done(&bytes);
}
END_TEST

START_TEST(refuses_to_read_what_is_no_file)
{
        static const struct {
                const char *name;
                int code;
        } table[] = {
                {"missing", -ENOENT}, {"fifo", -EINVAL},  {"link", -ELOOP}, {"dangling", -ELOOP},
                {"inner", -EINVAL},   {"socket", -ENXIO}, {"big", -EFBIG},  {"file/x", -ENOTDIR},
        };
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        FileBytes bytes = {0};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        put("file", "x");
        put("big", "12345");
        ck_assert_int_eq(judge_run("mkfifo fifo && ln -s file link && ln -s nothing dangling && "
                                   "mkdir inner"),
                         0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", judge_directory);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ck_assert_int_eq(fdio_read(directory, table[i].name, 4, &bytes, &error),
                                 table[i].code);
                ck_assert_ptr_nonnull(strstr(error.text, table[i].name));
                ck_assert_int_eq(table[i].code == -ELOOP,
                                 strstr(error.text, "is a symbolic link") != NULL);
                ck_assert_ptr_null(bytes.data);
        }
        ck_assert_int_eq(fdio_read(AT_FDCWD, "/dev/null", 4, &bytes, &error), -EINVAL);
        close(fd);
}
END_TEST

START_TEST(tells_a_file_that_grows)
{
        FileBytes bytes = {0};

        /* Its size is 0 until it is read. */
        ck_assert_int_eq(fdio_read(AT_FDCWD, "/proc/self/status", 4096, &bytes, &error), -EAGAIN);
        ck_assert_ptr_null(bytes.data);
}
END_TEST

START_TEST(follows_links_where_the_administrator_names_them)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char path[100];

        put("file", "content");
        ck_assert_int_eq(judge_run("ln -s file link && mkfifo fifo"), 0);
        snprintf(path, sizeof path, "%s/link", judge_directory);
        ck_assert_int_eq(fdio_read_followed(path, 100, &bytes, &error), 0);
        ck_assert_str_eq((char *)bytes.data, "content");
        file_bytes_done(&bytes);
        ck_assert_int_eq(fdio_read_followed(path, 6, &bytes, &error), -EFBIG);
        snprintf(path, sizeof path, "%s/fifo", judge_directory);
        ck_assert_int_eq(fdio_read_followed(path, 100, &bytes, &error), -EINVAL);
}
END_TEST

START_TEST(creates_what_is_not_there)
{
        static const mode_t modes[] = {0600, 0640, 0644, 0400, 0444};

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                FileMode mode = {.mode = modes[i], .group = getegid(), .sync = i % 2};
                char name[] = "file-0";
                struct stat stat;

                name[5] = (char)('0' + i);
                umask(i % 2 ? 077 : 0);
                ck_assert_int_eq(fdio_create(directory, name, "bytes", 5, &mode, &error), 0);
                ck_assert_int_eq(fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW), 0);
                ck_assert_uint_eq(stat.st_mode, S_IFREG | modes[i]);
                ck_assert_uint_eq(stat.st_gid, getegid());
                ck_assert_int_eq(stat.st_size, 5);
        }
}
END_TEST

START_TEST(creates_nothing_where_a_name_is_taken)
{
        put("file", "old");
        put("victim", "victim");
        ck_assert_int_eq(judge_run("ln -s victim link && ln -s nowhere dangling && mkdir inner"),
                         0);
        ck_assert_int_eq(fdio_create(directory, "file", "new", 3, &plain, &error), -EEXIST);
        ck_assert_int_eq(fdio_create(directory, "link", "new", 3, &plain, &error), -EEXIST);
        ck_assert_int_eq(fdio_create(directory, "dangling", "new", 3, &plain, &error), -EEXIST);
        ck_assert_int_eq(fdio_create(directory, "inner", "new", 3, &plain, &error), -EEXIST);
        expect_content("file", "old");
        expect_content("victim", "victim");
        ck_assert_str_eq(names(), "dangling file inner link victim ");
}
END_TEST

/* A group that this process may not give: as root, one must be somebody else to see it refused. */
START_TEST(leaves_nothing_behind_where_a_group_is_refused)
{
        FileMode mode = {.mode = 0640, .group = 54321};

        if (getuid() == 0) {
                ck_assert_int_eq(fchown(directory, 65534, 65534), 0);
                ck_assert_int_eq(setgroups(0, NULL), 0);
                ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
                ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
        }
        ck_assert_int_eq(fdio_create(directory, "file", "x", 1, &mode, &error), -EPERM);
        ck_assert_ptr_nonnull(strstr(error.text, "HINT: The owner must be a member"));
        ck_assert_int_eq(fdio_replace(directory, "file", "x", 1, &mode, &error), -EPERM);
        ck_assert_str_eq(names(), "");
}
END_TEST

/* The file system is full, as far as this process can tell. */
START_TEST(leaves_nothing_behind_where_a_write_fails)
{
        static const char bytes[8192];
        struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY}, before;

        put("file", "old");
        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit.rlim_max = before.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(fdio_create(directory, "other", bytes, sizeof bytes, &plain, &error),
                         -EFBIG);
        ck_assert_int_eq(fdio_replace(directory, "file", bytes, sizeof bytes, &plain, &error),
                         -EFBIG);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        ck_assert_str_eq(names(), "file ");
        expect_content("file", "old");
}
END_TEST

START_TEST(replaces_a_file_or_makes_it)
{
        FileMode mode = {.mode = 0644, .group = (gid_t)-1};
        struct stat before, after;

        umask(077);
        ck_assert_int_eq(fdio_replace(directory, "file", "one", 3, &mode, &error), 0);
        expect_content("file", "one");
        ck_assert_int_eq(fstatat(directory, "file", &before, 0), 0);
        ck_assert_int_eq(judge_run("ln file kept"), 0);
        ck_assert_int_eq(fdio_replace(directory, "file", "two2", 4, &mode, &error), 0);
        expect_content("file", "two2");
        expect_content("kept", "one");
        ck_assert_int_eq(fstatat(directory, "file", &after, 0), 0);
        ck_assert_uint_eq(after.st_mode, S_IFREG | 0644);
        ck_assert_uint_ne(before.st_ino, after.st_ino);
        ck_assert_str_eq(names(), "file kept ");
}
END_TEST

START_TEST(replaces_a_link_and_not_its_target)
{
        struct stat stat;

        put("victim", "victim");
        ck_assert_int_eq(judge_run("ln -s victim link"), 0);
        ck_assert_int_eq(fdio_replace(directory, "link", "new", 3, &plain, &error), 0);
        ck_assert_int_eq(fstatat(directory, "link", &stat, AT_SYMLINK_NOFOLLOW), 0);
        ck_assert(S_ISREG(stat.st_mode));
        expect_content("victim", "victim");
}
END_TEST

START_TEST(leaves_nothing_behind_where_a_rename_fails)
{
        ck_assert_int_eq(judge_run("mkdir inner"), 0);
        ck_assert_int_eq(fdio_replace(directory, "inner", "x", 1, &plain, &error), -EISDIR);
        ck_assert_int_eq(fdio_symlink(directory, "target", "inner", &error), -EISDIR);
        ck_assert_str_eq(names(), "inner ");
        ck_assert_int_eq(fdio_replace(directory, "none/file", "x", 1, &plain, &error), -ENOENT);
        ck_assert_int_eq(fdio_symlink(directory, "target", "none/file", &error), -ENOENT);
        ck_assert_str_eq(names(), "inner ");
}
END_TEST

/* A reader that opens again and again never finds half of it, nor nothing. */
START_TEST(shows_a_reader_the_old_or_the_new)
{
        char bytes[2][5000];
        pid_t writer;

        memset(bytes[0], 'a', sizeof bytes[0]);
        memset(bytes[1], 'b', sizeof bytes[1]);
        ck_assert_int_eq(fdio_replace(directory, "file", bytes[0], sizeof bytes[0], &plain, NULL),
                         0);
        writer = fork();
        if (writer == 0) {
                for (unsigned i = 0; i < 200; i++)
                        if (fdio_replace(directory, "file", bytes[i % 2], sizeof bytes[0], &plain,
                                         NULL) < 0)
                                _exit(1);
                _exit(0);
        }
        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_(file_bytes_done) FileBytes read = {0};

                ck_assert_int_eq(fdio_read(directory, "file", 1 << 20, &read, &error), 0);
                ck_assert_uint_eq(read.size, sizeof bytes[0]);
                ck_assert_mem_eq(read.data, bytes[read.data[0] == 'b'], sizeof bytes[0]);
        }
        ck_assert_int_eq(waitpid(writer, &(int){0}, 0), writer);
        ck_assert_str_eq(names(), "file ");
}
END_TEST

START_TEST(makes_links_and_reads_them)
{
        char buffer[20];

        ck_assert_int_eq(fdio_symlink(directory, "generation-1", "current", &error), 0);
        ck_assert_int_eq(fdio_readlink(directory, "current", buffer, sizeof buffer, &error), 0);
        ck_assert_str_eq(buffer, "generation-1");
        ck_assert_int_eq(fdio_symlink(directory, "generation-2", "current", &error), 0);
        ck_assert_int_eq(fdio_readlink(directory, "current", buffer, sizeof buffer, &error), 0);
        ck_assert_str_eq(buffer, "generation-2");
        put("file", "old");
        ck_assert_int_eq(fdio_readlink(directory, "file", buffer, sizeof buffer, &error), -EINVAL);
        ck_assert_int_eq(fdio_readlink(directory, "none", buffer, sizeof buffer, &error), -ENOENT);
        ck_assert_int_eq(fdio_readlink(directory, "current", buffer, 12, &error), -ENAMETOOLONG);
        ck_assert_int_eq(fdio_readlink(directory, "current", buffer, 13, &error), 0);
        ck_assert_int_eq(fdio_symlink(directory, "current", "file", &error), 0);
        ck_assert_int_eq(fdio_symlink(directory, "", "other", &error), -ENOENT);
        ck_assert_str_eq(names(), "current file ");
}
END_TEST

START_TEST(uses_long_names)
{
        char name[256];

        memset(name, 'n', 255);
        name[255] = '\0';
        ck_assert_int_eq(fdio_replace(directory, name, "x", 1, &plain, &error), 0);
        ck_assert_int_eq(fdio_symlink(directory, "x", name, &error), 0);
        judge_run("ls -A | wc -l");
        ck_assert_str_eq(judge_output, "1\n");
}
END_TEST

START_TEST(tells_what_could_not_be_written_or_synced)
{
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), fds[2];

        ck_assert_int_eq(fdio_write_all(fd, "x", 1, "the ledger", &error), -ENOSPC);
        ck_assert_ptr_nonnull(strstr(error.text, "the ledger"));
        ck_assert_int_eq(fdio_write_all(fd, "", 0, "nothing", &error), 0);
        close(fd);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_eq(fdio_sync(fds[1], "the pipe", &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "the pipe"));
        close(fds[0]);
        close(fds[1]);
}
END_TEST

/* Counts the names, and fails at "stop". */
static int count(const char *name, void *userdata, Error *reterr)
{
        unsigned *n = userdata;

        ++*n;
        return strcmp(name, "stop") == 0 ? error_set(reterr, EXDEV, "stopped") : 0;
}

START_TEST(lists_a_directory_whole)
{
        _cleanup_(closep) int file = -1;
        unsigned n = 0;

        put("a", "");
        put(".b", "");
        for (int again = 0; again < 2; again++) { /* the descriptor keeps no position */
                n = 0;
                ck_assert_int_eq(fdio_each_entry(directory, 4, count, &n, &error), 0);
                ck_assert_uint_eq(n, 4);
        }
        ck_assert_int_eq(fdio_each_entry(directory, 3, count, &n, &error), -E2BIG);
        put("stop", "");
        ck_assert_int_eq(fdio_each_entry(directory, 5, count, &n, &error), -EXDEV);
        ck_assert_str_eq(error.text, "stopped");
        file = openat(directory, "a", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(fdio_each_entry(file, 5, count, &n, &error), -ENOTDIR);
        ck_assert_int_eq(fdio_each_entry(-1, 5, count, &n, &error), -EBADF);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("fdio");
        TCase *tcase = tcase_create("fdio");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, opens_directories_only);
        tcase_add_test(tcase, reads_files_whole);
        tcase_add_test(tcase, refuses_to_read_what_is_no_file);
        tcase_add_test(tcase, tells_a_file_that_grows);
        tcase_add_test(tcase, follows_links_where_the_administrator_names_them);
        tcase_add_test(tcase, creates_what_is_not_there);
        tcase_add_test(tcase, creates_nothing_where_a_name_is_taken);
        tcase_add_test(tcase, leaves_nothing_behind_where_a_group_is_refused);
        tcase_add_test(tcase, leaves_nothing_behind_where_a_write_fails);
        tcase_add_test(tcase, replaces_a_file_or_makes_it);
        tcase_add_test(tcase, replaces_a_link_and_not_its_target);
        tcase_add_test(tcase, leaves_nothing_behind_where_a_rename_fails);
        tcase_add_test(tcase, shows_a_reader_the_old_or_the_new);
        tcase_add_test(tcase, makes_links_and_reads_them);
        tcase_add_test(tcase, uses_long_names);
        tcase_add_test(tcase, tells_what_could_not_be_written_or_synced);
        tcase_add_test(tcase, lists_a_directory_whole);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
