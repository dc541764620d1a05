/*
 * The signer's state directory: made when a CA is, locked while the program runs: whoever has
 * the lock cleans up what a crash has left, and may.
 */
#pragma once

#include "common/error.h"

typedef struct State {
        int fd;
        int lock_fd; /* the lock is held as long as it is open */
} State;

/* Opens the directory, made 0700 where it is missing and `make`, and takes DIR/lock, waiting at
 * most wait_usec for another signer: -EWOULDBLOCK then, and the sentence names its process. -ENOENT
 * where it is missing and not to be made. */
int state_open(const char *path, bool make, int64_t wait_usec, State *ret, Error *reterr);
void state_close(State *state);
