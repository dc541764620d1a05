/*
 * For unit tests on a real PostgreSQL: one cluster of the test program's own in a temporary
 * directory, made once, started anew by each test with the settings that the test gives, on
 * 127.0.0.1 with a free port and a Unix socket. PostgreSQL refuses root, so a test that was started
 * as root goes on as the user postgres. Programs: the first directory of PGCERTD_TEST_POSTGRES,
 * else the newest below /usr/lib/postgresql. Everything fails the test where it cannot be done.
 */
#pragma once

#include "common/clock.h"
#include "common/policy.h"
#include "daemon/worker/postmaster.h"

#include <check.h>

enum { POSTGRES_PATH_MAX = 256, POSTGRES_OUTPUT_MAX = 32 * 1024 };

/* Certificates made by openssl, below directory: server/ and client/ with server.crt, server.key,
 * root.crt (client.crt, client.key); others/ has a second leaf of the server's key (second.crt), a
 * pair of another key (other.crt, other.key), another CA (root.crt) and its client (client.crt,
 * client.key). */
typedef struct Postgres {
        char directory[64];
        char data[POSTGRES_PATH_MAX];
        char configuration[POSTGRES_PATH_MAX];
        char programs[POSTGRES_PATH_MAX];
        char output[POSTGRES_OUTPUT_MAX]; /* of the last command, both streams */
        uint16_t port;
        PolicyCertificate server; /* localhost, 127.0.0.1 */
        PolicyCertificate client; /* the role app */
        const PolicyCertificate *as[1];
        PolicyCluster cluster; /* with configuration, verify.as is the client */
} Postgres;

extern Postgres postgres;

/* Goes on as an unprivileged user; call first in suite(). */
void postgres_become(void);

/* Once for a test program (unchecked fixtures). */
void postgres_create(void);
void postgres_remove(void);

/* Before each test (checked): stops what an earlier one left, and puts everything back. */
void postgres_reset(void);

/* Writes postgresql.conf: the fixture's lines, before, the include of our configuration, after. */
void postgres_configure(const char *before, const char *after);

/* Writes pg_hba.conf: `local all all trust` and these lines. */
void postgres_rules(const char *lines);

void postgres_start(const char *options); /* of the command line */
void postgres_stop(void);
void postgres_find(Postmaster *ret);

/* A shell command in the directory, with PostgreSQL's programs first in PATH and PGHOST, PGPORT,
 * PGDATABASE and PGDATA set for it alone. Returns its status. */
int postgres_run(const char *format, ...) _printf_(1, 2);

/* The same, and the test fails where the status is not 0. */
void postgres_must(const char *format, ...) _printf_(1, 2);

/* A statement that must succeed; its rows are the output. */
void postgres_sql(const char *statement);

/* The SHA-256 of a PEM certificate's DER, by openssl. */
void postgres_fingerprint(const char *file, uint8_t ret[32]);

/* A deadline of clock_boottime(). */
int64_t postgres_within(int64_t msec);
