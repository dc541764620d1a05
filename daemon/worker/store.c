#include "daemon/worker/store.h"

#include "common/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GENERATION_PREFIX "generation-"
#define TEMPORARY_PREFIX "." STORE_CURRENT "." /* fdio_symlink() */

/* The mode of a directory that we made and that no reader was let into yet. The sticky bit, which
 * only ever restricts, is the mark: one mkdir() sets it, so no crash can lose it, and a directory
 * that somebody else made with 0700 is told apart and left as it is. */
enum { STORE_MODE_NEW = 01700, STORE_LINK_MAX = 300 };

void store_done(Store *store)
{
        closep(&store->fd);
        closep(&store->current_fd);
        manifest_done(&store->manifest);
        free(store->numbers);
        *store = STORE_EMPTY;
}

const char *store_generation_name(uint32_t number, char buffer[STORE_NAME_MAX])
{
        snprintf(buffer, STORE_NAME_MAX, GENERATION_PREFIX "%" PRIu32, number);
        return buffer;
}

bool store_parse_generation_name(const char *name, uint32_t *ret)
{
        char again[STORE_NAME_MAX];
        uintmax_t number;

        if (strncmp(name, GENERATION_PREFIX, strlen(GENERATION_PREFIX)) != 0)
                return false;
        number = strtoumax(name + strlen(GENERATION_PREFIX), NULL, 10);
        if (number >= UINT32_MAX)
                return false;
        *ret = (uint32_t)number;
        /* One spelling alone: no sign, no space, no leading zero. */
        return strcmp(store_generation_name(*ret, again), name) == 0;
}

FileMode store_file_mode(const PolicyCertificate *certificate, PolicyFile file)
{
        if (file != POLICY_KEY)
                return (FileMode){.mode = 0644, .group = (gid_t)-1};
        return (FileMode){.mode = certificate->mode, .group = certificate->group_gid};
}

bool store_file_fits(const struct stat *stat, const FileMode *mode)
{
        return (stat->st_mode & 07777) == mode->mode && stat->st_uid == geteuid() &&
               (mode->group == (gid_t)-1 || stat->st_gid == mode->group);
}

static int foreign(Store *store, const char *name, const char *what)
{
        store->state = SET_FOREIGN;
        error_set(&store->problem, EEXIST,
                  "%s/%s is not pgcertd's: %s HINT: To have pgcertd take it over, run pgcertctl "
                  "adopt %s --yes.",
                  store->certificate->directory, name, what, store->certificate->name);
        return -EEXIST;
}

/* 1 where the link is there, 0 where nothing is, negative where something else is. */
static int read_link(Store *store, const char *name, char text[STORE_LINK_MAX])
{
        int r = fdio_readlink(store->fd, name, text, STORE_LINK_MAX, NULL);

        if (r == 0)
                return 1;
        if (r == -ENOENT)
                return 0;
        return foreign(store, name,
                       r == -EINVAL ? "it is not a link" : "it is a link to somewhere else");
}

static bool is_our_text(const char *text, const char *name)
{
        return strncmp(text, STORE_CURRENT "/", strlen(STORE_CURRENT "/")) == 0 &&
               strcmp(text + strlen(STORE_CURRENT "/"), name) == 0;
}

bool store_has_link(const Store *store, PolicyFile file)
{
        const char *name = store->certificate->files[file];
        char text[STORE_LINK_MAX];

        return fdio_readlink(store->fd, name, text, sizeof text, NULL) == 0 &&
               is_our_text(text, name);
}

static int look_at_name(Store *store, PolicyFile file)
{
        const char *name = store->certificate->files[file];
        char text[STORE_LINK_MAX];
        int r = read_link(store, name, text);

        if (r <= 0)
                return r;
        if (!is_our_text(text, name))
                return foreign(store, name, "it is a link to somewhere else");
        store->names |= 1u << file;
        return 0;
}

int store_open_generation(const Store *store, uint32_t number, int *ret_fd, Manifest *ret_manifest,
                          Error *reterr)
{
        _cleanup_(manifest_done) Manifest manifest = {0};
        _cleanup_(closep) int fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        r = fdio_open_directory(store->fd, store_generation_name(number, name), &fd, reterr);
        if (r == -ENOTDIR || r == -ELOOP)
                r = -EEXIST;
        if (r < 0)
                return r;
        r = manifest_load(fd, &manifest, NULL, reterr);
        if (r < 0) {
                error_prefix(reterr, "%s", name);
                return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO ? r : -EEXIST;
        }
        *ret_fd = TAKE_FD(fd);
        if (ret_manifest) {
                *ret_manifest = manifest;
                manifest = (Manifest){0};
        }
        return 0;
}

static int look_at_current(Store *store, Error *reterr)
{
        char text[STORE_LINK_MAX];
        int r = read_link(store, STORE_CURRENT, text);
        Error error;

        store->is_current_foreign = r < 0;
        if (r <= 0)
                return 0;
        if (!store_parse_generation_name(text, &store->current)) {
                store->is_current_foreign = true;
                foreign(store, STORE_CURRENT, "it is a link to somewhere else");
                return 0;
        }
        store->has_current = true;
        r = store_open_generation(store, store->current, &store->current_fd, &store->manifest,
                                  &error);
        if (r == 0) {
                store->state = SET_OURS;
        } else if (r == -EEXIST) {
                store->is_current_foreign = true;
                foreign(store, text, "it is not a directory with a manifest of pgcertd");
        } else if (r == -ENOENT) {
                store->state = SET_DAMAGED;
                error_set(&store->problem, ENOENT, "%s/%s points to %s, which is gone",
                          store->certificate->directory, STORE_CURRENT, text);
        } else {
                return error_set(reterr, -r, "%s: %s", store->certificate->directory, error.text);
        }
        return 0;
}

static int add_number(Store *store, uint32_t number, Error *reterr)
{
        uint32_t *numbers;
        size_t i;

        if (store->n_numbers == STORE_GENERATIONS_MAX)
                return error_set(reterr, E2BIG, "more than %d generations lie in %s",
                                 STORE_GENERATIONS_MAX, store->certificate->directory);
        numbers = reallocarray(store->numbers, store->n_numbers + 1, sizeof *numbers);
        if (!numbers)
                return error_oom(reterr);
        store->numbers = numbers;
        for (i = store->n_numbers++; i > 0 && numbers[i - 1] > number; i--)
                numbers[i] = numbers[i - 1];
        numbers[i] = number;
        return 0;
}

/* getdents64() and no DIR: that would allocate 32 KiB for each of 10,000 sets. */
static int list_generations(Store *store, Error *reterr)
{
        _Alignas(struct dirent64) char buffer[4096];
        size_t n_entries = 0;

        for (;;) {
                ssize_t size = getdents64(store->fd, buffer, sizeof buffer);
                const struct dirent64 *entry;

                if (size < 0)
                        return error_set(reterr, errno, "cannot list %s: %m",
                                         store->certificate->directory);
                if (size == 0)
                        return 0;
                for (ssize_t at = 0; at < size; at += entry->d_reclen) {
                        uint32_t number;
                        int r = 0;

                        entry = (const struct dirent64 *)(buffer + at);
                        if (++n_entries > STORE_ENTRIES_MAX)
                                return error_set(reterr, E2BIG, "more than %d names lie in %s",
                                                 STORE_ENTRIES_MAX, store->certificate->directory);
                        if (store_parse_generation_name(entry->d_name, &number))
                                r = add_number(store, number, reterr);
                        else if (strncmp(entry->d_name, TEMPORARY_PREFIX,
                                         strlen(TEMPORARY_PREFIX)) == 0)
                                snprintf(store->temporary, sizeof store->temporary, "%.38s",
                                         entry->d_name);
                        if (r < 0)
                                return r;
                }
        }
}

/* The directory's own entry must not be lost when it is the first thing that we make. */
static void sync_parent(const char *path)
{
        _cleanup_(freep) char *parent = strdup(path);
        char *slash = parent ? strrchr(parent, '/') : NULL;
        _cleanup_(closep) int fd = -1;

        if (!slash)
                return;
        slash[slash == parent] = '\0';
        fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                (void)fsync(fd);
}

static int make_directory(const char *path, Error *reterr)
{
        if (mkdir(path, STORE_MODE_NEW) == 0) {
                sync_parent(path);
                return 0;
        }
        if (errno == EEXIST)
                return 0;
        if (errno == ENOENT)
                return error_set(reterr, ENOENT,
                                 "cannot make the directory %s: the directory above it does not "
                                 "exist HINT: Create the directory above it first.",
                                 path);
        return error_set(reterr, errno,
                         "cannot make the directory %s: %m HINT: Create it and give it to the "
                         "certificate's owner.",
                         path);
}

/* The directory itself may be a link: the administrator named it. Nothing below it is followed. */
static int open_directory(const char *path, StoreAccess access, int *ret_fd, Error *reterr)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

        if (fd < 0 && errno == ENOENT && access == STORE_MAKE) {
                r = make_directory(path, reterr);
                if (r < 0)
                        return r;
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd < 0)
                return error_set(reterr, errno, "cannot open the directory %s: %m", path);
        *ret_fd = fd;
        return 0;
}

int store_open(const PolicyCertificate *certificate, StoreAccess access, Store *ret, Error *reterr)
{
        _cleanup_(store_done) Store store = STORE_EMPTY;
        int r = open_directory(certificate->directory, access, &store.fd, reterr);

        store.certificate = certificate;
        store.state = SET_ABSENT;
        if (r == 0 && access != STORE_LOOK)
                r = lock_take(store.fd, certificate->directory, LOCK_WAIT_USEC, reterr);
        if (r == 0)
                r = list_generations(&store, reterr);
        if (r == 0)
                r = look_at_current(&store, reterr);
        if (r < 0)
                return r;
        for (PolicyFile i = 0; i < POLICY_FILES && store.state != SET_FOREIGN; i++)
                look_at_name(&store, i);
        /* The names come after current, so that no crash leaves them without it. */
        if (store.state == SET_ABSENT && store.names != 0) {
                store.state = SET_DAMAGED;
                error_set(&store.problem, ENOENT, "%s/" STORE_CURRENT " is gone",
                          certificate->directory);
        }
        *ret = store;
        store = STORE_EMPTY;
        return 0;
}

int store_let_readers_in(const Store *store, Error *reterr)
{
        struct stat stat;

        if (fstat(store->fd, &stat) < 0)
                return error_set(reterr, errno, "cannot look at %s: %m",
                                 store->certificate->directory);
        if ((stat.st_mode & 07777) != STORE_MODE_NEW || stat.st_uid != geteuid())
                return 0;
        if (fchmod(store->fd, STORE_MODE_OPEN) < 0)
                return error_set(reterr, errno, "cannot set the mode of %s: %m",
                                 store->certificate->directory);
        return 0;
}

int store_check_ours(const Store *store, Error *reterr)
{
        if (store->state != SET_FOREIGN)
                return 0;
        if (reterr)
                *reterr = store->problem;
        return -EEXIST;
}

bool store_is_refused(const Store *store, uint32_t number)
{
        char path[STORE_NAME_MAX + sizeof "/" STORE_REFUSED];
        char name[STORE_NAME_MAX];

        snprintf(path, sizeof path, "%s/" STORE_REFUSED, store_generation_name(number, name));
        return faccessat(store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool store_previous(const Store *store, uint32_t *ret)
{
        for (size_t i = store->n_numbers; i > 0; i--) {
                uint32_t number = store->numbers[i - 1];
                _cleanup_(closep) int fd = -1;

                if (!store->has_current || number >= store->current ||
                    store_is_refused(store, number))
                        continue;
                if (store_open_generation(store, number, &fd, NULL, NULL) < 0)
                        continue;
                *ret = number;
                return true;
        }
        return false;
}

uint32_t store_next(const Store *store)
{
        uint32_t highest = store->has_current ? store->current : 0;

        if (store->n_numbers > 0 && store->numbers[store->n_numbers - 1] > highest)
                highest = store->numbers[store->n_numbers - 1];
        return highest + 1;
}
