#include "daemon/worker/publication.h"

#include "daemon/worker/preflight.h"
#include "daemon/worker/service.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum {
        /* From so many sets on a file system is synced as a whole: that also waits for other
         * programs' dirty pages, so for a few sets their files are synced. */
        PUBLICATION_MANY = 8,
};

/* One set on its way. */
typedef struct Publication {
        PublishItem *item;
        Store store;
        int fd; /* of the generation that is published by this: staged, or current */
        dev_t device;
        bool is_staged;
        bool is_changed; /* names in the directory were, so that it is to be synced */
} Publication;

static bool is_failed(const Publication *publication)
{
        return publication->item->error.code != 0;
}

/* Does one step for a set. What a step that succeeds left in its Error is nobody's. */
static bool attempt(Publication *publication, int (*step)(Publication *, Error *))
{
        Error error = {0};

        if (step(publication, &error) >= 0)
                return true;
        publication->item->error = error;
        return false;
}

static int find_staged(Publication *publication, Error *reterr)
{
        const Store *store = &publication->store;
        const char *certificate = store->certificate->files[POLICY_CERTIFICATE];

        for (size_t i = store->n_numbers; i > 0; i--) {
                uint32_t number = store->numbers[i - 1];
                _cleanup_(closep) int fd = -1;

                if (store->has_current && number <= store->current)
                        break;
                bool is_refused = store_is_refused(store, number);

                if ((is_refused && !publication->item->retry) ||
                    store_open_generation(store, number, &fd, NULL, NULL) < 0 ||
                    faccessat(fd, certificate, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                /* Without its mark it is one that waits to be published, also after a crash here.
                 */
                if (is_refused && unlinkat(fd, STORE_REFUSED, 0) < 0)
                        return error_set(reterr, errno, "cannot remove the mark of a refusal: %m");
                publication->fd = TAKE_FD(fd);
                publication->is_staged = true;
                publication->item->generation = number;
                return 0;
        }
        if (store->current_fd < 0)
                return error_set(reterr, ENOENT, "nothing is staged in %s",
                                 store->certificate->directory);
        publication->fd = fcntl(store->current_fd, F_DUPFD_CLOEXEC, 3);
        publication->item->generation = store->current;
        return publication->fd < 0 ? error_set(reterr, errno, "cannot open a descriptor: %m") : 0;
}

static int publication_open(Publication *publication, Error *reterr)
{
        Store *store = &publication->store;
        struct stat stat;
        int r = store_open(publication->item->certificate, STORE_WRITE, store, reterr);

        if (r == 0)
                r = store_check_ours(store, reterr);
        if (r == 0)
                r = find_staged(publication, reterr);
        if (r == 0 && fstat(store->fd, &stat) < 0)
                r = error_set(reterr, errno, "cannot look at %s: %m",
                              store->certificate->directory);
        if (r == 0)
                publication->device = stat.st_dev;
        return r;
}

/* A link into the published generation was synced when that was published. */
static bool is_synced(const Store *store, PolicyFile file, const char *name, const struct stat *new)
{
        const char *published = file < POLICY_FILES ? store->manifest.files[file] : name;
        struct stat old;

        return store->current_fd >= 0 && published &&
               fstatat(store->current_fd, published, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
               old.st_ino == new->st_ino &&old.st_dev == new->st_dev;
}

static int sync_file(const Publication *publication, PolicyFile file, const char *name,
                     Error *reterr)
{
        _cleanup_(closep) int fd =
                openat(publication->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat stat;

        if (fd < 0 || fstat(fd, &stat) < 0)
                return error_set(reterr, errno, "cannot open %s: %m", name);
        return is_synced(&publication->store, file, name, &stat) ? 0 : fdio_sync(fd, name, reterr);
}

static int sync_generation(Publication *publication, Error *reterr)
{
        const PolicyCertificate *certificate = publication->item->certificate;
        int r = 0;

        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++)
                r = sync_file(publication, i, certificate->files[i], reterr);
        if (r == 0)
                r = sync_file(publication, POLICY_FILES, MANIFEST_NAME, reterr);
        return r < 0 ? r : fdio_sync(publication->fd, "the generation's directory", reterr);
}

/* The modes that readers need, while nobody can see the generation yet. */
static int let_readers_in(Publication *publication, Error *reterr)
{
        if (fchmod(publication->fd, STORE_MODE_OPEN) < 0)
                return error_set(reterr, errno, "cannot set the mode of a generation: %m");
        return store_let_readers_in(&publication->store, reterr);
}

static bool wants_sync(const Publication *publication, bool after)
{
        return !is_failed(publication) &&
               (after ? publication->is_changed : publication->is_staged);
}

/* One syncfs() for each file system that the wanted ones lie on. A failure is everybody's on it. */
static void sync_file_systems(Publication *publications, size_t n, bool after)
{
        for (size_t i = 0; i < n; i++) {
                Publication *first = &publications[i];
                bool done = false;

                for (size_t j = 0; j < i && !done; j++)
                        done = publications[j].device == first->device &&
                               wants_sync(&publications[j], after);
                if (done || !wants_sync(first, after) || syncfs(first->store.fd) == 0)
                        continue;
                for (size_t j = i; j < n; j++)
                        if (publications[j].device == first->device &&
                            wants_sync(&publications[j], after))
                                error_set(&publications[j].item->error, errno,
                                          "cannot sync the file system of %s: %m",
                                          first->store.certificate->directory);
        }
}

static int sync_directory(Publication *publication, Error *reterr)
{
        return fdio_sync(publication->store.fd, publication->item->certificate->directory, reterr);
}

static void sync_each(Publication *publications, size_t n, bool after)
{
        for (size_t i = 0; i < n; i++)
                if (wants_sync(&publications[i], after))
                        attempt(&publications[i], after ? sync_directory : sync_generation);
}

static int link_name(Publication *publication, PolicyFile file, Error *reterr)
{
        const char *name = publication->item->certificate->files[file];
        _cleanup_(text_done) Text target = {0};

        if (publication->store.names & (1u << file))
                return 0;
        text_addf(&target, STORE_CURRENT "/%s", name);
        if (text_check(&target, reterr) < 0)
                return -ENOMEM;
        /* Absent a moment ago; whoever made it meanwhile keeps it. */
        if (symlinkat(text_content(&target), publication->store.fd, name) < 0)
                return error_set(reterr, errno, "cannot make the link %s: %m", name);
        publication->is_changed = true;
        return 0;
}

static int switch_current(const Store *store, uint32_t number, Error *reterr)
{
        char name[STORE_NAME_MAX];

        store_generation_name(number, name);
        if (store->has_current)
                return fdio_symlink(store->fd, name, STORE_CURRENT, reterr);
        if (symlinkat(name, store->fd, STORE_CURRENT) < 0)
                return error_set(reterr, errno, "cannot make the link " STORE_CURRENT ": %m");
        return 0;
}

/* A foreign service file is told by observation and holds up nothing: 0. */
static int write_service(const Store *store, uint32_t number, Error *reterr)
{
        int r = service_write(store->fd, store->certificate, number, reterr);

        return r == -EEXIST ? 0 : r;
}

/* The switch, then what points through it, so that no name ever points to nothing of ours. */
static int publication_switch(Publication *publication, Error *reterr)
{
        const PolicyCertificate *certificate = publication->item->certificate;
        int r = 0;

        if (publication->is_staged) {
                r = switch_current(&publication->store, publication->item->generation, reterr);
                publication->is_changed = r == 0;
        }
        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++)
                r = link_name(publication, i, reterr);
        if (r == 0)
                r = write_service(&publication->store, publication->item->generation, reterr);
        if (r > 0)
                publication->is_changed = false; /* it has synced the directory */
        return r < 0 ? error_prefix(reterr, "%s", certificate->directory) : 0;
}

static int read_leaf(const Publication *publication, CertFacts *ret, Error *reterr)
{
        const char *name = publication->item->certificate->files[POLICY_CERTIFICATE];
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList chain = {0};
        int r = fdio_read(publication->fd, name, CERT_FILE_MAX, &bytes, reterr);

        if (r == 0)
                r = cert_list_parse(bytes.data, bytes.size, &chain, reterr);
        if (r < 0)
                return r;
        assert(chain.n > 0 && chain.items);
        return cert_facts(chain.items[0], ret, reterr);
}

static int publication_judge(Publication *publication, Error *reterr)
{
        PublishItem *item = publication->item;
        char name[STORE_NAME_MAX];
        int r;

        if (!publication->is_staged)
                r = read_leaf(publication, &item->leaf, reterr);
        else
                r = preflight_check(item->certificate, publication->fd, item->now_usec, &item->leaf,
                                    reterr);
        return r < 0 ? error_prefix(reterr, "%s/%s", item->certificate->directory,
                                    store_generation_name(item->generation, name))
                     : 0;
}

/* The order is that of the promise: whole and synced, judged, switched, synced. */
static void publication_all(Publication *publications, size_t n)
{
        size_t n_staged = 0;
        void (*sync)(Publication *, size_t, bool);

        for (size_t i = 0; i < n; i++)
                if (attempt(&publications[i], publication_open) && publications[i].is_staged &&
                    attempt(&publications[i], let_readers_in))
                        n_staged++;
        sync = n_staged >= PUBLICATION_MANY ? sync_file_systems : sync_each;
        sync(publications, n, false);
        for (size_t i = 0; i < n; i++)
                if (!is_failed(&publications[i]) && attempt(&publications[i], publication_judge))
                        attempt(&publications[i], publication_switch);
        sync(publications, n, true);
}

int publication_run(PublishItem *items, size_t n, Error *reterr)
{
        _cleanup_(freep) Publication *publications = NULL;

        if (n > WIRE_PUBLISH_MAX)
                return error_set(reterr, E2BIG, "more than %d sets at once", WIRE_PUBLISH_MAX);
        publications = calloc(n + 1, sizeof *publications);
        if (!publications)
                return error_oom(reterr);
        for (size_t i = 0; i < n; i++) {
                items[i].error = (Error){0};
                publications[i] = (Publication){.item = &items[i], .store = STORE_EMPTY, .fd = -1};
        }
        publication_all(publications, n);
        for (size_t i = 0; i < n; i++) {
                store_done(&publications[i].store);
                closep(&publications[i].fd);
        }
        return 0;
}

/* Written before the switch: a crash between them leaves a refused set in force, which is looked at
 * and put back again, and never one that was put back and is taken for new. */
static int mark_refused(const Store *store, const char *reason, Error *reterr)
{
        static const FileMode mode = {.mode = 0644, .group = (gid_t)-1, .sync = true};
        int r;

        if (store_is_refused(store, store->current))
                return 0;
        r = fdio_create(store->current_fd, STORE_REFUSED, reason, strlen(reason), &mode, reterr);
        return r < 0 ? r : fdio_sync(store->current_fd, "the generation's directory", reterr);
}

int publication_back(const Store *store, const uint8_t served[CERT_FINGERPRINT], const char *reason,
                     int64_t now_usec, uint32_t *ret_number, Error *reterr)
{
        const PolicyCertificate *certificate = store->certificate;
        _cleanup_(closep) int fd = -1;
        char name[STORE_NAME_MAX];
        uint32_t number;
        CertFacts leaf;
        int r;

        if (store->current_fd < 0 || !store_previous(store, &number))
                return error_set(reterr, ENOENT, "%s has no earlier generation to go back to",
                                 certificate->directory);
        r = store_open_generation(store, number, &fd, NULL, reterr);
        if (r == 0)
                r = preflight_check(certificate, fd, now_usec, &leaf, reterr);
        if (r < 0) {
                error_prefix(reterr, "%s/%s", certificate->directory,
                             store_generation_name(number, name));
                return r == -EKEYEXPIRED ? r : -EINVAL;
        }
        if (memcmp(leaf.sha256, served, CERT_FINGERPRINT) != 0)
                return error_set(reterr, ENXIO,
                                 "the earlier generation %" PRIu32 " in %s is not what "
                                 "PostgreSQL serves",
                                 number, certificate->directory);
        r = mark_refused(store, reason, reterr);
        if (r == 0)
                r = switch_current(store, number, reterr);
        if (r == 0)
                r = write_service(store, number, reterr);
        if (r >= 0)
                r = fdio_sync(store->fd, certificate->directory, reterr);
        if (r < 0)
                error_prefix(reterr, "%s", certificate->directory);
        else
                *ret_number = number;
        return r;
}
