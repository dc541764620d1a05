/*
 * One cluster: whether its PostgreSQL serves the leaf on disk, and what has to be done until it is
 * seen to. A reload is asked for when something new is to be loaded, or when what is served is not
 * what is on disk; never more than one for a cluster. Pure.
 */
#pragma once

#include "common/health.h"
#include "common/observation.h"
#include "daemon/memory.h"

typedef enum ClusterProof {
        PROOF_PROVEN,
        PROOF_OWED,
        PROOF_REFUSED,
        PROOF_UNVERIFIABLE, /* no TCP: loaded, but nothing can be seen */
        PROOF_STATES,
} ClusterProof;

typedef struct ProofInput {
        const Policy *policy;
        const PolicyCluster *cluster;
        const ObservedCluster *observed;
        const ObservedSet *set; /* of its certificate */
        const MemoryCluster *memory;
        bool is_issuing;        /* its set gets another leaf in this plan */
        bool is_trusting;       /* its set gets another trust bundle with the leaf that is there */
        bool is_issuing_client; /* a client of verify.as does, or a new bundle */
        bool is_foreign;        /* its set is not ours, or waits for the configuration file */
        bool check_all;
        const char *held; /* NULL, or why no step may be done */
        int64_t now_usec;
        int64_t boot_usec;
} ProofInput;

/* A cluster's row, as it stands before the steps, and its steps: a reason where one is due, NULL
 * where not. The reasons are constant strings. */
typedef struct Proof {
        ClusterProof verdict;
        Health health;
        bool counts;     /* the set's row is owed or refused by it */
        bool is_waiting; /* a step is due, but in back-off */
        bool is_left;    /* its configuration file was changed again after a repair: see repair.h */
        char *error;
        bool is_told; /* the error was told as it happened */
        const char *configure;
        const char *load;
        const char *prove;
        const char *login;
} Proof;

int proof_make(const ProofInput *input, Proof *ret, Error *reterr);
void proof_done(Proof *proof);

/* Whether a cluster's configuration file is somebody else's, and not handed over to us. */
bool proof_is_foreign(const ObservedCluster *observed, const MemoryCluster *memory);

/* The word for a verdict, as text and JSON write it. */
const char *cluster_proof_name(ClusterProof proof);

/* Whether what is served is the leaf on disk; the end of what a reader of this cluster is served,
 * as far as is known: of the leaf on disk where nothing was seen. USEC_INFINITY for neither. */
bool proof_is_served(const ObservedCluster *observed, const ObservedSet *set);
int64_t proof_served_until(const ObservedCluster *observed, const ObservedSet *set);
