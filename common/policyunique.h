/*
 * Names and paths that may stand in a policy only once, and paths that must lie apart.
 */
#pragma once

#include "common/policydraft.h"

/* Refuses objects of one name, and paths used twice or inside a data directory. The objects are
 * sorted before. -ENOMEM alone is returned. */
int policyunique_check(PolicyDraft *draft);
