/*
 * One program at a time: flock(2), which the kernel ends with the descriptor, so that no crash
 * leaves anything to clean up. A lock is on a directory itself, or on the file "lock" in one.
 */
#pragma once

#include "common/clock.h"
#include "common/error.h"

/* How long a new instance waits for the one that is about to end. */
#define LOCK_WAIT_USEC (5 * USEC_PER_SEC)

/* Locks an open directory or file; path names it in errors. -EWOULDBLOCK where somebody else has it
 * after wait_usec; the sentence then says which process, where that can be known. */
int lock_take(int fd, const char *path, int64_t wait_usec, Error *reterr);

/* Opens the file "lock" in the directory, made 0600 where it is missing, and locks it. The process
 * is written into it for the sentence that the next one is told: what counts is the lock alone. */
int lock_open(int directory_fd, const char *directory, int64_t wait_usec, int *ret_fd,
              Error *reterr);
