/*
 * The signer's state directory: made where it is missing, locked while the program runs.
 */
#pragma once

#include "common/error.h"

typedef struct State {
        int fd;
        int lock_fd;
} State;

/* Opens the directory, made 0700 where it is missing, and takes DIR/lock, waiting at most wait_usec
 * for another signer. -EWOULDBLOCK then; the sentence names its process. */
int state_open(const char *path, int64_t wait_usec, State *ret, Error *reterr);
void state_close(State *state);
