/*
 * Files are replaced and never changed in place, so that a reader has the old bytes or the new ones
 * whatever happens in between. The order is: write under another name, sync the file, rename, sync
 * the directory. Without the first sync a power cut can leave the new name with no bytes; without
 * the second the rename may be lost, and what was said to be done with it.
 */
#include "common/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Names under which a file waits for its rename: how often a taken one is tried again. */
enum { TEMPORARY_TRIES = 16, TEMPORARY_NAME_MAX = 300 };

void file_bytes_done(FileBytes *bytes)
{
        /* A file that was read may have been a key: nobody has to remember which. */
        if (bytes->data)
                explicit_bzero(bytes->data, bytes->size);
        free(bytes->data);
        *bytes = (FileBytes){0};
}

int fdio_open_directory(int directory_fd, const char *path, int *ret_fd, Error *reterr)
{
        int fd = openat(directory_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return error_set(reterr, errno, "cannot open the directory %s: %m", path);
        *ret_fd = fd;
        return 0;
}

int fdio_each_entry(int directory_fd, unsigned max,
                    int (*visit)(const char *name, void *userdata, Error *reterr), void *userdata,
                    Error *reterr)
{
        /* Opened anew: a stream takes its descriptor, and a position of its own. */
        int own = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *directory = own >= 0 ? fdopendir(own) : NULL;
        const struct dirent *entry;

        if (!directory) {
                r = error_set(reterr, errno, "cannot list the directory: %m");
                closep(&own);
                return r;
        }
        for (unsigned i = 0; r >= 0 && (errno = 0, entry = readdir(directory)); i++)
                r = i < max ? visit(entry->d_name, userdata, reterr)
                            : error_set(reterr, E2BIG, "more than %u entries in the directory",
                                        max);
        if (r >= 0 && errno != 0)
                r = error_set(reterr, errno, "cannot list the directory: %m");
        closedir(directory);
        return r;
}

static int read_descriptor(int fd, const char *name, size_t max, FileBytes *ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        size_t room;
        ssize_t n;

        if (fstat(fd, &bytes.stat) < 0)
                return error_set(reterr, errno, "cannot look at %s: %m", name);
        if (!S_ISREG(bytes.stat.st_mode))
                return error_set(reterr, EINVAL, "%s is not a regular file", name);
        if ((uint64_t)bytes.stat.st_size > max)
                return error_set(reterr, EFBIG, "%s is larger than %zu bytes", name, max);
        /* One byte more than expected is asked for: where it does not come, the same call that gave
         * the rest has met the file's end, and where it does, the file grows while it is read. */
        room = (size_t)bytes.stat.st_size + 1;
        bytes.data = malloc(room + 1);
        if (!bytes.data)
                return error_oom(reterr);
        do {
                n = read(fd, bytes.data + bytes.size, room - bytes.size);
                if (n < 0 && errno != EINTR)
                        return error_set(reterr, errno, "cannot read %s: %m", name);
                if (n > 0)
                        bytes.size += (size_t)n;
        } while (n != 0 && bytes.size + 1 < room);
        if (bytes.size == room)
                return error_set(reterr, EAGAIN, "%s grew while it was read", name);
        bytes.data[bytes.size] = '\0';
        *ret = bytes;
        bytes = (FileBytes){0};
        return 0;
}

/* O_NONBLOCK: a FIFO with no writer would hold the open up, and is refused only after it. */
static int read_with(int directory_fd, const char *name, int flags, size_t max, FileBytes *ret,
                     Error *reterr)
{
        _cleanup_(closep) int fd =
                openat(directory_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);

        /* The kernel's words for it speak of too many links. */
        if (fd < 0 && errno == ELOOP && (flags & O_NOFOLLOW))
                return error_set(reterr, ELOOP, "%s is a symbolic link", name);
        if (fd < 0)
                return error_set(reterr, errno, "cannot open %s: %m", name);
        return read_descriptor(fd, name, max, ret, reterr);
}

int fdio_read(int directory_fd, const char *name, size_t max, FileBytes *ret, Error *reterr)
{
        return read_with(directory_fd, name, O_NOFOLLOW, max, ret, reterr);
}

int fdio_read_followed(const char *path, size_t max, FileBytes *ret, Error *reterr)
{
        return read_with(AT_FDCWD, path, 0, max, ret, reterr);
}

int fdio_write_all(int fd, const void *data, size_t size, const char *what, Error *reterr)
{
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_set(reterr, n < 0 ? errno : EIO, "cannot write %s: %s", what,
                                         strerror(n < 0 ? errno : EIO));
                p += n;
                size -= (size_t)n;
        }
        return 0;
}

int fdio_sync(int fd, const char *what, Error *reterr)
{
        if (fsync(fd) < 0)
                return error_set(reterr, errno, "cannot sync %s: %m", what);
        return 0;
}

static int fill(int fd, const char *name, const void *data, size_t size, const FileMode *mode,
                Error *reterr)
{
        int r = fdio_write_all(fd, data, size, name, reterr);

        if (r < 0)
                return r;
        if (mode->group != (gid_t)-1 && fchown(fd, (uid_t)-1, mode->group) < 0)
                return error_set(reterr, errno,
                                 "cannot give %s to the group %u: %m HINT: The owner must be a "
                                 "member of that group.",
                                 name, (unsigned)mode->group);
        /* After fchown(), which clears set-id bits; and past the umask. */
        if (fchmod(fd, mode->mode) < 0)
                return error_set(reterr, errno, "cannot set the mode of %s: %m", name);
        return mode->sync ? fdio_sync(fd, name, reterr) : 0;
}

int fdio_create(int directory_fd, const char *name, const void *data, size_t size,
                const FileMode *mode, Error *reterr)
{
        /* 0600 until fill() has set what is wanted: never wider than asked, not for a moment. */
        _cleanup_(closep) int fd = openat(
                directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return error_set(reterr, errno, "cannot create %s: %m", name);
        r = fill(fd, name, data, size, mode, reterr);
        if (r < 0)
                unlinkat(directory_fd, name, 0);
        return r;
}

/* Hidden and not to be guessed: whoever may write in the directory could lay a trap under a name
 * that can be. */
static void temporary_name(const char *name, char buffer[TEMPORARY_NAME_MAX])
{
        uint64_t random = 0;

        /* A guess that fails only costs another try: the open is O_EXCL. */
        if (getrandom(&random, sizeof random, 0) < 0)
                random = (uint64_t)getpid();
        snprintf(buffer, TEMPORARY_NAME_MAX, ".%.200s.%016llx", name, (unsigned long long)random);
}

int fdio_replace(int directory_fd, const char *name, const void *data, size_t size,
                 const FileMode *mode, Error *reterr)
{
        FileMode synced = *mode;
        char temporary[TEMPORARY_NAME_MAX];
        int r = -EEXIST;

        synced.sync = true;
        for (unsigned i = 0; i < TEMPORARY_TRIES && r == -EEXIST; i++) {
                temporary_name(name, temporary);
                r = fdio_create(directory_fd, temporary, data, size, &synced, reterr);
        }
        if (r < 0)
                return r;
        if (renameat(directory_fd, temporary, directory_fd, name) < 0) {
                r = error_set(reterr, errno, "cannot rename %s to %s: %m", temporary, name);
                unlinkat(directory_fd, temporary, 0);
                return r;
        }
        return fdio_sync(directory_fd, "the directory", reterr);
}

int fdio_symlink(int directory_fd, const char *target, const char *name, Error *reterr)
{
        char temporary[TEMPORARY_NAME_MAX];
        int r = -1;

        errno = EEXIST;
        for (unsigned i = 0; i < TEMPORARY_TRIES && r < 0 && errno == EEXIST; i++) {
                temporary_name(name, temporary);
                r = symlinkat(target, directory_fd, temporary);
        }
        if (r < 0)
                return error_set(reterr, errno, "cannot make the link %s: %m", name);
        if (renameat(directory_fd, temporary, directory_fd, name) < 0) {
                r = error_set(reterr, errno, "cannot rename a link to %s: %m", name);
                unlinkat(directory_fd, temporary, 0);
                return r;
        }
        return 0;
}

int fdio_readlink(int directory_fd, const char *name, char *buffer, size_t size, Error *reterr)
{
        ssize_t n = readlinkat(directory_fd, name, buffer, size);

        if (n < 0)
                return error_set(reterr, errno, "cannot read the link %s: %m", name);
        if ((size_t)n >= size)
                return error_set(reterr, ENAMETOOLONG, "the link %s has too long a text", name);
        buffer[n] = '\0';
        return 0;
}
