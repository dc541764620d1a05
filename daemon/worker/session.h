/*
 * One connection by libpq, with every parameter given and an own deadline: libpq's connect_timeout
 * does nothing in the asynchronous interface. The only module that uses libpq.
 *
 * No environment variable, service file or file below the home directory decides: the PG* variables
 * are removed from the process, once, at the first connection.
 */
#pragma once

#include "common/error.h"
#include "daemon/worker/startup.h"

#include <stdint.h>

struct pg_conn; /* libpq's PGconn */

enum { SESSION_PARAMETERS_MAX = 24, SESSION_WORDS_MAX = 400 };

typedef struct Session {
        struct pg_conn *connection;
        char sqlstate[STARTUP_SQLSTATE + 1]; /* of the failure; "" where the server sent none */
        char words[SESSION_WORDS_MAX];       /* the server's own where it spoke */
        bool is_reached;                     /* something accepted the connection */
} Session;

void session_done(Session *session);

typedef struct SessionParameters {
        const char *keywords[SESSION_PARAMETERS_MAX + 1];
        const char *values[SESSION_PARAMETERS_MAX + 1];
        size_t n;
        char port[8];
} SessionParameters;

/* What every connection has. The strings must live as long as the parameters. */
void session_common(SessionParameters *parameters, const char *user, const char *database,
                    uint16_t port);
void session_add(SessionParameters *parameters, const char *keyword, const char *value);

/* 0 connected; 1 where the server or libpq said no: words; -ETIMEDOUT, -ENOMEM. */
int session_open(Session *session, const SessionParameters *parameters, int64_t deadline_usec);

/* One statement that gives rows: cells separated by '\x1f', rows ended by '\n'; the caller frees.
 * Returns as session_open(). */
int session_query(Session *session, const char *query, int64_t deadline_usec, char **ret_rows);

/* Whether a process of our own user answers. Anybody may make a socket in /tmp. */
bool session_is_own_user(const Session *session);
