/*
 * When a set has to be published anew, and why, in words: what is on disk against what the policy
 * wants, the time, and requests. Whether it can be done now is not asked here. Pure.
 */
#pragma once

#include "daemon/emergency.h"

typedef enum DueKind {
        DUE_NOTHING,
        DUE_PUBLISH, /* links or the service file alone: the leaf stays */
        DUE_TRUST,   /* a new generation with the leaf on disk and another trust bundle */
        DUE_RETRY,   /* the generation that a PostgreSQL refused is tried again */
        DUE_ISSUE,   /* a new generation with a fresh leaf */
} DueKind;

typedef struct Due {
        DueKind kind;
        bool rekey;   /* with a new key */
        bool is_left; /* a damage that is not repaired again: see repair.h */
        char *reason; /* NULL where nothing is due */
} Due;

typedef struct DueInput {
        const Policy *policy;
        const Observation *observation;
        const Memory *memory;
        const Evidence *evidence;     /* of each authority */
        const Emergency *emergencies; /* of each authority; NULL where no key was stolen */
        int64_t now_usec;
        const char *host;
} DueInput;

void due_done(Due *due);

/* The first reason that fits, for the certificate at index. A set that could not be looked at, or
 * that is foreign, is never due. */
int due_find(const DueInput *input, size_t index, Due *ret, Error *reterr);

/* Whether a client's set, that is of use as it is, waits until servers can be reached with what it
 * gets: they are to be proved with a leaf of the new CA first, after an emergency or where readers
 * move from a CA whose key nobody here has. names gets the servers; it may be NULL. */
bool due_waits_for_servers(const DueInput *input, size_t index, Text *names);

/* When the set on disk will be due by time, for a leaf's end or for its key's age; USEC_INFINITY
 * where nothing is planned: no leaf, or one that ends with its CA: a new one would end no later, so
 * it waits for the next CA instead of being renewed for ever. */
int64_t due_at(const DueInput *input, size_t index);

/* How a set that was published differs from what was published there, as a sentence; NULL where it
 * does not. Whether somebody else changed it or the policy did, only the memory can tell. */
const char *due_damage(const ObservedSet *set);

/* When the leaf is renewed: notAfter - renew_before, and earlier by a jitter that is the same for
 * the same host and name: at most a twentieth of lifetime - renew_before, none where that is under
 * 1 h. */
int64_t due_renew_at(const PolicyCertificate *certificate, int64_t not_after_usec,
                     const char *host);

/* When the set's key has its age; USEC_INFINITY where every leaf gets a new key. */
int64_t due_rekey_at(const PolicyCertificate *certificate, const ObservedSet *set);
