/*
 * Whole reads and writes by descriptor. Objects are reached below an open directory, links are
 * never followed, what is not a regular file or is larger than the limit is an error, and every
 * open is O_CLOEXEC. Existing files are never changed in place.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A file's bytes and what stat said of the descriptor they were read from. */
typedef struct FileBytes {
        uint8_t *data; /* a NUL follows that size does not count */
        size_t size;
        struct stat stat;
} FileBytes;

/* Wipes the bytes before they are freed: they may be a key. */
void file_bytes_done(FileBytes *bytes);

/* How a new file is made. */
typedef struct FileMode {
        mode_t mode;
        gid_t group; /* (gid_t)-1: as the file system gives it */
        bool sync;   /* fsync before it is closed */
} FileMode;

/* Opens a directory. path may be relative to directory_fd (AT_FDCWD allowed). With O_NOFOLLOW the
 * last component must not be a link; links further up are followed. Returns the descriptor. */
int fdio_open_directory(int directory_fd, const char *path, int *ret_fd, Error *reterr);

/* Calls visit for every entry of an open directory, "." and ".." too, until it fails; returns its
 * code then. A listing that ends early is an error, for what it left out may be what counts; so is
 * one of more than max entries (-E2BIG). The sentences do not name the directory. */
int fdio_each_entry(int directory_fd, unsigned max,
                    int (*visit)(const char *name, void *userdata, Error *reterr), void *userdata,
                    Error *reterr);

/* Reads a regular file whole, O_NOFOLLOW|O_NONBLOCK. -EFBIG over max, -EINVAL where it is no
 * regular file, -ELOOP for a link, -ENOENT where it is missing. */
int fdio_read(int directory_fd, const char *name, size_t max, FileBytes *ret, Error *reterr);

/* The same, but links are followed: for files that the administrator names. */
int fdio_read_followed(const char *path, size_t max, FileBytes *ret, Error *reterr);

/* Makes a new file (O_EXCL|O_NOFOLLOW), writes it, sets group and mode, syncs it if asked. On
 * failure nothing is left behind. -EEXIST where the name is taken. */
int fdio_create(int directory_fd, const char *name, const void *data, size_t size,
                const FileMode *mode, Error *reterr);

/* Replaces a file by rename: a synced new one under an unpredictable name, then rename and a sync
 * of the directory, whatever mode->sync says. A reader sees the old bytes or the new. Only a crash
 * leaves the new one behind, as ".NAME.16 hexadecimal digits". */
int fdio_replace(int directory_fd, const char *name, const void *data, size_t size,
                 const FileMode *mode, Error *reterr);

/* Makes a symlink that replaces name at once, by rename. The directory is not synced: the caller
 * has more to do there. */
int fdio_symlink(int directory_fd, const char *target, const char *name, Error *reterr);

/* Reads a link's text. -ENOENT missing, -EINVAL where it is no link. */
int fdio_readlink(int directory_fd, const char *name, char *buffer, size_t size, Error *reterr);

/* Syncs a file or directory; what names it in the error. */
int fdio_sync(int fd, const char *what, Error *reterr);

/* Writes all bytes, over short writes and EINTR. */
int fdio_write_all(int fd, const void *data, size_t size, const char *what, Error *reterr);
