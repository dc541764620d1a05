/*
 * One writer at a time in a directory: flock(2) on its descriptor, which ends with the descriptor.
 */
#pragma once

#include "common/error.h"

/* Waits at most 5 s; -EWOULDBLOCK then, and the sentence says who has it where the kernel tells. */
int lock_directory(int fd, const char *path, Error *reterr);
