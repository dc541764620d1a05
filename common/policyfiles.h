/*
 * The bytes of a policy: its file and conf.d/ beside it, in order, and their tag.
 */
#pragma once

#include "common/fdio.h"

typedef struct PolicyFiles {
        char **paths; /* the first is the policy's own */
        FileBytes *bytes;
        size_t n;
} PolicyFiles;

/* Reads them whole. What cannot be read is added to errors; returns the first error's code. */
int policyfiles_read(const char *file, PolicyFiles *ret, Errors *errors);
void policyfiles_done(PolicyFiles *files);

/* FNV-1a, 64 bits, over each file's name (below the first's directory) and bytes with their
 * lengths. */
uint64_t policyfiles_tag(const PolicyFiles *files);
