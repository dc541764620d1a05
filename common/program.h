/*
 * What the worker and the signer have in common: arguments, hardening of the process, the reading
 * of the policy that their requests are judged by, and serving until idle.
 */
#pragma once

#include "common/policy.h"
#include "common/wire.h"

typedef struct Program {
        const char *policy_file;
        const char *state_dir; /* NULL where not given */
        Policy *policy;        /* the last reading; NULL before the first */
        int64_t looked_usec;   /* when the files were last seen to be so */
} Program;

/* Reads the arguments (--policy FILE, --state-dir DIR) and prepares the process: no root, no core
 * files, not dumpable, umask 077. Tells on the log what is wrong. */
int program_start(Program *program, const char *name, int argc, char *argv[]);
void program_done(Program *program);

/* Makes program->policy the policy with that tag: read again once where it is another one, or where
 * the files changed (looked at once a second). -ESTALE where the files are not what the sender has
 * read, -EINVAL where they are broken. */
int program_policy(Program *program, uint64_t tag, Error *reterr);

/* Where one of our programs is: beside the running executable, else in the compiled-in folder.
 * -ENOENT with a sentence where it is in neither. path has PATH_MAX bytes. */
int program_find(const char *name, char *path, Error *reterr);

/* Whether systemd has handed a socket over (sd_listen_fds(3)). */
bool program_is_activated(void);

/* Serves what the policy permits: the connection that is standard input, or those that come to the
 * socket handed over by systemd (sd_listen_fds(3)), one after another. Ends 1 s after the last
 * request, or at the end of the connection. Tells failures on the log; negative where the program
 * cannot go on. */
int program_serve(Program *program, const WireEntry *table, size_t n, void *userdata);
