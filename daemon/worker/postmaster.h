/*
 * The postmaster of a data directory: found by postmaster.pid (PostgreSQL's pidfile.h), signalled
 * only when it is shown to be that one. Runs as the database's user.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>
#include <sys/types.h>

enum { POSTMASTER_TEXT_MAX = 256 };

typedef struct Postmaster {
        pid_t pid;
        int64_t started_sec; /* line 3 of postmaster.pid */
        uint16_t port;
        char socket_directory[POSTMASTER_TEXT_MAX]; /* "" for none */
        char address[POSTMASTER_TEXT_MAX]; /* where TCP is reached: wildcards as loopback; "" for
                                              none */
        char status[16]; /* "ready", "starting", "stopping", "standby"; may be "" */
} Postmaster;

typedef enum PostmasterOutcome {
        POSTMASTER_ABSENT,   /* no data directory */
        POSTMASTER_DOWN,     /* no pid file, or a stale one */
        POSTMASTER_STARTING, /* its sockets are not open yet */
        POSTMASTER_RUNNING,
        POSTMASTER_SINGLE,    /* single-user mode: a negative pid */
        POSTMASTER_ELSEWHERE, /* the pid is of another pid namespace, or not ours to see */
} PostmasterOutcome;

/* Looks. A pid file that is being written is read again for a short while. */
int postmaster_find(const char *data_directory, PostmasterOutcome *ret_outcome, Postmaster *ret,
                    Error *reterr);

/* Sends SIGHUP by pidfd, after these were shown: pid > 1, its working directory is the data
 * directory, its executable is called postgres, its start fits line 3, the pid file still says the
 * same. -ESRCH where it is not that postmaster any more. */
int postmaster_reload(const char *data_directory, const Postmaster *postmaster, Error *reterr);
