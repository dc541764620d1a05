/*
 * What pgcertd remembers between passes and nobody else can tell: requests, failures with their
 * back-off, the last logins, and which leaf each cluster was last proved to serve. All of it may be
 * lost without harm but the proofs and repairs, which `record` keeps on disk.
 *
 * Objects stand in the order of the policy; memory_adopt() carries them over to a changed policy by
 * name. Instants `_boot_usec` are of clock_boottime().
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"
#include "daemon/clockstep.h"
#include "daemon/leftover.h"
#include "daemon/repair.h"

/* Failures of one object, and when it may be tried again. */
typedef struct Attempt {
        unsigned failures;       /* in a row; 0 where the last try went well */
        int64_t retry_boot_usec; /* not before; 0 for at once */
        char *error;             /* the last failure's sentence; NULL after a success */
} Attempt;

typedef struct MemoryCertificate {
        Attempt attempt;
        bool is_requested; /* renew was asked: overrides back-off, always a new leaf */
        bool is_rekey_requested;
        bool has_consent; /* to take its foreign files over; `record` keeps it until that is done */
        bool is_wanted_on_disk; /* between passes: wanted is what the observation found */
        CertFacts *wanted;      /* the leaf last issued for publication; NULL for none */
        Repair repair;          /* of its files */
} MemoryCertificate;

typedef struct MemoryCluster {
        Attempt attempt;
        bool has_consent; /* to take its foreign configuration file over */
        bool has_proven;
        uint8_t proven[CERT_FINGERPRINT]; /* the leaf last proved to be served */
        int64_t proven_usec;              /* when, realtime */
        /* For which leaf and postmaster the last load was done, so that a cluster that cannot be
         * verified is loaded once. */
        uint8_t loaded[CERT_FINGERPRINT];
        int64_t loaded_pid;
        int64_t loaded_started_sec;
        /* For which leaf and postmaster a load was last tried, well or not: another one than these
         * is not held up by the back-off. Zero pid: not told, the back-off holds. */
        uint8_t tried[CERT_FINGERPRINT];
        int64_t tried_pid;
        int64_t tried_started_sec;
        bool is_refused; /* the last proof's verdict, with attempt.error */
        /* Logins and refusals that the policy asks for: when last looked at, and with which leaf.
         */
        int64_t checked_boot_usec; /* 0 for never */
        uint8_t checked[CERT_FINGERPRINT];
        char *unusable; /* NULL, or the sentence of the first check that failed */
        Repair repair;  /* of its configuration file */
} MemoryCluster;

typedef struct MemoryAuthority {
        Attempt attempt;             /* of any of its steps */
        bool is_rotate_requested;    /* a rollover was asked for: one try */
        uint32_t noticed_activation; /* which generation's was told ahead; 0 for none */
        uint32_t noticed_retirement;
        bool is_emergency_confirmed; /* the current CA's key is stolen, says the user: one try */
} MemoryAuthority;

typedef struct Memory {
        MemoryCertificate *certificates;
        size_t n_certificates;
        MemoryCluster *clusters;
        size_t n_clusters;
        MemoryAuthority *authorities;
        size_t n_authorities;
        ClockStep clock;
        Leftovers leftovers;
} Memory;

int memory_new(const Policy *policy, Memory **ret, Error *reterr);
Memory *memory_free(Memory *memory);
DEFINE_CLEANUP(Memory *, memory_free);

/* A copy for a changed policy: what is known of the objects that are still there, by name. A policy
 * change clears every back-off and repair. With the same policy twice (from_policy == policy) it is
 * a plain copy, back-off included. */
int memory_adopt(const Memory *from, const Policy *from_policy, const Policy *policy, Memory **ret,
                 Error *reterr);

/* The leaf last issued; disk is that of the set as it was observed, or NULL. NULL for none. */
const CertFacts *memory_wanted(const MemoryCertificate *certificate, const CertFacts *disk);

/* Notes a leaf that was issued; false, with nothing noted, where memory runs out. */
bool memory_issued(MemoryCertificate *certificate, const CertFacts *leaf);

/* Between passes nearly every wanted leaf is the one on disk, and is not kept twice: settled after
 * a pass with the leaf that it found there, and taken back before the next one looks. */
void memory_settle_wanted(MemoryCertificate *certificate, const CertFacts *disk);
bool memory_recall_wanted(MemoryCertificate *certificate, const CertFacts *disk);

/* The outcome of a try. Back-off starts at min(5 s, check_every), doubles, and never exceeds
 * min(1 h, a tenth of left_usec), left_usec being what is left of renew_before (0 or less: the
 * start value), but never falls under 10 ms. The sentence is copied. */
void attempt_failed(Attempt *attempt, const Policy *policy, int64_t boot_usec, int64_t left_usec,
                    const char *sentence);
void attempt_succeeded(Attempt *attempt);
bool attempt_is_waiting(const Attempt *attempt, int64_t boot_usec);
