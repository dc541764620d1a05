/*
 * A client's libpq service file, beside its certificate: a function of the policy (and of the
 * generation with `rekey: always`). It begins with our first line; one that does not is foreign and
 * is never touched.
 */
#pragma once

#include "common/fdio.h"
#include "common/observation.h"
#include "common/policy.h"

/* The content (libpq: PQservicefile format): [name], then the parameters as written, user,
 * sslmode=verify-full, sslcert, sslkey, sslrootcert. With rekey: always the paths are inside
 * generation (a libpq client then never sees half of a rekey), otherwise the fixed names. */
void service_format(const PolicyCertificate *certificate, uint32_t generation, Text *text);

/* directory_fd is the certificate's directory. CONFIGURATION_NONE where the policy wants none. */
ConfigurationState service_observe(int directory_fd, const PolicyCertificate *certificate,
                                   uint32_t generation, char **ret_problem);

/* Writes it (fdio_replace, 0644). 0 where it was as wanted already, or where none is wanted, 1
 * where written and the directory synced. -EEXIST for a foreign one. */
int service_write(int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                  Error *reterr);

/* The same with the user's consent: one of somebody else's with the same lines becomes ours.
 * -EEXIST for one with other lines. */
int service_take(int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                 Error *reterr);
