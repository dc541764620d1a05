#include "daemon/worker/login.h"

#include "daemon/worker/handshake.h"
#include "daemon/worker/session.h"
#include "daemon/worker/startup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
static int check_session(Session *session, int64_t deadline_usec, LoginResult *ret, Error *reterr)
{
        _cleanup_(freep) char *row = NULL;
        int r = session_query(session,
                              "select ssl, client_dn is not null from pg_catalog.pg_stat_ssl "
                              "where pid = pg_catalog.pg_backend_pid()",
                              deadline_usec, &row);

        if (r == -ENOMEM)
                return error_oom(reterr);
        if (r != 0)
                conclude_failure(session, r, ret);
        else if (row[0] != 't')
                conclude(ret, LOGIN_FAILED, "the session is not encrypted");
        else if (strcmp(row, "t\x1ft\n") != 0)
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
        char numeric[STARTUP_ADDRESS_MAX];
        _cleanup_(session_done) Session session = {0};
        SessionParameters parameters = {0};
        const char *host = host_name(cluster->certificate);
        int r;

        *ret = (LoginResult){0};
        if (resolve(postmaster, deadline_usec, numeric, ret) < 0)
                return 0;
        session_common(&parameters, client->role, database_name(client), postmaster->port);
        session_add(&parameters, "host", host ? host : numeric);
        session_add(&parameters, "hostaddr", numeric);
        session_add(&parameters, "sslmode", "verify-full");
        session_add(&parameters, "sslsni", "1");
        for (size_t i = 0; i < POLICY_FILES; i++) {
                snprintf(paths[i], sizeof paths[i], "%s/%s", client->directory, client->files[i]);
                session_add(&parameters, keywords[i], paths[i]);
                places[i] = paths[i];
        }
        if (!may_read(places, ret))
                return 0;
        r = session_open(&session, &parameters, deadline_usec);
        if (r == -ENOMEM)
                return error_oom(reterr);
        if (r == 0)
                return check_session(&session, deadline_usec, ret, reterr);
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

int login_query(const Postmaster *postmaster, const char *owner, const char *query,
                int64_t deadline_usec, char **ret_rows, Error *reterr)
{
        /* Reading pg_file_settings logs each included file that is missing; who may, leaves it. */
        static const char quiet[] =
                "select case pg_catalog.current_setting('is_superuser') when 'on' then "
                "pg_catalog.set_config('log_min_messages', 'fatal', false) end";
        _cleanup_(session_done) Session session = {0};
        _cleanup_(freep) char *none = NULL;
        SessionParameters parameters = {0};
        int r;

        if (!postmaster->socket_directory[0])
                return error_set(reterr, EAGAIN, "PostgreSQL has no Unix socket");
        session_common(&parameters, owner, "postgres", postmaster->port);
        session_add(&parameters, "host", postmaster->socket_directory);
        r = session_open(&session, &parameters, deadline_usec);
        if (r == 0 && !session_is_own_user(&session))
                return error_set(reterr, EACCES, "the socket in %s is another user's",
                                 postmaster->socket_directory);
        if (r == 0)
                r = session_query(&session, quiet, deadline_usec, &none);
        if (r == 0)
                r = session_query(&session, query, deadline_usec, ret_rows);
        if (r == 0)
                return 0;
        if (r == -ENOMEM)
                return error_oom(reterr);
        if (r == -ETIMEDOUT || startup_is_busy(session.sqlstate) || !session.is_reached)
                r = EAGAIN;
        else
                r = strncmp(session.sqlstate, "28", 2) == 0 ? EACCES : EIO;
        return error_set(reterr, r, "PostgreSQL cannot be asked as %s over its socket: %s", owner,
                         session.words);
}
