/*
 * What is to be done, and when to look again: a pure function of the policy, what was observed,
 * what is remembered, and the time. It does no I/O and reads no clock, so that the dry run, the
 * timeline and the tests are the same code that acts.
 *
 * Steps stand in the order in which they are done. A step that depends on one that failed is left
 * out by the pass (a set that could not be published is not loaded).
 */
#pragma once

#include "daemon/draftrow.h"
#include "daemon/task.h"

typedef struct PlanCertificate {
        CertificateState state;
        Health health;
        int64_t renew_at_usec; /* realtime; USEC_INFINITY where nothing is planned */
        char *error;           /* NULL, or a sentence */
} PlanCertificate;

typedef struct PlanCluster {
        ClusterProof proof;
        Health health;
        bool running;
        bool reachable;
        bool is_told; /* the error was told as it happened: a failed try, an unmet check */
        char *error;
} PlanCluster;

typedef struct PlanAuthority {
        Health health;
        char *error;
        /* What comes next for its CA: STEP_PREPARE, _ANNOUNCE, _ACTIVATE, _RETIRE or _EMERGENCY;
         * STEP_VERBS for nothing. Of which generation, and when (realtime) if nothing stands in the
         * way. */
        StepVerb next_verb;
        uint32_t next_generation;
        int64_t next_usec;
        char *waits_for; /* NULL, or the readers without evidence: "cluster main, certificate app"
                          */
} PlanAuthority;

typedef struct Plan {
        Step *steps;
        size_t n_steps;
        PlanCertificate *certificates;
        size_t n_certificates;
        PlanCluster *clusters;
        size_t n_clusters;
        PlanAuthority *authorities;
        size_t n_authorities;
        Health health;
        int64_t next_usec;      /* realtime of the next deadline; USEC_INFINITY for none */
        int64_t next_boot_usec; /* boottime of the next retry; USEC_INFINITY for none. check_every
                                   is the keeper's */
        char *next_what;        /* "renew server", never NULL */
        int64_t next_what_usec; /* when, realtime: a retry is by boottime */
} Plan;

int plan_make(const PlanInput *input, Plan **ret, Error *reterr);
Plan *plan_free(Plan *plan);
DEFINE_CLEANUP(Plan *, plan_free);
