#include "common/policyfiles.h"

#include "common/policymodel.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DIRECTORY "conf.d"
#define SUFFIX ".yaml"

void policyfiles_done(PolicyFiles *files)
{
        for (size_t i = 0; i < files->n; i++) {
                free(files->paths[i]);
                if (files->bytes)
                        file_bytes_done(&files->bytes[i]);
        }
        free(files->paths);
        free(files->bytes);
        *files = (PolicyFiles){0};
}

static int add_path(PolicyFiles *files, char *path, Error *reterr)
{
        char **paths = path ? reallocarray(files->paths, files->n + 1, sizeof *paths) : NULL;

        if (!paths) {
                free(path);
                return error_oom(reterr);
        }
        files->paths = paths;
        files->paths[files->n++] = path;
        return 0;
}

static bool is_fragment(const char *name)
{
        size_t size = strlen(name), suffix = strlen(SUFFIX);

        /* Hidden ones are what editors and package managers leave behind. */
        return name[0] != '.' && size > suffix && strcmp(name + size - suffix, SUFFIX) == 0;
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void closedirp(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}

static int list_directory(PolicyFiles *files, const char *directory, Error *reterr)
{
        _cleanup_(closedirp) DIR *stream = opendir(directory);
        const struct dirent *entry;
        char *path;
        int r;

        if (!stream)
                return errno == ENOENT ? 0
                                       : error_at(reterr, errno, directory, 0, 0,
                                                  "cannot be read: %s", strerror(errno));
        while ((errno = 0, entry = readdir(stream))) {
                if (!is_fragment(entry->d_name))
                        continue;
                if (files->n > POLICY_FILES_MAX)
                        return error_at(reterr, E2BIG, directory, 0, 0,
                                        "more than %d files. HINT: Put several objects into one.",
                                        POLICY_FILES_MAX);
                if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
                        path = NULL;
                r = add_path(files, path, reterr);
                if (r < 0)
                        return r;
        }
        if (errno)
                return error_at(reterr, errno, directory, 0, 0, "cannot be read: %s",
                                strerror(errno));
        if (files->n > 1)
                qsort(files->paths + 1, files->n - 1, sizeof *files->paths, compare);
        return 0;
}

static int list(const char *file, PolicyFiles *files, Error *reterr)
{
        _cleanup_(freep) char *directory = NULL;
        const char *slash = strrchr(file, '/');
        int r = add_path(files, strdup(file), reterr);

        if (r < 0)
                return r;
        if (asprintf(&directory, "%.*s" DIRECTORY, slash ? (int)(slash + 1 - file) : 0, file) < 0) {
                directory = NULL;
                return error_oom(reterr);
        }
        return list_directory(files, directory, reterr);
}

/* The error names the file by itself. */
static int read_file(PolicyFiles *files, size_t i, size_t *room, Error *reterr)
{
        const char *path = files->paths[i];
        int r = fdio_read_followed(path, *room, &files->bytes[i], reterr);

        if (r == -EFBIG)
                return error_at(reterr, EFBIG, path, 0, 0,
                                "more than 8 MiB, all files together. HINT: Split the policy.");
        if (r < 0)
                return r;
        *room -= files->bytes[i].size;
        return 0;
}

int policyfiles_read(const char *file, PolicyFiles *ret, Errors *errors)
{
        _cleanup_(policyfiles_done) PolicyFiles files = {0};
        size_t room = POLICY_FILE_MAX;
        int first = 0;
        Error error;

        if (list(file, &files, &error) < 0)
                return errors_add(errors, &error);
        files.bytes = calloc(files.n, sizeof *files.bytes);
        if (!files.bytes) {
                error_oom(&error);
                return errors_add(errors, &error);
        }
        for (size_t i = 0; i < files.n; i++)
                if (read_file(&files, i, &room, &error) < 0) {
                        errors_add(errors, &error);
                        first = first ? first : -error.code;
                }
        if (first)
                return first;
        *ret = files;
        files = (PolicyFiles){0};
        return 0;
}

static uint64_t hash(uint64_t state, const void *data, size_t size)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < size; i++)
                state = (state ^ p[i]) * UINT64_C(0x100000001B3);
        return state;
}

static uint64_t hash_sized(uint64_t state, const void *data, size_t size)
{
        uint64_t length = size;

        return hash(hash(state, &length, sizeof length), data, size);
}

/* Names and lengths count, so that bytes which move from one file to the next change the tag. It is
 * against skew between programs, not against attack. */
uint64_t policyfiles_tag(const PolicyFiles *files)
{
        uint64_t state = UINT64_C(0xCBF29CE484222325);

        for (size_t i = 0; i < files->n; i++) {
                const char *slash = strrchr(files->paths[i], '/');
                const char *name = slash ? slash + 1 : files->paths[i];

                state = hash_sized(state, name, strlen(name));
                state = hash_sized(state, files->bytes[i].data, files->bytes[i].size);
        }
        return state;
}
