/*
 * The user's consents to take foreign files over, kept in DIR/consents until they are used: a crash
 * or a restart in between must not ask for them again. A line each, with the place that was meant,
 * so that a policy that names another place later does not inherit one:
 *
 *   certificate server /etc/postgresql/ssl
 *   cluster main /etc/postgresql/15/main/conf.d/pgcertd.conf
 */
#pragma once

#include "daemon/memory.h"

/* Marks those of the policy's objects in memory. A file that is missing, or cannot be read, holds
 * none: then the user is asked again. */
void consents_load(const char *state_dir, const Policy *policy, Memory *memory);

/* Makes the file say what memory does, synced; without any there is none. */
int consents_save(const char *state_dir, const Policy *policy, const Memory *memory, Error *reterr);
