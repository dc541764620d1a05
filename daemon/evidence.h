/*
 * What the sets and clusters show of a rollover, for every authority, counted in one go over them:
 * which readers hold the next generation of a CA and which do not, and what the lives of its leaves
 * have in common. Evidence is what is on disk and what is served; nothing else. Pure.
 *
 * A set belongs to every authority that its bundle holds. A set that is not there, or that is
 * somebody else's without consent, has no reader of ours and holds nothing up.
 */
#pragma once

#include "common/observation.h"
#include "common/text.h"

/* Readers in words: "cluster main, certificate app", the first few by name. */
typedef struct EvidenceNames {
        size_t n;
        Text text;
} EvidenceNames;

typedef struct Evidence {
        /* Of the leaves that the policy gives to it: 0 where there are none. */
        int64_t longest_usec;
        int64_t renew_most_usec;
        const ObservedGeneration *next; /* of the authority; NULL for none */
        /* Sets that lack it, that nobody could look at, or that may yet be put back to one that
         * lacks it: a server of theirs still serves another leaf. */
        EvidenceNames without;
        /* Servers that were not seen to serve a set that holds it: refused, owed, unverifiable. One
         * without a postmaster counts by its files; one whose data directory is gone not at all. */
        EvidenceNames unproved;
        EvidenceNames missing; /* both: all that a latest moment leaves behind */
        EvidenceNames foreign; /* sets that somebody else made and nobody has handed over */
        /* Leaves of a CA of `trust:`, whose key nobody here has: the first end of one, else
         * USEC_INFINITY; and the servers that still serve one, or were not seen to serve another.
         */
        int64_t alien_end_usec;
        EvidenceNames alien_servers;
} Evidence;

/* One for each authority, in the order of the policy. is_foreign says of each certificate whether
 * its set is somebody else's without consent. NULL where memory ran out. */
Evidence *evidence_collect(const Policy *policy, const Observation *observation,
                           const bool *is_foreign);
void evidence_free(Evidence *evidence, size_t n);

/* Names one more: "certificate app". */
void evidence_add(EvidenceNames *names, const char *kind, const char *name);

/* Appends the names, and how many more there are. */
void evidence_describe(const EvidenceNames *names, Text *text);

/* Whether the set's trust bundle on disk holds that anchor. */
bool evidence_has_anchor(const Observation *observation, const ObservedSet *set,
                         const uint8_t key_id[CERT_KEY_ID]);

/* Whether the leaf of a published set was issued by a CA of its authority's `trust:`. One that does
 * not tell its issuer was: ours all do. */
bool evidence_is_alien(const Policy *policy, const Observation *observation, size_t index);
