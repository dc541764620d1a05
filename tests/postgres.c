#include "tests/postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { COMMAND_MAX = 16 * 1024 };

Postgres postgres;

static const char certificates[] =
        "set -e; mkdir server client others\n"
        "key() { openssl ecparam -name prime256v1 -genkey -noout -out $1; chmod 600 $1; }\n"
        "ca() { key $1.key; openssl req -x509 -new -key $1.key -subj \"/CN=$2\" -days 30 -out "
        "$1.crt; }\n"
        "leaf() { # out key subject use names ca\n"
        "printf 'extendedKeyUsage=%s\\nsubjectAltName=%s\\n' $4 $5 >x.ext\n"
        "openssl req -new -key $2 -subj \"/CN=$3\" -out x.csr\n"
        "openssl x509 -req -in x.csr -CA $6.crt -CAkey $6.key -days 20 -extfile x.ext -out $1; }\n"
        "ca root root; ca others/root elsewhere\n"
        "key server/server.key; key client/client.key; key others/other.key; key "
        "others/client.key\n"
        "leaf server/server.crt server/server.key localhost serverAuth "
        "DNS:localhost,IP:127.0.0.1 root\n"
        "leaf others/second.crt server/server.key localhost serverAuth "
        "DNS:localhost,IP:127.0.0.1 root\n"
        "leaf others/other.crt others/other.key localhost serverAuth DNS:localhost root\n"
        "leaf client/client.crt client/client.key app clientAuth DNS:app root\n"
        "leaf others/client.crt others/client.key app clientAuth DNS:app others/root\n"
        "cp root.crt server/; cp root.crt client/; cp -a server client others root.crt kept/\n";

void postgres_become(void)
{
        const struct passwd *user;

        if (geteuid() != 0)
                return;
        user = getpwnam("postgres");
        if (!user || initgroups("postgres", user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
            setuid(user->pw_uid) < 0 || chdir("/") < 0) {
                fprintf(stderr, "run the tests as an unprivileged user\n");
                exit(1);
        }
        setenv("HOME", user->pw_dir, 1);
}

static void find_programs(void)
{
        const char *given = getenv("PGCERTD_TEST_POSTGRES");
        glob_t found = {0};

        if (given && given[0]) {
                snprintf(postgres.programs, sizeof postgres.programs, "%.*s",
                         (int)strcspn(given, ":"), given);
                return;
        }
        ck_assert_msg(glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0,
                      "no PostgreSQL is installed");
        snprintf(postgres.programs, sizeof postgres.programs, "%.*s",
                 (int)(strrchr(found.gl_pathv[found.gl_pathc - 1], '/') -
                       found.gl_pathv[found.gl_pathc - 1]),
                 found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
}

/* Below what the kernel gives to outgoing connections, which could take it meanwhile. */
static uint16_t free_port(void)
{
        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                uint16_t port = (uint16_t)(10240 + (getpid() * 7919L + i * 104729L) % 21760);
                struct sockaddr_in address = {.sin_family = AF_INET,
                                              .sin_addr = {htonl(INADDR_LOOPBACK)},
                                              .sin_port = htons(port)};

                if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
                        return port;
        }
        ck_abort_msg("no free port");
        return 0;
}

_printf_(1, 0) static int run_list(const char *format, va_list ap)
{
        char *command = NULL, *whole = NULL;
        size_t size;
        FILE *pipe;

        ck_assert_int_ge(vasprintf(&command, format, ap), 0);
        ck_assert_int_ge(asprintf(&whole,
                                  "cd %s && { export PATH=%s:$PATH PGHOST=%s PGPORT=%u "
                                  "PGDATABASE=postgres PGDATA=%s LC_ALL=C; %s\n} 2>&1 </dev/null",
                                  postgres.directory, postgres.programs, postgres.directory,
                                  postgres.port, postgres.data, command),
                         0);
        pipe = popen(whole, "re");
        ck_assert_ptr_nonnull(pipe);
        size = fread(postgres.output, 1, sizeof postgres.output - 1, pipe);
        postgres.output[size] = '\0';
        free(command);
        free(whole);
        return pclose(pipe);
}

int postgres_run(const char *format, ...)
{
        va_list ap;
        int r;

        va_start(ap, format);
        r = run_list(format, ap);
        va_end(ap);
        return r;
}

void postgres_must(const char *format, ...)
{
        va_list ap;
        int r;

        va_start(ap, format);
        r = run_list(format, ap);
        va_end(ap);
        ck_assert_msg(r == 0, "%s: %s", format, postgres.output);
}

void postgres_sql(const char *statement)
{
        postgres_must("psql -XAtc \"%s\"", statement);
}

void postgres_fingerprint(const char *file, uint8_t ret[32])
{
        postgres_must("openssl x509 -in %s -outform DER | sha256sum", file);
        for (size_t i = 0; i < 32; i++)
                ck_assert_int_eq(sscanf(postgres.output + 2 * i, "%2hhx", &ret[i]), 1);
}

int64_t postgres_within(int64_t msec)
{
        return clock_boottime() + msec * USEC_PER_MSEC;
}

/* The policy's view of what lies below the directory. */
static void describe(void)
{
        static char directories[2][POSTGRES_PATH_MAX], owner[64];
        static char server_name[] = "server", client_name[] = "client", role[] = "app";
        static char server_crt[] = "server.crt", server_key[] = "server.key", root[] = "root.crt";
        static char client_crt[] = "client.crt", client_key[] = "client.key";
        static char localhost[] = "localhost", address[] = "127.0.0.1", name[] = "main";
        static PolicyName names[] = {
                {.text = localhost},
                {.text = address, .is_address = true, .address = {127, 0, 0, 1}, .address_size = 4},
        };

        snprintf(directories[0], sizeof directories[0], "%s/server", postgres.directory);
        snprintf(directories[1], sizeof directories[1], "%s/client", postgres.directory);
        snprintf(owner, sizeof owner, "%s", getpwuid(geteuid())->pw_name);
        postgres.server = (PolicyCertificate){.name = server_name,
                                              .use = POLICY_SERVER,
                                              .names = names,
                                              .n_names = ELEMENTSOF(names),
                                              .directory = directories[0],
                                              .owner = owner,
                                              .owner_uid = geteuid(),
                                              .files = {server_crt, server_key, root}};
        postgres.client = (PolicyCertificate){.name = client_name,
                                              .use = POLICY_CLIENT,
                                              .role = role,
                                              .directory = directories[1],
                                              .owner = owner,
                                              .owner_uid = geteuid(),
                                              .files = {client_crt, client_key, root}};
        postgres.as[0] = &postgres.client;
        postgres.cluster = (PolicyCluster){.name = name,
                                           .data_directory = postgres.data,
                                           .certificate = &postgres.server,
                                           .configuration = postgres.configuration,
                                           .timeout_usec = 5 * USEC_PER_SEC,
                                           .as = postgres.as,
                                           .n_as = 1,
                                           .asks_client_certificates = true};
}

void postgres_create(void)
{
        strcpy(postgres.directory, "/tmp/pgcertd-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(postgres.directory));
        snprintf(postgres.data, sizeof postgres.data, "%s/data", postgres.directory);
        snprintf(postgres.configuration, sizeof postgres.configuration, "%s/pgcertd.conf",
                 postgres.directory);
        find_programs();
        postgres.port = free_port();
        describe();
        postgres_must("mkdir kept; %s", certificates);
        postgres_must("initdb -A trust -N -E UTF8 --locale=C -U %s", postgres.server.owner);
        postgres_must("cp $PGDATA/postgresql.conf initial.conf");
        postgres_configure("", "");
        postgres_rules("");
        postgres_start("");
        postgres_sql("create role app login");
        postgres_stop();
}

void postgres_remove(void)
{
        postgres_run("pg_ctl -m immediate stop");
        ck_assert_int_eq(postgres_run("rm -rf %s", postgres.directory), 0);
}

void postgres_reset(void)
{
        /* One that is stopped by a signal would not end. */
        postgres_run(
                "test -f $PGDATA/postmaster.pid && kill -CONT $(head -1 $PGDATA/postmaster.pid)"
                "; pg_ctl -m immediate stop; rm -f $PGDATA/postmaster.opts log pgcertd.conf"
                "; : >$PGDATA/postgresql.auto.conf; rm -rf server client others"
                "; cp -a kept/* .");
        describe();
        postgres_configure("", "");
        postgres_rules("hostssl all app 127.0.0.1/32 cert\n"
                       "hostnossl all all all reject\n");
}

void postgres_configure(const char *before, const char *after)
{
        postgres_must("cat >$PGDATA/postgresql.conf <<'EOF'\n"
                      "listen_addresses = '127.0.0.1'\nport = %u\nunix_socket_directories = '%s'\n"
                      "fsync = off\nshared_buffers = 8MB\nmax_connections = 20\n"
                      "autovacuum = off\nlog_destination = 'stderr'\n"
                      "%s\ninclude_if_exists = '%s'\n%s\nEOF\n",
                      postgres.port, postgres.directory, before, postgres.configuration, after);
}

void postgres_rules(const char *lines)
{
        postgres_must("printf 'local all all trust\\n%s' >$PGDATA/pg_hba.conf", lines);
}

void postgres_start(const char *options)
{
        ck_assert_msg(postgres_run("pg_ctl -w -l log -o \"%s\" start", options) == 0, "%s",
                      postgres.output);
}

void postgres_stop(void)
{
        postgres_must("pg_ctl -w -m fast stop");
}

void postgres_find(Postmaster *ret)
{
        PostmasterOutcome outcome;
        Error error = {0};

        ck_assert_msg(postmaster_find(postgres.data, &outcome, ret, &error) == 0, "%s", error.text);
        ck_assert_int_eq(outcome, POSTMASTER_RUNNING);
}
