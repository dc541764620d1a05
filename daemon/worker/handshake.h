/*
 * What a PostgreSQL serves: SSLRequest (code 80877103), then a TLS handshake that is broken off
 * once the certificate is known. Needs no credentials and comes before every SQL-level refusal.
 * Nothing is verified here: the leaf is told, and compared by the caller.
 *
 * The only module that uses libssl, with `view`, which looks at what came. Every target is a small
 * state machine, so that one hung server delays no other.
 */
#pragma once

#include "common/observation.h"
#include "daemon/worker/view.h"

struct addrinfo;

typedef struct HandshakeTarget {
        char address[256]; /* numeric, or a name to be resolved */
        uint16_t port;
        const char *name;  /* SNI; NULL or an address for none */
        const char *below; /* offers only protocols older than this ("TLSv1.2"); NULL: all */
        bool is_direct;    /* TLS from the first byte, without asking (PostgreSQL 17) */
        const struct addrinfo *resolved; /* addresses to use instead of `address`; NULL for none */
        View *view;                      /* filled where TLS came about; NULL: not wanted */
        Served served;                   /* the outcome */
        char problem[256];               /* a sentence where outcome is not HANDSHAKE_TLS */
        bool is_tls_refused; /* HANDSHAKE_BROKEN because the server refused in TLS itself */
} HandshakeTarget;

/* Runs them all at once until each has an outcome or the deadline (clock_boottime()) is over. */
int handshake_run(HandshakeTarget *targets, size_t n, int64_t deadline_usec, Error *reterr);

/* Looks again and again (soon at first, then gently) until the leaf is served, the server is gone,
 * or the deadline is over; target has the last outcome. 1 where the leaf was seen, 0 where not. */
int handshake_await(HandshakeTarget *target, const uint8_t leaf[CERT_FINGERPRINT],
                    int64_t deadline_usec, Error *reterr);
