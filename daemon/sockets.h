/*
 * The sockets where systemd listens for the signer and for each owner's worker: their paths, and
 * which command makes one that is missing.
 */
#pragma once

#include "common/policy.h"

enum { SOCKETS_PATH_MAX = 256 };

/* RUNTIMEDIR/worker-OWNER.sock, or RUNTIMEDIR/signer.sock where owner is NULL. -ENAMETOOLONG. */
int sockets_path(const char *runtime_dir, const char *owner, char ret[SOCKETS_PATH_MAX],
                 Error *reterr);

/* Says in front of an error of connecting which program is not there and, where nobody listens, the
 * command that changes this. Returns -code. */
int sockets_explain(const char *owner, Error *reterr);

/* Whether there is the directory for them: tmpfiles.d of an installed service made it, before the
 * first start. */
bool sockets_are_due(const char *runtime_dir);

/* Adds a warning for each owner of the policy that has no socket. Without a socket of the signer,
 * the service was never started: then postgres is left out, whose worker comes with it. */
void sockets_check(const Policy *policy, const char *runtime_dir, Errors *warnings);
