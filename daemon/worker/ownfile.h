/*
 * A small file that is ours by its first line, and whose content is a function of the policy: what
 * `configuration` and `service` have in common.
 */
#pragma once

#include "common/observation.h"
#include "common/text.h"

#define OWNFILE_FIRST_LINE "# made by pgcertd"

enum { OWNFILE_MAX = 65536 };

/* Compares the file below the directory with what is wanted. problem is new for a foreign one
 * (CONFIGURATION_FOREIGN_SAME where it only lacks our first line),
 * where it says path and adopt, what `pgcertctl adopt` would have to be told; NULL otherwise. */
ConfigurationState ownfile_observe(int directory_fd, const char *name, const Text *wanted,
                                   const char *path, const char *adopt, char **ret_problem);

/* Replaces or makes it, 0644. 0 where it was as wanted already, 1 where written and the directory
 * synced. -EEXIST for a foreign one. */
int ownfile_write(int directory_fd, const char *name, const Text *wanted, const char *path,
                  const char *adopt, Error *reterr);

/* The same with the user's consent: a foreign one that holds no line of its own is replaced, too.
 */
int ownfile_take(int directory_fd, const char *name, const Text *wanted, const char *path,
                 const char *adopt, Error *reterr);

/* Removes it where it is ours, whatever its content; 1 where removed and synced. */
int ownfile_remove(int directory_fd, const char *name, const char *path, Error *reterr);
