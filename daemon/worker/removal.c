#include "daemon/worker/removal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

void removal_temporary(const Store *store)
{
        char text[STORE_NAME_MAX];
        uint32_t number;

        if (store->temporary[0] != '\0' &&
            fdio_readlink(store->fd, store->temporary, text, sizeof text, NULL) == 0 &&
            store_parse_generation_name(text, &number))
                (void)unlinkat(store->fd, store->temporary, 0);
}

static int remove_name(int fd, const char *name, Error *reterr)
{
        if (!name || unlinkat(fd, name, 0) == 0 || errno == ENOENT || errno == EISDIR)
                return 0;
        return error_set(reterr, errno, "cannot remove %s: %m", name);
}

/* A crash between making the manifest and writing it leaves it empty, and nothing beside it. There
 * is nothing in it that could be lost, whoever made it. */
static int remove_empty_manifest(int fd, Error *reterr)
{
        struct stat st;

        if (fstatat(fd, MANIFEST_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size > 0)
                return 0;
        return remove_name(fd, MANIFEST_NAME, reterr);
}

/* Only a manifest of ours lets files be removed; an empty directory is what a crash right after
 * mkdir() or right before rmdir() leaves. */
static int remove_files(const Store *store, int fd, Error *reterr)
{
        _cleanup_(manifest_done) Manifest manifest = {0};
        char *const *own = store->certificate->files;
        int r = manifest_load(fd, &manifest, NULL, NULL);
        const char *const names[] = {
                manifest.files[POLICY_KEY],
                own[POLICY_KEY],
                manifest.files[POLICY_CERTIFICATE],
                own[POLICY_CERTIFICATE],
                manifest.files[POLICY_TRUST],
                own[POLICY_TRUST],
                manifest.former[POLICY_KEY],
                manifest.former[POLICY_CERTIFICATE],
                manifest.former[POLICY_TRUST],
                STORE_ADOPTING,
                STORE_REFUSED,
                MANIFEST_NAME,
        };

        if (r < 0)
                return remove_empty_manifest(fd, reterr);
        for (size_t i = 0; i < ELEMENTSOF(names) && r == 0; i++)
                r = remove_name(fd, names[i], reterr);
        return r;
}

int removal_generation(const Store *store, uint32_t number, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char name[STORE_NAME_MAX];
        int r;

        r = fdio_open_directory(store->fd, store_generation_name(number, name), &fd, NULL);
        if (r < 0)
                return 0;
        r = remove_files(store, fd, reterr);
        if (r < 0) {
                error_prefix(reterr, "%s/%s", store->certificate->directory, name);
                return r;
        }
        if (unlinkat(store->fd, name, AT_REMOVEDIR) == 0)
                return 1;
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT)
                return 0;
        return error_set(reterr, errno, "cannot remove %s/%s: %m", store->certificate->directory,
                         name);
}
