/*
 * Cross-checks: what is wrong with objects that are each well formed.
 */
#pragma once

#include "common/policydraft.h"

/* The policy is complete before. -ENOMEM alone is returned. */
int policycheck_objects(PolicyDraft *draft); /* each object by itself */
