/*
 * The order is what makes a take-over invisible. First the copies, whole and synced, in a directory
 * that nobody looks into. Then `current`: names that were links through it already read the same
 * bytes from the copy. Then the other names, each by one rename: before it and after it a reader
 * finds the same bytes, whichever of the names he opens first. A crash leaves some names as they
 * were and some as links, all of one set, and the same work done again does the rest.
 */
#include "daemon/worker/adoption.h"

#include "common/clock.h"
#include "daemon/worker/anchors.h"
#include "daemon/worker/removal.h"
#include "daemon/worker/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ADOPTION_KEY_MAX = 65536 };

/* A take-over on its way. */
typedef struct Adoption {
        Store store;
        FileBytes files[POLICY_FILES]; /* what readers find */
        int codes[POLICY_FILES];
        int64_t now_usec;
        uint32_t number; /* of the generation with the copies */
        int fd;
} Adoption;

static void adoption_done(Adoption *adoption)
{
        store_done(&adoption->store);
        for (size_t i = 0; i < POLICY_FILES; i++)
                file_bytes_done(&adoption->files[i]);
        closep(&adoption->fd);
}

void adoption_read(const Store *store, FileBytes files[POLICY_FILES], int codes[POLICY_FILES])
{
        for (PolicyFile i = 0; i < POLICY_FILES; i++) {
                _cleanup_(text_done) Text path = {0};

                text_addf(&path, "%s/%s", store->certificate->directory,
                          store->certificate->files[i]);
                codes[i] = text_check(&path, NULL);
                if (codes[i] == 0)
                        codes[i] = fdio_read_followed(text_content(&path),
                                                      i == POLICY_KEY ? ADOPTION_KEY_MAX
                                                                      : CERT_FILE_MAX,
                                                      &files[i], NULL);
        }
}

static int read_leaf(const FileBytes *file, CertFacts *ret, Error *reterr)
{
        _cleanup_(cert_list_done) CertList chain = {0};
        int r = cert_list_parse(file->data, file->size, &chain, reterr);

        return r < 0 ? r : cert_facts(chain.items[0], ret, reterr);
}

int adoption_judge(const Store *store, const FileBytes files[POLICY_FILES],
                   const int codes[POLICY_FILES], ObservedSet *ret,
                   uint8_t (**ret_anchors)[CERT_KEY_ID], size_t *ret_n_anchors, Error *reterr)
{
        bool is_judged = !store->is_current_foreign;
        int r = 0;

        for (size_t i = 0; i < POLICY_FILES; i++)
                is_judged &= codes[i] == 0 || codes[i] == -ENOENT;
        if (codes[POLICY_CERTIFICATE] == 0) {
                ret->has_leaf = read_leaf(&files[POLICY_CERTIFICATE], &ret->leaf, NULL) == 0;
                is_judged &= ret->has_leaf;
        }
        if (codes[POLICY_TRUST] == 0)
                r = anchors_parse(&files[POLICY_TRUST], ret_anchors, ret_n_anchors, reterr);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !is_judged)
                ret->defects |= SET_UNJUDGED;
        return 0;
}

/* What was consented to is what pgcertd judged: that the files did not change since then. */
static int check_leaf(const Adoption *adoption, const uint8_t leaf[CERT_FINGERPRINT], Error *reterr)
{
        const char *directory = adoption->store.certificate->directory;
        CertFacts facts = {0};
        int r = 0;

        if (adoption->store.is_current_foreign)
                return error_set(reterr, EEXIST,
                                 "%s/" STORE_CURRENT " is not pgcertd's HINT: Move it away.",
                                 directory);
        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++)
                if (adoption->codes[i] < 0 && adoption->codes[i] != -ENOENT)
                        r = error_set(reterr, -adoption->codes[i], "cannot read %s/%s: %s",
                                      directory, adoption->store.certificate->files[i],
                                      strerror(-adoption->codes[i]));
        if (r == 0 && adoption->codes[POLICY_CERTIFICATE] == 0)
                r = read_leaf(&adoption->files[POLICY_CERTIFICATE], &facts, reterr);
        if (r == 0 && memcmp(facts.sha256, leaf, CERT_FINGERPRINT) != 0)
                r = error_set(reterr, ESTALE, "the certificate in %s was changed meanwhile",
                              directory);
        return r;
}

/* Whether current names these very bytes already: what a crash after its switch leaves. */
static bool is_copied(const Adoption *adoption)
{
        const Store *store = &adoption->store;
        bool is_same = store->current_fd >= 0 && store->manifest.is_adopted;

        for (PolicyFile i = 0; i < POLICY_FILES && is_same; i++) {
                _cleanup_(file_bytes_done) FileBytes copy = {0};
                const FileBytes *file = &adoption->files[i];
                int r = fdio_read(store->current_fd, store->certificate->files[i], CERT_FILE_MAX,
                                  &copy, NULL);

                is_same = r == adoption->codes[i] &&
                          (r < 0 || (copy.size == file->size &&
                                     memcmp(copy.data, file->data, copy.size) == 0));
        }
        return is_same;
}

/* The copy is of this user. A key of his own keeps its mode where PostgreSQL and libpq take it;
 * any other, one that root lent to a group included, gets the policy's. */
static FileMode copy_mode(const Adoption *adoption, PolicyFile file)
{
        const struct stat *stat = &adoption->files[file].stat;
        FileMode mode = store_file_mode(adoption->store.certificate, file);

        if (file == POLICY_KEY && stat->st_uid == geteuid() &&
            (stat->st_mode & (S_IRWXG | S_IRWXO)) == 0)
                mode = (FileMode){.mode = stat->st_mode & S_IRWXU, .group = stat->st_gid};
        mode.sync = true;
        return mode;
}

/* The key is as old as its file: nobody tells better, and a restored backup keeps that time. */
static int write_manifest(const Adoption *adoption, Error *reterr)
{
        static const FileMode mode = {.mode = 0644, .group = (gid_t)-1, .sync = true};
        int64_t made = adoption->files[POLICY_KEY].stat.st_mtim.tv_sec * USEC_PER_SEC;
        _cleanup_(text_done) Text text = {0};

        if (adoption->codes[POLICY_KEY] < 0 || made > adoption->now_usec)
                made = adoption->now_usec;
        manifest_format(adoption->store.certificate, &adoption->store.manifest, made, &text);
        text_add(&text, MANIFEST_ADOPTED "\n");
        if (text_check(&text, reterr) < 0)
                return -ENOMEM;
        return fdio_create(adoption->fd, MANIFEST_NAME, text.data, text.size, &mode, reterr);
}

/* The manifest comes first: from then on a crash leaves something that is known to be ours. */
static int write_copies(Adoption *adoption, Error *reterr)
{
        int r = write_manifest(adoption, reterr);

        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++) {
                const FileBytes *file = &adoption->files[i];
                FileMode mode = copy_mode(adoption, i);

                if (adoption->codes[i] == 0)
                        r = fdio_create(adoption->fd, adoption->store.certificate->files[i],
                                        file->data, file->size, &mode, reterr);
        }
        if (r == 0)
                r = fdio_sync(adoption->fd, "the generation's directory", reterr);
        if (r == 0 && fchmod(adoption->fd, STORE_MODE_OPEN) < 0)
                r = error_set(reterr, errno, "cannot set the mode of a generation: %m");
        return r;
}

/* Number 0 is for a first take-over alone. What an earlier try left is not used and not removed
 * here, for a name of somebody else's might lead into it; it goes with the next pruning. */
static int make_generation(Adoption *adoption, Error *reterr)
{
        const Store *store = &adoption->store;
        char name[STORE_NAME_MAX];
        int r;

        adoption->number = store->n_numbers == 0 && !store->has_current ? 0 : store_next(store);
        if (mkdirat(store->fd, store_generation_name(adoption->number, name), 0700) < 0)
                return error_set(reterr, errno, "cannot make %s: %m", name);
        r = fdio_open_directory(store->fd, name, &adoption->fd, reterr);
        if (r == 0)
                r = write_copies(adoption, reterr);
        if (r == 0)
                r = fdio_sync(store->fd, store->certificate->directory, reterr);
        if (r < 0)
                removal_generation(store, adoption->number, NULL);
        return r;
}

/* The link is made where no reader looks, and a crash leaves it under a name that we know. */
static int link_name(const Adoption *adoption, PolicyFile file, Error *reterr)
{
        const char *name = adoption->store.certificate->files[file];
        _cleanup_(text_done) Text target = {0};

        if (adoption->codes[file] < 0 || store_has_link(&adoption->store, file))
                return 0;
        text_addf(&target, STORE_CURRENT "/%s", name);
        if (text_check(&target, reterr) < 0)
                return -ENOMEM;
        if (unlinkat(adoption->fd, STORE_ADOPTING, 0) < 0 && errno != ENOENT)
                return error_set(reterr, errno, "cannot remove " STORE_ADOPTING ": %m");
        if (symlinkat(text_content(&target), adoption->fd, STORE_ADOPTING) < 0 ||
            renameat(adoption->fd, STORE_ADOPTING, adoption->store.fd, name) < 0)
                return error_set(reterr, errno, "cannot make the link %s: %m", name);
        return 0;
}

static int switch_current(const Adoption *adoption, Error *reterr)
{
        char name[STORE_NAME_MAX];

        store_generation_name(adoption->number, name);
        return fdio_symlink(adoption->store.fd, name, STORE_CURRENT, reterr);
}

static int take_names(Adoption *adoption, Error *reterr)
{
        const Store *store = &adoption->store;
        int r = 0;

        if (is_copied(adoption)) {
                adoption->number = store->current;
                adoption->fd = fcntl(store->current_fd, F_DUPFD_CLOEXEC, 3);
                r = adoption->fd < 0 ? error_set(reterr, errno, "cannot open a descriptor: %m") : 0;
        } else {
                r = make_generation(adoption, reterr);
                if (r == 0)
                        r = switch_current(adoption, reterr);
        }
        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++)
                r = link_name(adoption, i, reterr);
        return r < 0 ? r : fdio_sync(store->fd, store->certificate->directory, reterr);
}

static int adopt(Adoption *adoption, Error *reterr)
{
        const Store *store = &adoption->store;
        int r = 0;

        adoption->number = store->current;
        removal_temporary(store);
        if (store->state == SET_FOREIGN)
                r = take_names(adoption, reterr);
        if (r == 0)
                r = service_take(store->fd, store->certificate, adoption->number, reterr);
        return r < 0 ? r : 0;
}

int adoption_run(const PolicyCertificate *certificate, const uint8_t leaf[CERT_FINGERPRINT],
                 int64_t now_usec, uint32_t *ret_generation, Error *reterr)
{
        _cleanup_(adoption_done)
                Adoption adoption = {.store = STORE_EMPTY, .now_usec = now_usec, .fd = -1};
        int r = store_open(certificate, STORE_WRITE, &adoption.store, reterr);

        if (r < 0)
                return r;
        if (adoption.store.state == SET_FOREIGN) {
                adoption_read(&adoption.store, adoption.files, adoption.codes);
                r = check_leaf(&adoption, leaf, reterr);
        }
        if (r == 0)
                r = adopt(&adoption, reterr);
        if (r < 0)
                error_prefix(reterr, "%s cannot be taken over", certificate->directory);
        else
                *ret_generation = adoption.number;
        return r;
}
