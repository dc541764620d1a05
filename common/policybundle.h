/*
 * Which authorities' anchors a set's bundle holds: the union over its own authority and those of
 * every set that it meets in a cluster.
 */
#pragma once

#include "common/policydraft.h"

/* Fills every certificate's bundle. -ENOMEM alone is returned. */
int policybundle_fill(PolicyDraft *draft);
