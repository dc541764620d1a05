#include "daemon/worker/ownfile.h"

#include "common/fdio.h"
#include "daemon/worker/likeness.h"

#include <errno.h>
#include <string.h>

static bool begins_with_our_line(const FileBytes *bytes)
{
        static const char line[] = OWNFILE_FIRST_LINE "\n";

        return bytes->size >= strlen(line) && memcmp(bytes->data, line, strlen(line)) == 0;
}

/* reterr is set for a foreign one: it also stands for what cannot be read, or is no plain file. */
static ConfigurationState judge(int directory_fd, const char *name, const Text *wanted,
                                const char *path, const char *adopt, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        unsigned line;
        Error why;
        int r = fdio_read(directory_fd, name, OWNFILE_MAX, &bytes, &why);

        if (r == -ENOENT)
                return CONFIGURATION_ABSENT;
        if (r == 0 && begins_with_our_line(&bytes))
                return wanted && bytes.size == wanted->size &&
                                       memcmp(bytes.data, wanted->data, bytes.size) == 0
                               ? CONFIGURATION_WANTED
                               : CONFIGURATION_STALE;
        if (r == 0 && wanted && !likeness_find(&bytes, wanted, &line)) {
                error_set(
                        reterr, EEXIST,
                        "%s is not pgcertd's: %s:%u is not a line that pgcertd would write HINT: "
                        "Move or remove what is there and not in the policy; to have pgcertd take "
                        "the file over then, run pgcertctl adopt %s --yes.",
                        path, path, line, adopt);
                return CONFIGURATION_FOREIGN;
        }
        error_set(reterr, EEXIST,
                  "%s is not pgcertd's: %s HINT: To have pgcertd take it over, run pgcertctl adopt "
                  "%s --yes.",
                  path, r < 0 ? why.text : "its first line is not \"" OWNFILE_FIRST_LINE "\"",
                  adopt);
        return r == 0 && wanted ? CONFIGURATION_FOREIGN_SAME : CONFIGURATION_FOREIGN;
}

ConfigurationState ownfile_observe(int directory_fd, const char *name, const Text *wanted,
                                   const char *path, const char *adopt, char **ret_problem)
{
        Error error = {0};
        ConfigurationState state = judge(directory_fd, name, wanted, path, adopt, &error);

        *ret_problem = error.code ? strdup(error.text) : NULL;
        return state;
}

static int write_file(int directory_fd, const char *name, const Text *wanted, const char *path,
                      const char *adopt, bool is_consented, Error *reterr)
{
        static const FileMode mode = {.mode = 0644, .group = (gid_t)-1};
        int r;

        if (text_check(wanted, reterr) < 0)
                return -ENOMEM;
        switch (judge(directory_fd, name, wanted, path, adopt, reterr)) {
        case CONFIGURATION_WANTED:
                return 0;
        case CONFIGURATION_FOREIGN:
                return -EEXIST;
        case CONFIGURATION_FOREIGN_SAME:
                if (!is_consented)
                        return -EEXIST;
                break;
        case CONFIGURATION_NONE:
        case CONFIGURATION_ABSENT:
        case CONFIGURATION_STALE:
        case CONFIGURATION_STATES:
                break;
        }
        r = fdio_replace(directory_fd, name, wanted->data, wanted->size, &mode, reterr);
        if (r < 0) {
                error_prefix(reterr, "%s", path);
                return r;
        }
        return 1;
}

int ownfile_write(int directory_fd, const char *name, const Text *wanted, const char *path,
                  const char *adopt, Error *reterr)
{
        return write_file(directory_fd, name, wanted, path, adopt, false, reterr);
}

int ownfile_take(int directory_fd, const char *name, const Text *wanted, const char *path,
                 const char *adopt, Error *reterr)
{
        return write_file(directory_fd, name, wanted, path, adopt, true, reterr);
}

int ownfile_remove(int directory_fd, const char *name, const char *path, Error *reterr)
{
        switch (judge(directory_fd, name, NULL, path, "CLUSTER", reterr)) {
        case CONFIGURATION_FOREIGN:
        case CONFIGURATION_FOREIGN_SAME:
                return -EEXIST;
        case CONFIGURATION_NONE:
        case CONFIGURATION_ABSENT:
                return 0;
        case CONFIGURATION_WANTED:
        case CONFIGURATION_STALE:
        case CONFIGURATION_STATES:
                break;
        }
        if (unlinkat(directory_fd, name, 0) < 0)
                return error_set(reterr, errno, "cannot remove %s: %m", path);
        if (fdio_sync(directory_fd, path, reterr) < 0)
                return -EIO;
        return 1;
}
