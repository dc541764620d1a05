/*
 * Logins as a client would make them, each with its own deadline, and the owner's own queries.
 */
#pragma once

#include "common/policy.h"
#include "daemon/worker/postmaster.h"

typedef enum LoginOutcome {
        LOGIN_DONE,         /* as the policy wants it */
        LOGIN_FAILED,       /* not so: the sentence says what the server answered */
        LOGIN_UNVERIFIABLE, /* no TCP, or the server cannot be asked now (starting, too many
                               clients) */
} LoginOutcome;

typedef struct LoginResult {
        LoginOutcome outcome;
        char sentence[512]; /* the server's own words where it spoke */
} LoginResult;

/* verify-full, the client's certificate and key by their fixed names, `select 1`, and our own row
 * of pg_stat_ssl must say ssl with this client certificate. host is the server's first DNS name
 * (its first address where it has none), hostaddr the postmaster's address. */
int login_with_certificate(const PolicyCluster *cluster, const PolicyCertificate *client,
                           const Postmaster *postmaster, int64_t deadline_usec, LoginResult *ret,
                           Error *reterr);

/* A connection with sslmode=disable, as the role, must fail: SQLSTATE 28000, or an end before an
 * authentication request. A password prompt means that it was accepted. */
int login_plaintext(const PolicyCluster *cluster, const char *role, const Postmaster *postmaster,
                    int64_t deadline_usec, LoginResult *ret, Error *reterr);

/* A connection with a protocol below min_protocol must fail. */
int login_old_protocol(const PolicyCluster *cluster, const Postmaster *postmaster,
                       int64_t deadline_usec, LoginResult *ret, Error *reterr);

/* One query on the owner's own connection (Unix socket, role = owner, database postgres), for
 * `settings` and pg_reload_conf(). rows receives the result, cells separated by '\x1f', rows by
 * '\n'; the caller frees. -EAGAIN where the server cannot be asked now. */
int login_query(const Postmaster *postmaster, const char *owner, const char *query,
                int64_t deadline_usec, char **ret_rows, Error *reterr);
