/*
 * What is to be done, and when to look again: a pure function of the policy, what was observed,
 * what is remembered, and the time. It does no I/O and reads no clock, so that the dry run, the
 * timeline and the tests are the same code that acts.
 *
 * Steps stand in the order in which they are done. A step that depends on one that failed is left
 * out by the pass (a set that could not be published is not loaded).
 */
#pragma once

#include "common/observation.h"
#include "daemon/memory.h"

typedef enum StepVerb {
        STEP_AUTHORITY, /* make the CA: object is an authority */
        STEP_ISSUE,     /* stage, issue and fill a new generation: a certificate */
        STEP_PUBLISH,   /* preflight and switch; links and service file: a certificate */
        STEP_CONFIGURE, /* write the configuration file: a cluster */
        STEP_LOAD,      /* have the postmaster load: a cluster */
        STEP_PROVE,     /* see the leaf served: a cluster */
        STEP_LOGIN,     /* the logins and refusals that `verify` asks for: a cluster */
        STEP_PRUNE,     /* remove old generations: a certificate */
        STEP_VERBS,
} StepVerb;

typedef struct Step {
        StepVerb verb;
        size_t object; /* index into the policy's authorities, certificates or clusters */
        bool rekey;    /* STEP_ISSUE: with a new key */
        char *reason;  /* in words: "renewal is due since 2026-01-31T12:00:00Z" */
} Step;

/* What a set's row says (INTERFACE: certificate states). */
typedef enum CertificateState {
        CERTIFICATE_OK,
        CERTIFICATE_DUE,     /* a step is due now */
        CERTIFICATE_OWED,    /* published, not yet proved on some cluster */
        CERTIFICATE_REFUSED, /* a PostgreSQL did not load it */
        CERTIFICATE_FOREIGN,
        CERTIFICATE_HELD, /* due, but held: broken policy, clock step, override, CA lost */
        CERTIFICATE_EXPIRED,
        CERTIFICATE_ERROR, /* the last try failed, or nobody can look */
        CERTIFICATE_STATES,
} CertificateState;

typedef enum ClusterProof {
        PROOF_PROVEN,
        PROOF_OWED,
        PROOF_REFUSED,
        PROOF_UNVERIFIABLE, /* no TCP: loaded, but nothing can be seen */
        PROOF_STATES,
} ClusterProof;

/* The monitoring plugins' convention. */
typedef enum Health { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL, HEALTH_UNKNOWN } Health;

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
        char *error;
} PlanCluster;

typedef struct PlanAuthority {
        Health health;
        char *error;
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
} Plan;

typedef struct PlanInput {
        const Policy *policy;
        const Observation *observation;
        const Memory *memory;
        int64_t now_usec;  /* realtime */
        int64_t boot_usec; /* boottime */
        const char *host;  /* seeds the jitter, with the certificate's name */
        const char *held;  /* NULL, or why no step may be done now: every step is held */
        bool check_all;    /* look at the logins now, whenever they were last looked at */
} PlanInput;

int plan_make(const PlanInput *input, Plan **ret, Error *reterr);
Plan *plan_free(Plan *plan);
DEFINE_CLEANUP(Plan *, plan_free);

/* Words for verbs and states, as text and JSON write them. */
const char *step_verb_name(StepVerb verb);
const char *certificate_state_name(CertificateState state);
const char *cluster_proof_name(ClusterProof proof);
const char *health_name(Health health); /* OK WARNING CRITICAL UNKNOWN */

/* When the leaf is renewed: notAfter - renew_before, and earlier by a jitter that is the same for
 * the same host and name: at most a twentieth of lifetime - renew_before, none where that is under
 * 1 h. */
int64_t plan_renew_at(const PolicyCertificate *certificate, int64_t not_after_usec,
                      const char *host);
