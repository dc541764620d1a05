/*
 * Whether a cluster is usable as `verify` in the policy asks: its owner's worker and those of the
 * owners of client certificates try, each with its own keys.
 */
#pragma once

#include "daemon/work.h"

/* 0 where nothing speaks against it (also where it cannot be tried now), 1 with the first failure's
 * sentence, negative where no answer was had. */
int usable_ask(Work *work, size_t cluster, char sentence[OBSERVED_PROBLEM_MAX], Error *reterr);
