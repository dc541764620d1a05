/*
 * `pgcertctl probe`: what do these PostgreSQLs, or poolers, serve? Needs no pgcertd, no policy and
 * no credentials; reads one file at most (--ca), writes nothing, and runs as whoever calls it.
 *
 * Every host has a deadline of its own, and none holds up another one. What a server sends is
 * bounded by libssl's limits before it is looked at here, and made harmless before it is printed.
 */
#pragma once

#include "common/cert.h"
#include "common/health.h"
#include "daemon/worker/handshake.h"

typedef enum ProbeFormat { PROBE_TEXT, PROBE_JSON, PROBE_PROMETHEUS } ProbeFormat;

enum {
        PROBE_HOSTS_MAX = 1000,
        PROBE_HOST_MAX = 255,      /* bytes of a host's name */
        PROBE_SENTENCE_MAX = 1024, /* bytes */
};

typedef struct ProbeOptions {
        const char *ca_file;   /* NULL: nothing is verified */
        const char *name;      /* what the certificate is to be for; NULL: each host's own name */
        int64_t warning_usec;  /* of life left; -1: a quarter of the leaf's own lifetime */
        int64_t critical_usec; /* -1: a tenth */
        int64_t timeout_usec;  /* for each host */
        bool is_direct;        /* TLS without asking before (PostgreSQL 17) */
        ProbeFormat format;
        char **hosts; /* HOST, HOST:PORT, [ADDRESS]:PORT */
        size_t n_hosts;
} ProbeOptions;

typedef struct ProbeResult {
        char host[PROBE_HOST_MAX + 1];
        uint16_t port;
        HandshakeTarget target;
        View view;
        Health health;
        char sentence[PROBE_SENTENCE_MAX]; /* what is wrong, or how long it lasts; harmless */
        bool is_verified;                  /* by --ca, for a server, now */
        bool has_name;                     /* the leaf is for the name */
        int64_t warning_usec;              /* of life left, as they were judged by */
        int64_t critical_usec;
} ProbeResult;

typedef struct Probe {
        ProbeResult *results; /* in the order asked */
        size_t n;
        int64_t now_usec; /* realtime, by which all were judged */
} Probe;

/* Reads "HOST[:PORT]" into a result. -EINVAL with a sentence. */
int probe_parse_host(const char *text, ProbeResult *ret, Error *reterr);

/* Asks all and judges each. Fails only where nothing could be asked: a bad host, a bad --ca. */
int probe_run(const ProbeOptions *options, Probe **ret, Error *reterr);
Probe *probe_free(Probe *probe);
DEFINE_CLEANUP(Probe *, probe_free);

/* The worst of all, which is also the exit status. */
Health probe_health(const Probe *probe);
