/*
 * The only place that removes a generation. Nothing is listed and swept: what goes is named, by the
 * policy or by the generation's own manifest, so that what somebody else put there stays.
 */
#pragma once

#include "daemon/worker/store.h"

/* Removes a generation by the names that it can have, the key first, the manifest last. What is
 * not ours, and a directory with anything else in it, stays. 1 where it is gone. */
int removal_generation(const Store *store, uint32_t number, Error *reterr);

/* Removes the link that a crash left under a temporary name, where it is one of ours. */
void removal_temporary(const Store *store);
