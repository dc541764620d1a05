/*
 * postmaster.opts: how a postmaster was started last (PostgreSQL's CreateOptsFile()). With it the
 * same program can be asked what it would read at the next start, while none runs.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

/* The value of a setting by `postgres OPTIONS -D data_directory -C name`. -errno where it cannot be
 * asked: never started, another program, an error in its configuration, the deadline. */
int optsfile_ask(const char *data_directory, const char *name, int64_t deadline_usec, char *ret,
                 size_t size);
