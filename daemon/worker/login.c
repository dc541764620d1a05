#include "daemon/worker/login.h"

#include "common/clock.h"
#include "common/text.h"
#include "daemon/worker/handshake.h"
#include "daemon/worker/startup.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* For parameters whose default is a file below the home directory: a path that cannot be there. */
#define NO_FILE "/dev/null/none"

enum { PARAMETERS_MAX = 24, ROWS_MAX = 10000, ENVIRONMENT_MAX = 10000 };

/* One connection, and what is told of its failure. */
typedef struct Session {
        PGconn *connection;
        char sqlstate[STARTUP_SQLSTATE + 1]; /* "" where the server sent none */
        char words[400];
        bool is_reached; /* something accepted the connection */
} Session;

typedef struct Parameters {
        const char *keywords[PARAMETERS_MAX + 1];
        const char *values[PARAMETERS_MAX + 1];
        size_t n;
} Parameters;

static void session_done(Session *session)
{
        if (session->connection)
                PQfinish(session->connection);
        session->connection = NULL;
}

static void resultp(PGresult **place)
{
        PQclear(*place);
}

static void add(Parameters *parameters, const char *keyword, const char *value)
{
        parameters->keywords[parameters->n] = keyword;
        parameters->values[parameters->n++] = value;
}

/* What every connection has. Service files are read only where a service is named, and PGSERVICE
 * is among the variables that are gone. */
static void add_common(Parameters *parameters, const char *user, const char *database,
                       const char *port)
{
        add(parameters, "port", port);
        add(parameters, "user", user);
        add(parameters, "dbname", database);
        add(parameters, "gssencmode", "disable");
        add(parameters, "passfile", NO_FILE);
        add(parameters, "application_name", "pgcertd");
        add(parameters, "target_session_attrs", "any");
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

/* 0 connected; 1 where the server or libpq said no; -ETIMEDOUT. */
static int session_open(Session *session, const Parameters *parameters, int64_t deadline_usec)
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

/* One statement. 0 with rows; 1 where the server or libpq said no; -ETIMEDOUT. */
static int session_query(Session *session, const char *query, int64_t deadline_usec, PGresult **ret)
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
        *ret = TAKE_PTR(result);
        return 0;
}

/* The name that the server's certificate is verified by: the first that can be a host. */
static const char *host_name(const PolicyCertificate *server)
{
        const char *address = NULL;

        for (size_t i = 0; i < server->n_names; i++) {
                const PolicyName *name = &server->names[i];

                if (!name->is_address && !strchr(name->text, '*'))
                        return name->text;
                if (name->is_address && !address)
                        address = name->text;
        }
        return address;
}

static const char *database_name(const PolicyCertificate *client)
{
        const PolicyService *service = client->service;

        for (size_t i = 0; service && i < service->n_parameters; i++)
                if (strcmp(service->parameters[i].type, "dbname") == 0)
                        return service->parameters[i].value;
        return "postgres";
}

static void conclude(LoginResult *ret, LoginOutcome outcome, const char *words)
{
        ret->outcome = outcome;
        snprintf(ret->sentence, sizeof ret->sentence, "%.500s", words);
}

static void conclude_failure(const Session *session, int r, LoginResult *ret)
{
        bool is_busy = r == -ETIMEDOUT || startup_is_busy(session->sqlstate);

        conclude(ret, is_busy ? LOGIN_UNVERIFIABLE : LOGIN_FAILED, session->words);
}

/* The session works and must be what was wanted: TLS, with our certificate known to the server. */
static int check_session(Session *session, int64_t deadline_usec, LoginResult *ret)
{
        _cleanup_(resultp) PGresult *row = NULL;
        int r = session_query(session,
                              "select ssl, client_dn is not null from pg_catalog.pg_stat_ssl "
                              "where pid = pg_catalog.pg_backend_pid()",
                              deadline_usec, &row);

        if (r != 0)
                conclude_failure(session, r, ret);
        else if (PQntuples(row) != 1 || PQgetvalue(row, 0, 0)[0] != 't')
                conclude(ret, LOGIN_FAILED, "the session is not encrypted");
        else if (PQgetvalue(row, 0, 1)[0] != 't')
                conclude(ret, LOGIN_FAILED,
                         "the server did not ask for the client's certificate HINT: Set "
                         "ssl_ca_file, and clientcert=verify-full in pg_hba.conf.");
        else
                conclude(ret, LOGIN_DONE, "");
        return 0;
}

/* The client's files are its owner's, and often not ours to read: then the login cannot be tried
 * from here, which libpq would tell as a missing file or worse. */
static bool may_read(const char *const paths[POLICY_FILES], LoginResult *ret)
{
        for (size_t i = 0; i < POLICY_FILES; i++) {
                if (access(paths[i], R_OK) == 0 || errno != EACCES)
                        continue;
                ret->outcome = LOGIN_UNVERIFIABLE;
                snprintf(ret->sentence, sizeof ret->sentence, "cannot read %.400s: %s", paths[i],
                         strerror(errno));
                return false;
        }
        return true;
}

/* The postmaster's address in numbers. Not to be reached is no verdict on the login. */
static int resolve(const Postmaster *postmaster, int64_t deadline_usec,
                   char numeric[STARTUP_ADDRESS_MAX], LoginResult *ret)
{
        _cleanup_(closep) int fd = -1;
        Error error;
        int r = startup_connect(postmaster->address, postmaster->port, deadline_usec, &fd, numeric,
                                &error);

        if (r < 0)
                conclude(ret, LOGIN_UNVERIFIABLE, error.text);
        return r;
}

int login_with_certificate(const PolicyCluster *cluster, const PolicyCertificate *client,
                           const Postmaster *postmaster, int64_t deadline_usec, LoginResult *ret,
                           Error *reterr)
{
        static const char *const keywords[POLICY_FILES] = {"sslcert", "sslkey", "sslrootcert"};
        char paths[POLICY_FILES][POLICY_PATH_MAX + POLICY_FILE_NAME_MAX + 2];
        const char *places[POLICY_FILES];
        char port[8], numeric[STARTUP_ADDRESS_MAX];
        _cleanup_(session_done) Session session = {0};
        Parameters parameters = {0};
        const char *host = host_name(cluster->certificate);
        int r;

        *ret = (LoginResult){0};
        if (resolve(postmaster, deadline_usec, numeric, ret) < 0)
                return 0;
        snprintf(port, sizeof port, "%u", postmaster->port);
        add_common(&parameters, client->role, database_name(client), port);
        add(&parameters, "host", host ? host : numeric);
        add(&parameters, "hostaddr", numeric);
        add(&parameters, "sslmode", "verify-full");
        add(&parameters, "sslsni", "1");
        add(&parameters, "sslcrl", NO_FILE);
        for (size_t i = 0; i < POLICY_FILES; i++) {
                snprintf(paths[i], sizeof paths[i], "%s/%s", client->directory, client->files[i]);
                add(&parameters, keywords[i], paths[i]);
                places[i] = paths[i];
        }
        if (!may_read(places, ret))
                return 0;
        r = session_open(&session, &parameters, deadline_usec);
        if (r == -ENOMEM)
                return error_oom(reterr);
        if (r == 0)
                return check_session(&session, deadline_usec, ret);
        conclude_failure(&session, r, ret);
        return 0;
}

int login_plaintext(const PolicyCluster *cluster, const char *role, const Postmaster *postmaster,
                    int64_t deadline_usec, LoginResult *ret, Error *reterr)
{
        const char *database = "postgres";
        StartupResult answer;
        int r;

        *ret = (LoginResult){0};
        for (size_t i = cluster->n_as; i-- > 0;)
                if (strcmp(cluster->as[i]->role, role) == 0)
                        database = database_name(cluster->as[i]);
        r = startup_try(postmaster->address, postmaster->port, role, database, deadline_usec,
                        &answer, reterr);
        if (r < 0)
                return r;
        switch (answer.outcome) {
        case STARTUP_REFUSED:
                conclude(ret, LOGIN_DONE, answer.words);
                break;
        case STARTUP_ACCEPTED:
                conclude(ret, LOGIN_FAILED,
                         "a connection without TLS was accepted HINT: Put the line \"hostnossl all "
                         "all all reject\" before the other lines of pg_hba.conf.");
                break;
        case STARTUP_UNAVAILABLE:
                conclude(ret, LOGIN_UNVERIFIABLE, answer.words);
                break;
        }
        return 0;
}

int login_old_protocol(const PolicyCluster *cluster, const Postmaster *postmaster,
                       int64_t deadline_usec, LoginResult *ret, Error *reterr)
{
        HandshakeTarget target = {.port = postmaster->port,
                                  .name = host_name(cluster->certificate),
                                  .below = cluster->min_protocol};
        int r;

        *ret = (LoginResult){.outcome = LOGIN_DONE};
        if (strcmp(cluster->min_protocol, "TLSv1") == 0)
                return 0; /* nothing older is left in any library */
        snprintf(target.address, sizeof target.address, "%s", postmaster->address);
        r = handshake_run(&target, 1, deadline_usec, reterr);
        if (r < 0)
                return r;
        if (target.served.outcome == HANDSHAKE_TLS) {
                ret->outcome = LOGIN_FAILED;
                snprintf(ret->sentence, sizeof ret->sentence,
                         "a connection with %s was accepted HINT: Set ssl_min_protocol_version = "
                         "'%s' in postgresql.conf and reload.",
                         target.served.protocol, cluster->min_protocol);
        } else {
                conclude(ret, target.is_tls_refused ? LOGIN_DONE : LOGIN_UNVERIFIABLE,
                         target.problem);
        }
        return 0;
}

/* Anybody may make a socket in /tmp: only one of our own user is our server's. */
static bool is_own_server(PGconn *connection)
{
        struct ucred peer;
        socklen_t size = sizeof peer;

        return getsockopt(PQsocket(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
               peer.uid == geteuid();
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

int login_query(const Postmaster *postmaster, const char *owner, const char *query,
                int64_t deadline_usec, char **ret_rows, Error *reterr)
{
        /* Reading pg_file_settings logs each included file that is missing; who may, leaves it. */
        static const char quiet[] =
                "select case pg_catalog.current_setting('is_superuser') when 'on' then "
                "pg_catalog.set_config('log_min_messages', 'fatal', false) end";
        _cleanup_(session_done) Session session = {0};
        _cleanup_(resultp) PGresult *result = NULL, *none = NULL;
        Parameters parameters = {0};
        char port[8];
        int r;

        if (!postmaster->socket_directory[0])
                return error_set(reterr, EAGAIN, "PostgreSQL has no Unix socket");
        snprintf(port, sizeof port, "%u", postmaster->port);
        add_common(&parameters, owner, "postgres", port);
        add(&parameters, "host", postmaster->socket_directory);
        r = session_open(&session, &parameters, deadline_usec);
        if (r == 0 && !is_own_server(session.connection))
                return error_set(reterr, EACCES, "the socket in %s is another user's",
                                 postmaster->socket_directory);
        if (r == 0)
                r = session_query(&session, quiet, deadline_usec, &none);
        if (r == 0)
                r = session_query(&session, query, deadline_usec, &result);
        if (r == 0)
                return format_rows(result, ret_rows, reterr);
        if (r == -ENOMEM)
                return error_oom(reterr);
        if (r == -ETIMEDOUT || startup_is_busy(session.sqlstate) || !session.is_reached)
                r = EAGAIN;
        else
                r = strncmp(session.sqlstate, "28", 2) == 0 ? EACCES : EIO;
        return error_set(reterr, r, "PostgreSQL cannot be asked as %s over its socket: %s", owner,
                         session.words);
}
