/*
 * A cluster's `configuration`: the small file with the settings that turn TLS on. It is a function
 * of the policy alone and begins with our first line; a file that does not is foreign and is never
 * touched.
 */
#pragma once

#include "common/observation.h"
#include "common/policy.h"

#define CONFIGURATION_FIRST_LINE "# made by pgcertd"

/* The content wanted: ssl = on and the paths of the fixed names, one `name = 'absolute path'` a
 * line from column 1. ssl_ca_file only where the cluster asks for client certificates; otherwise it
 * is set to ''. Quotes and backslashes in paths are doubled (PostgreSQL's guc-file.l). */
void configuration_format(const PolicyCluster *cluster, Text *text);

/* The problem is new, for a foreign one or one that cannot be looked at; NULL otherwise. */
ConfigurationState configuration_observe(const PolicyCluster *cluster, char **ret_problem);

/* Writes it (fdio_replace, 0644). 0 where it was as wanted already, or where none is wanted, 1
 * where written. -EEXIST for a foreign one, unless the user has consented and it sets nothing else
 * than ours would. */
int configuration_write(const PolicyCluster *cluster, bool is_consented, Error *reterr);

/* Removes ours, for putting back a first turn-on. 1 where removed. */
int configuration_remove(const PolicyCluster *cluster, Error *reterr);
