#include "daemon/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int sockets_path(const char *runtime_dir, const char *owner, char ret[SOCKETS_PATH_MAX],
                 Error *reterr)
{
        int n = owner ? snprintf(ret, SOCKETS_PATH_MAX, "%s/worker-%s.sock", runtime_dir, owner)
                      : snprintf(ret, SOCKETS_PATH_MAX, "%s/signer.sock", runtime_dir);

        return n < SOCKETS_PATH_MAX ? 0
                                    : error_set(reterr, ENAMETOOLONG,
                                                "the runtime directory's path is too long");
}

int sockets_explain(const char *owner, Error *reterr)
{
        Error error;

        if (!reterr)
                return -EIO;
        error = *reterr;
        /* A socket unit that is not enabled, or one that was stopped or has failed. */
        if (error.code != ENOENT && error.code != ECONNREFUSED)
                return owner ? error_prefix(reterr, "no worker for %s", owner)
                             : error_prefix(reterr, "no signer");
        if (owner)
                return error_set(reterr, error.code,
                                 "no worker for %s: %s HINT: Run: systemctl enable --now "
                                 "pgcertd-worker@%s.socket",
                                 owner, error.text, owner);
        return error_set(reterr, error.code,
                         "no signer: %s HINT: Run: systemctl restart pgcertd-signer.socket",
                         error.text);
}

static bool is_there(const char *runtime_dir, const char *owner)
{
        char path[SOCKETS_PATH_MAX];
        struct stat stat;

        return sockets_path(runtime_dir, owner, path, NULL) >= 0 && lstat(path, &stat) == 0 &&
               S_ISSOCK(stat.st_mode);
}

bool sockets_are_due(const char *runtime_dir)
{
        struct stat stat;

        return lstat(runtime_dir, &stat) == 0 && S_ISDIR(stat.st_mode);
}

/* Whether an earlier certificate has the same owner: each is told once. */
static bool is_seen(const Policy *policy, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (policy->certificates[i].owner_uid == policy->certificates[index].owner_uid)
                        return true;
        return false;
}

void sockets_check(const Policy *policy, const char *runtime_dir, Errors *warnings)
{
        bool was_started = is_there(runtime_dir, NULL);

        for (size_t i = 0; i < policy->n_certificates; i++) {
                const char *owner = policy->certificates[i].owner;
                Error error;

                if (is_seen(policy, i) || is_there(runtime_dir, owner) ||
                    (!was_started && strcmp(owner, "postgres") == 0))
                        continue;
                error_set(&error, ENOENT, "there is no socket in %s", runtime_dir);
                sockets_explain(owner, &error);
                errors_add(warnings, &error);
        }
}
