#include "daemon/worker/staging.h"

#include "common/csr.h"
#include "common/key.h"
#include "daemon/worker/pair.h"
#include "daemon/worker/removal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { STAGING_KEY_MAX = 65536 };

/* A key and its PEM, kept or new. */
typedef struct StagedKey {
        Key *key;
        KeyText made;   /* of a new one */
        FileBytes kept; /* of the published one */
        int64_t made_usec;
} StagedKey;

static void staged_key_done(StagedKey *key)
{
        key_free(key->key);
        key_text_done(&key->made);
        file_bytes_done(&key->kept);
}

int staging_discard(const Store *store, Error *reterr)
{
        int r = 0;

        removal_temporary(store);
        for (size_t i = 0; i < store->n_numbers && r >= 0; i++) {
                uint32_t number = store->numbers[i];

                if (store->has_current && number <= store->current)
                        continue;
                /* Of those that were refused the newest alone is of use. */
                if (!store_is_refused(store, number) || i + 1 < store->n_numbers)
                        r = removal_generation(store, number, reterr);
        }
        return r < 0 ? r : 0;
}

static bool is_same(const Store *store, const char *published, const void *data, size_t size,
                    const FileMode *mode)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};

        return fdio_read(store->current_fd, published, CERT_FILE_MAX, &bytes, NULL) == 0 &&
               bytes.size == size && memcmp(bytes.data, data, size) == 0 &&
               store_file_fits(&bytes.stat, mode);
}

/* A link to the published file where that is exactly what is wanted, else a new file: links may be
 * impossible (EMLINK, EXDEV, protected_hardlinks), and a copy is as good. */
static int place(const Store *store, int fd, const char *published, const char *name,
                 const void *data, size_t size, const FileMode *mode, Error *reterr)
{
        if (store->current_fd >= 0 && published && is_same(store, published, data, size, mode) &&
            linkat(store->current_fd, published, fd, name, 0) == 0)
                return 0;
        return fdio_create(fd, name, data, size, mode, reterr);
}

/* Whether the published leaf says that it is of another key: then nobody knows whose this one is.
 * A leaf that cannot be read says nothing. */
static bool is_strange(const Store *store, const Key *key)
{
        const char *name = store->manifest.files[POLICY_CERTIFICATE];
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList chain = {0};

        if (!name || fdio_read(store->current_fd, name, CERT_FILE_MAX, &bytes, NULL) < 0 ||
            cert_list_parse(bytes.data, bytes.size, &chain, NULL) < 0)
                return false;
        return !cert_has_key(chain.items[0], key);
}

/* The published key, where it can go on: 1, or 0 where a new one is needed. */
static int keep_key(const Store *store, StagedKey *ret)
{
        const char *name = store->manifest.files[POLICY_KEY];

        if (store->current_fd < 0)
                return 0;
        if (!name)
                name = store->certificate->files[POLICY_KEY];
        if (fdio_read(store->current_fd, name, STAGING_KEY_MAX, &ret->kept, NULL) < 0 ||
            key_parse(ret->kept.data, ret->kept.size, &ret->key, NULL) < 0)
                return 0;
        if (!key_is_type(ret->key, store->certificate->key) || is_strange(store, ret->key)) {
                ret->key = key_free(ret->key);
                return 0;
        }
        pair_remember(ret->kept.data, ret->kept.size, ret->key);
        ret->made_usec = store->manifest.key_made_usec;
        return 1;
}

static int choose_key(const Store *store, bool rekey, int64_t now_usec, StagedKey *ret,
                      Error *reterr)
{
        int r;

        if (!rekey && !store->certificate->rekey_always && keep_key(store, ret) > 0)
                return 0;
        file_bytes_done(&ret->kept);
        r = key_new(store->certificate->key, &ret->key, reterr);
        if (r < 0)
                return r;
        ret->made_usec = now_usec;
        r = key_format(ret->key, &ret->made, reterr);
        if (r == 0)
                pair_remember(ret->made.data, ret->made.size, ret->key);
        return r;
}

static int place_key(const Store *store, int fd, const StagedKey *key, Error *reterr)
{
        const PolicyCertificate *certificate = store->certificate;
        FileMode mode = store_file_mode(certificate, POLICY_KEY);
        const char *published = store->manifest.files[POLICY_KEY];

        if (!key->kept.data)
                return fdio_create(fd, certificate->files[POLICY_KEY], key->made.data,
                                   key->made.size, &mode, reterr);
        return place(store, fd, published ? published : certificate->files[POLICY_KEY],
                     certificate->files[POLICY_KEY], key->kept.data, key->kept.size, &mode, reterr);
}

static int place_manifest(const Store *store, int fd, int64_t key_made_usec, bool is_adopted,
                          Error *reterr)
{
        static const FileMode mode = {.mode = 0644, .group = (gid_t)-1};
        _cleanup_(text_done) Text text = {0};

        manifest_format(store->certificate, &store->manifest, key_made_usec, &text);
        if (is_adopted)
                text_add(&text, MANIFEST_ADOPTED "\n");
        if (text_check(&text, reterr) < 0)
                return -ENOMEM;
        return place(store, fd, MANIFEST_NAME, MANIFEST_NAME, text.data, text.size, &mode, reterr);
}

/* A server that restarts before it is told of a file's new name still finds the file. */
static int place_former_names(const Store *store, int fd, Error *reterr)
{
        for (PolicyFile i = 0; i < POLICY_FILES; i++) {
                const char *former = manifest_former(&store->manifest, store->certificate, i);

                if (former && symlinkat(store->certificate->files[i], fd, former) < 0 &&
                    errno != EEXIST)
                        return error_set(reterr, errno, "cannot make the link %s: %m", former);
        }
        return 0;
}

/* The manifest comes first: from then on a crash leaves something that is known to be ours. */
static int make_generation(const Store *store, uint32_t number, const StagedKey *key, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        if (mkdirat(store->fd, store_generation_name(number, name), 0700) < 0)
                return error_set(reterr, errno, "cannot make %s/%s: %m",
                                 store->certificate->directory, name);
        r = fdio_open_directory(store->fd, name, &fd, reterr);
        if (r == 0)
                r = place_manifest(store, fd, key->made_usec, false, reterr);
        if (r == 0)
                r = place_key(store, fd, key, reterr);
        if (r == 0)
                r = place_former_names(store, fd, reterr);
        if (r < 0) {
                removal_generation(store, number, NULL);
                error_prefix(reterr, "%s/%s", store->certificate->directory, name);
        }
        return r;
}

int staging_begin(const Store *store, bool rekey, int64_t now_usec, uint32_t *ret_number,
                  uint8_t **ret_csr, size_t *ret_csr_size, Error *reterr)
{
        _cleanup_(staged_key_done) StagedKey key = {0};
        _cleanup_(freep) uint8_t *csr = NULL;
        uint32_t number = store_next(store);
        size_t size;
        int r;

        r = choose_key(store, rekey, now_usec, &key, reterr);
        if (r >= 0)
                r = csr_format(key.key, &csr, &size, reterr);
        if (r >= 0)
                r = make_generation(store, number, &key, reterr);
        if (r < 0)
                return r;
        *ret_number = number;
        *ret_csr = TAKE_PTR(csr);
        *ret_csr_size = size;
        return 0;
}

static int list_format(const CertList *list, Text *text, Error *reterr)
{
        for (size_t i = 0; i < list->n; i++) {
                _cleanup_(freep) uint8_t *der = NULL;
                size_t size;
                int r = cert_format(list->items[i], &der, &size, reterr);

                if (r < 0)
                        return r;
                cert_add_pem(text, der, size);
        }
        return text_check(text, reterr);
}

/* The leaf must be of the key that lies there, or a reader would get a pair that does not match. */
static int check_pair(const Store *store, int fd, const CertList *chain, Error *reterr)
{
        const char *name = store->certificate->files[POLICY_KEY];
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        bool is_pair = false;
        int r = fdio_read(fd, name, STAGING_KEY_MAX, &bytes, reterr);

        if (r == 0)
                r = pair_check(bytes.data, bytes.size, chain->items[0], &is_pair, reterr);
        if (r < 0)
                return r;
        if (!is_pair)
                return error_set(reterr, EINVAL, "the certificate is not of the key in %s", name);
        return 0;
}

static int fill_file(const Store *store, int fd, PolicyFile file, const CertList *list,
                     Error *reterr)
{
        const char *name = store->certificate->files[file];
        const char *published = store->manifest.files[file];
        FileMode mode = store_file_mode(store->certificate, file);
        _cleanup_(text_done) Text text = {0};
        int r = list_format(list, &text, reterr);

        if (r < 0)
                return r;
        if (text.size == 0)
                return error_set(reterr, EINVAL, "there is no certificate for %s", name);
        if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                return error_set(reterr, errno, "cannot replace %s: %m", name);
        return place(store, fd, published, name, text.data, text.size, &mode, reterr);
}

/* A file of the published generation goes on as it is, byte for byte. */
static int keep_file(const Store *store, int fd, PolicyFile file, Error *reterr)
{
        const char *name = store->certificate->files[file];
        const char *published = store->manifest.files[file] ? store->manifest.files[file] : name;
        FileMode mode = store_file_mode(store->certificate, file);
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        int r = fdio_read(store->current_fd, published, CERT_FILE_MAX, &bytes, reterr);

        if (r == 0 && unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                r = error_set(reterr, errno, "cannot replace %s: %m", name);
        return r < 0 ? r : place(store, fd, published, name, bytes.data, bytes.size, &mode, reterr);
}

/* The key that was staged may be a new one; with the certificate that stays goes its own key, since
 * when it is, and whose making both are. */
static int keep_pair(const Store *store, int fd, Error *reterr)
{
        int r;

        if (store->current_fd < 0)
                return error_set(reterr, ENOENT,
                                 "nothing is published in %s whose certificate could stay",
                                 store->certificate->directory);
        r = unlinkat(fd, MANIFEST_NAME, 0) < 0
                    ? error_set(reterr, errno, "cannot replace %s: %m", MANIFEST_NAME)
                    : place_manifest(store, fd, store->manifest.key_made_usec,
                                     store->manifest.is_adopted, reterr);
        if (r == 0)
                r = keep_file(store, fd, POLICY_KEY, reterr);
        return r < 0 ? r : keep_file(store, fd, POLICY_CERTIFICATE, reterr);
}

int staging_fill(const Store *store, uint32_t number, const CertList *chain, const CertList *bundle,
                 Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        if (store->has_current && number <= store->current)
                return error_set(reterr, EINVAL, "%s/%s is published and stays as it is",
                                 store->certificate->directory,
                                 store_generation_name(number, name));
        r = store_open_generation(store, number, &fd, NULL, reterr);
        if (r == 0 && chain->n > 0)
                r = check_pair(store, fd, chain, reterr);
        if (r == 0)
                r = fill_file(store, fd, POLICY_TRUST, bundle, reterr);
        /* Last: with it the generation is whole, and publish takes it. */
        if (r == 0)
                r = chain->n > 0 ? fill_file(store, fd, POLICY_CERTIFICATE, chain, reterr)
                                 : keep_pair(store, fd, reterr);
        if (r < 0)
                error_prefix(reterr, "%s/%s", store->certificate->directory,
                             store_generation_name(number, name));
        return r;
}
