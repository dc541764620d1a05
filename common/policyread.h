/*
 * From the files' trees to objects, as they are written: defaults and references come later.
 */
#pragma once

#include "common/policydraft.h"

/* Fills draft->policy and draft->nodes. What is wrong is added to draft->errors; -ENOMEM alone is
 * returned. */
int policyread_trees(PolicyDraft *draft);
