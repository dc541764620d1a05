/*
 * One pgcertd for one state directory: the directories, and the lock that a second instance meets.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>
#include <sys/types.h>

/* Makes a directory with that mode where it is missing; its parent must be there. An existing one
 * is accepted as it is. */
int instance_directory(const char *path, mode_t mode, Error *reterr);

/* Takes the lock of a state directory for the life of the returned descriptor, waiting wait_usec
 * for another instance that is about to end. -EWOULDBLOCK with a sentence that names its pid. */
int instance_lock(const char *state_dir, int64_t wait_usec, int *ret_fd, Error *reterr);
