/*
 * Completes the objects: defaults, references by name, the CN of a subject, usual file names.
 */
#pragma once

#include "common/policydraft.h"

/* The policy's objects are sorted before (policymodel_sort). -ENOMEM alone is returned. */
int policycomplete_policy(PolicyDraft *draft);
