/*
 * Owners and groups of a policy, looked up in the user database: each name once, however many
 * certificates have it.
 */
#pragma once

#include "common/policydraft.h"

/* Fills owner_uid and group_gid, and writes an owner given by number as its name. Refuses root and
 * what does not exist. -ENOMEM alone is returned. */
int policyuser_resolve(PolicyDraft *draft);
