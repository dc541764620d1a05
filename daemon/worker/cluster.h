/*
 * One PostgreSQL cluster as its owner's worker sees it: look at it, have it load, prove what it
 * serves, try the logins. Puts postmaster, handshake, settings, configuration and login together.
 */
#pragma once

#include "common/observation.h"
#include "daemon/worker/login.h"
#include "daemon/worker/startup.h"

/* Looks at all clusters of an owner at once (handshakes run side by side), one ObservedCluster for
 * each of clusters, in their order. deadline_usec bounds the whole look. */
int cluster_observe(const PolicyCluster *const *clusters, size_t n, int64_t deadline_usec,
                    ObservedCluster *ret, Error *reterr);

/* SIGHUP, or pg_reload_conf() with reload: sql. ret_pid and ret_started tell which postmaster.
 * -ESRCH where none runs. */
int cluster_load(const PolicyCluster *cluster, int64_t *ret_pid, int64_t *ret_started_sec,
                 Error *reterr);

typedef enum ProveOutcome {
        PROVE_PROVEN,
        PROVE_REFUSED,      /* the same postmaster answered with another leaf, or without TLS */
        PROVE_OWED,         /* no answer: down, starting, hung, restarted meanwhile */
        PROVE_UNVERIFIABLE, /* it listens on no TCP address */
        PROVE_OUTCOMES,
} ProveOutcome;

typedef struct ProveResult {
        ProveOutcome outcome;
        Served served;
        char sentence[512]; /* where not proven; PostgreSQL's own words where its log can be read */
} ProveResult;

/* Handshakes until the leaf is served or the deadline is over, then judges by postmaster identity.
 */
int cluster_prove(const PolicyCluster *cluster, const uint8_t leaf[CERT_FINGERPRINT],
                  int64_t deadline_usec, ProveResult *ret, Error *reterr);

/* All that `verify` asks for: logins of `as` with the cluster's owner's own certificates,
 * plaintext, min_protocol. The first failure's sentence. */
int cluster_login(const PolicyCluster *cluster, int64_t deadline_usec, LoginResult *ret,
                  Error *reterr);

/* Where other owners' workers reach it, since they may not look into the data directory: an address
 * in numbers; "" and port 0 where it does not run, or not over TCP. */
typedef struct ClusterPlace {
        char address[STARTUP_ADDRESS_MAX];
        uint16_t port;
} ClusterPlace;

int cluster_place(const PolicyCluster *cluster, int64_t deadline_usec, ClusterPlace *ret,
                  Error *reterr);

/* The logins of `as` with the certificates of that owner, at a place that was told by somebody:
 * only one of this machine is used. -EPERM for another, or where the policy asks for none. */
int cluster_login_as(const PolicyCluster *cluster, uid_t owner, const ClusterPlace *place,
                     int64_t deadline_usec, LoginResult *ret, Error *reterr);
