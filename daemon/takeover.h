/*
 * Whether a set that somebody else made may be taken over once the user consents: only
 * where no reader is shut out. That is so where the CA of its leaf and those of its bundle are of
 * the authority: its own, imported with `adopt:`, or named in `trust:`. Pure.
 */
#pragma once

#include "common/observation.h"

typedef enum TakeoverVerdict {
        TAKEOVER_NOTHING, /* nothing of it is foreign, or nobody could look */
        TAKEOVER_READY,
        TAKEOVER_UNHEARD, /* the signer did not say which CAs are ours */
        TAKEOVER_REFUSED,
} TakeoverVerdict;

/* Judges the set of the certificate at index. why gets a sentence for UNHEARD and REFUSED. */
TakeoverVerdict takeover_judge(const Policy *policy, const Observation *observation, size_t index,
                               Text *why);

/* The same for the configuration file of the cluster at index. */
TakeoverVerdict takeover_judge_cluster(const Policy *policy, const Observation *observation,
                                       size_t index, Text *why);

/* Whether a name, or the service file, of a set is somebody else's. */
bool takeover_is_foreign(const ObservedSet *set);
