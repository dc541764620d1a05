#include "daemon/worker/session.h"

#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* For parameters whose default is a file below the home directory: a path that cannot be there. */
#define NO_FILE "/dev/null/none"

enum { ROWS_MAX = 10000, ENVIRONMENT_MAX = 10000 };

void session_done(Session *session)
{
        if (session->connection)
                PQfinish(session->connection);
        session->connection = NULL;
}

static void resultp(PGresult **place)
{
        PQclear(*place);
}

void session_add(SessionParameters *parameters, const char *keyword, const char *value)
{
        assert(parameters->n < SESSION_PARAMETERS_MAX);
        parameters->keywords[parameters->n] = keyword;
        parameters->values[parameters->n++] = value;
}

/* Service files are read only where a service is named, and PGSERVICE is among the variables that
 * are gone. */
void session_common(SessionParameters *parameters, const char *user, const char *database,
                    uint16_t port)
{
        snprintf(parameters->port, sizeof parameters->port, "%u", port);
        session_add(parameters, "port", parameters->port);
        session_add(parameters, "user", user);
        session_add(parameters, "dbname", database);
        session_add(parameters, "gssencmode", "disable");
        session_add(parameters, "passfile", NO_FILE);
        session_add(parameters, "sslcrl", NO_FILE);
        session_add(parameters, "application_name", "pgcertd");
        session_add(parameters, "target_session_attrs", "any");
}

/* libpq takes what is not given from PG* variables: none of them may decide, so they go, once. */
static void forget_environment(void)
{
        static bool is_done;
        char name[128];

        if (is_done)
                return;
        is_done = true;
        for (unsigned i = 0, tries = 0; environ && environ[i] && tries < ENVIRONMENT_MAX; tries++) {
                size_t n = strcspn(environ[i], "=");

                if (strncmp(environ[i], "PG", 2) != 0 || n >= sizeof name) {
                        i++;
                        continue;
                }
                memcpy(name, environ[i], n);
                name[n] = '\0';
                if (unsetenv(name) < 0)
                        i++;
        }
}

/* Takes the server's words out of libpq's message. In verbose form a server's error is
 * `... failed: FATAL:  SQLSTATE: words`, whatever the language of FATAL. */
static void take_message(Session *session, const char *message)
{
        static const char capitals[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const char *words = message, *at = message;

        session->sqlstate[0] = '\0';
        while ((at = strstr(at, ":  "))) {
                at += 3;
                if (strspn(at, capitals) == STARTUP_SQLSTATE && at[STARTUP_SQLSTATE] == ':') {
                        snprintf(session->sqlstate, sizeof session->sqlstate, "%s", at);
                        words = at + STARTUP_SQLSTATE + 1;
                        break;
                }
        }
        if (words == message && (at = strstr(message, " failed: ")))
                words = at + strlen(" failed: ");
        startup_words(words, session->words, sizeof session->words);
}

static int session_late(Session *session, int r)
{
        startup_words("the server did not answer in time", session->words, sizeof session->words);
        return r;
}

int session_open(Session *session, const SessionParameters *parameters, int64_t deadline_usec)
{
        PostgresPollingStatusType status = PGRES_POLLING_WRITING;
        int r;

        forget_environment();
        session->connection = PQconnectStartParams(parameters->keywords, parameters->values, 0);
        if (!session->connection)
                return -ENOMEM;
        PQsetErrorVerbosity(session->connection, PQERRORS_VERBOSE);
        while (PQstatus(session->connection) != CONNECTION_BAD && status != PGRES_POLLING_FAILED) {
                if (status == PGRES_POLLING_OK)
                        return 0;
                r = startup_wait(PQsocket(session->connection),
                                 status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_usec);
                if (r < 0)
                        return session_late(session, r);
                session->is_reached = PQstatus(session->connection) != CONNECTION_STARTED;
                status = PQconnectPoll(session->connection);
        }
        take_message(session, PQerrorMessage(session->connection));
        return 1;
}

/* Sends what is queued and reads until a result can be had without waiting. */
static int session_wait(Session *session, int64_t deadline_usec)
{
        PGconn *c = session->connection;
        int unsent = PQflush(c), r;

        while (unsent == 1 || (unsent == 0 && PQisBusy(c))) {
                r = startup_wait(PQsocket(c), unsent ? POLLIN | POLLOUT : POLLIN, deadline_usec);
                if (r < 0)
                        return r;
                if (!PQconsumeInput(c))
                        return -EIO;
                unsent = PQflush(c);
        }
        return unsent < 0 ? -EIO : 0;
}

static int format_rows(const PGresult *result, char **ret, Error *reterr)
{
        _cleanup_(text_done) Text text = {0};
        int rows = PQntuples(result) < ROWS_MAX ? PQntuples(result) : ROWS_MAX;

        text_add(&text, "");
        for (int row = 0; row < rows; row++)
                for (int cell = 0; cell < PQnfields(result); cell++) {
                        /* The separators are no part of a value. */
                        for (const char *p = PQgetvalue(result, row, cell); *p; p++)
                                text_add_bytes(&text, (unsigned char)*p < 0x20 ? " " : p, 1);
                        text_add(&text, cell + 1 < PQnfields(result) ? "\x1f" : "\n");
                }
        return text_take(&text, ret, reterr);
}

int session_query(Session *session, const char *query, int64_t deadline_usec, char **ret_rows)
{
        _cleanup_(resultp) PGresult *result = NULL;
        int r;

        if (PQsetnonblocking(session->connection, 1) < 0 ||
            !PQsendQuery(session->connection, query))
                r = -EIO;
        else
                r = session_wait(session, deadline_usec);
        if (r == -ETIMEDOUT)
                return session_late(session, r);
        result = r < 0 ? NULL : PQgetResult(session->connection);
        if (PQresultStatus(result) != PGRES_TUPLES_OK) {
                const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
                const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

                take_message(session, words ? words : PQerrorMessage(session->connection));
                snprintf(session->sqlstate, sizeof session->sqlstate, "%s", state ? state : "");
                return 1;
        }
        /* The end of the statement, so that another may follow. */
        r = session_wait(session, deadline_usec);
        if (r == -ETIMEDOUT)
                return session_late(session, r);
        PQclear(r < 0 ? NULL : PQgetResult(session->connection));
        return format_rows(result, ret_rows, NULL);
}

bool session_is_own_user(const Session *session)
{
        struct ucred peer;
        socklen_t size = sizeof peer;

        return getsockopt(PQsocket(session->connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) ==
                       0 &&
               peer.uid == geteuid();
}
