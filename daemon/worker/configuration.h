/*
 * The small files that name our files to others: a cluster's `configuration` (the settings that
 * turn TLS on) and a client's libpq service file. Both are functions of the policy alone and begin
 * with our first line; a file that does not is foreign and is never touched.
 */
#pragma once

#include "common/observation.h"
#include "common/policy.h"

#define CONFIGURATION_FIRST_LINE "# made by pgcertd"

/* The content wanted: ssl = on and the paths of the fixed names, one `name = 'absolute path'` a
 * line from column 1. ssl_ca_file only where the cluster asks for client certificates; otherwise it
 * is set to ''. Quotes in paths are doubled (PostgreSQL's guc-file.l). */
void configuration_format(const PolicyCluster *cluster, Text *text);

/* The service file (libpq: PQservicefile format): [name], then the parameters as written, user,
 * sslmode=verify-full, sslcert, sslkey, sslrootcert. With rekey: always the paths are inside
 * generation (a libpq client then never sees half of a rekey), otherwise the fixed names. */
void service_format(const PolicyCertificate *certificate, uint32_t generation, Text *text);

ConfigurationState configuration_observe(const PolicyCluster *cluster, char **ret_problem);

/* Writes it (fdio_replace, 0644). 0 where it was as wanted already, 1 where written. -EEXIST for a
 * foreign one. */
int configuration_write(const PolicyCluster *cluster, Error *reterr);

/* Removes ours, for putting back a first turn-on. 1 where removed. */
int configuration_remove(const PolicyCluster *cluster, Error *reterr);

/* The same for the service file; directory_fd is the certificate's directory. */
ConfigurationState service_observe(int directory_fd, const PolicyCertificate *certificate,
                                   uint32_t generation, char **ret_problem);
int service_write(int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                  Error *reterr);
