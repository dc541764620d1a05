/*
 * What is wrong with an object by itself although each of its values is well formed: keys that do
 * not go together, and those that its use requires.
 */
#pragma once

#include "common/policydraft.h"

/* The policy is complete before, its owners are resolved. */
void policycheck_objects(PolicyDraft *draft);
