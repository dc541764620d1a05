/*
 * The least that a renewal costs, in one process: a leaf for the key that is kept, told to a
 * ledger, a new generation switched to, PostgreSQL signalled, and a handshake that shows the leaf.
 * Four syncs, as pgcertd; and the start of the two processes that it has for worker and signer.
 */
#include "tests/bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES_MAX = 1000, LOOKS_MAX = 10000 };

typedef struct Renewal {
        BenchCa *ca;
        EVP_PKEY *key;
        SSL_CTX *tls;
        int directory_fd, ledger_fd;
        const char *data;
        uint16_t port;
        unsigned long number;
} Renewal;

int bench_start(int argc, char **argv)
{
        unsigned char result[EVP_MAX_MD_SIZE];

        return EVP_Digest(argv[0], strlen(argv[0]), result, NULL, EVP_sha256(), NULL) ? 0 : 1;
}

static void start_processes(void)
{
        static char name[] = "bench", command[] = "start";
        char *const arguments[] = {name, command, NULL};
        pid_t pids[2];

        for (int i = 0; i < 2; i++)
                bench_check(posix_spawn(&pids[i], "/proc/self/exe", NULL, NULL, arguments,
                                        environ) == 0,
                            "a process");
        for (int i = 0; i < 2; i++) {
                int status;

                bench_check(waitpid(pids[i], &status, 0) > 0 && status == 0, "its end");
        }
}

/* The SHA-256 of the leaf that a fresh connection is shown; false where there is no TLS. */
static int served(const Renewal *renewal, unsigned char ret[EVP_MAX_MD_SIZE])
{
        static const unsigned char request[] = {0, 0, 0, 8, 4, 210, 22, 47};
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(renewal->port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), is_seen = 0;
        SSL *tls = SSL_new(renewal->tls);
        char answer;

        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            write(fd, request, sizeof request) == sizeof request && read(fd, &answer, 1) == 1 &&
            answer == 'S' && SSL_set_fd(tls, fd) && SSL_connect(tls) == 1)
                is_seen = X509_digest(SSL_get0_peer_certificate(tls), EVP_sha256(), ret, NULL);
        SSL_free(tls);
        close(fd);
        return is_seen;
}

static void prove(const Renewal *renewal, const X509 *leaf)
{
        unsigned char wanted[EVP_MAX_MD_SIZE] = {0}, seen[EVP_MAX_MD_SIZE] = {0};
        unsigned size;

        bench_check(X509_digest(leaf, EVP_sha256(), wanted, &size), "a digest");
        for (int i = 0; i < LOOKS_MAX; i++) {
                if (served(renewal, seen) && memcmp(wanted, seen, size) == 0)
                        return;
                usleep(1000);
        }
        bench_check(0, "PostgreSQL does not serve the leaf");
}

static void signal_postmaster(const Renewal *renewal)
{
        char path[4096];
        FILE *file;
        int pid = 0;

        snprintf(path, sizeof path, "%s/postmaster.pid", renewal->data);
        file = fopen(path, "re");
        bench_check(file && fscanf(file, "%d", &pid) == 1 && pid > 1, path);
        fclose(file);
        bench_check(kill(pid, SIGHUP) == 0, "the postmaster");
}

static void generation_name(unsigned long number, char ret[64])
{
        snprintf(ret, 64, "generation-%lu", number);
}

static void publish(Renewal *renewal, const X509 *leaf)
{
        char name[64], before[64];
        int fd, before_fd;

        generation_name(renewal->number, before);
        generation_name(++renewal->number, name);
        bench_check(mkdirat(renewal->directory_fd, name, 0755) == 0, name);
        fd = openat(renewal->directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        before_fd = openat(renewal->directory_fd, before, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (before_fd >= 0) {
                bench_check(linkat(before_fd, "server.key", fd, "server.key", 0) == 0 &&
                                    linkat(before_fd, "root.crt", fd, "root.crt", 0) == 0,
                            "links");
                close(before_fd);
        } else {
                bench_write_key(fd, "server.key", renewal->key);
                bench_write_certificate(fd, "root.crt", bench_ca_certificate(renewal->ca), 0);
        }
        bench_write_certificate(fd, "server.crt", leaf, 1);
        bench_check(fsync(fd) == 0, "fsync");
        close(fd);
        bench_check(symlinkat(name, renewal->directory_fd, ".current") == 0 &&
                            renameat(renewal->directory_fd, ".current", renewal->directory_fd,
                                     "current") == 0 &&
                            fsync(renewal->directory_fd) == 0,
                    "the switch");
}

static void renew(Renewal *renewal)
{
        X509 *leaf = bench_ca_sign(renewal->ca, renewal->key);

        bench_check(dprintf(renewal->ledger_fd, "{\"event\":\"issued\",\"number\":%lu}\n",
                            renewal->number) > 0 &&
                            fdatasync(renewal->ledger_fd) == 0,
                    "the ledger");
        publish(renewal, leaf);
        signal_postmaster(renewal);
        prove(renewal, leaf);
        X509_free(leaf);
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* The median of so many renewals, after a first one that is not counted. */
int bench_renew(int argc, char **argv)
{
        static double seconds[TIMES_MAX];
        Renewal renewal = {.ca = bench_ca_new(), .key = bench_key()};
        size_t n = argc == 5 ? strtoul(argv[1], NULL, 10) : 0;

        bench_check(n > 0 && n <= TIMES_MAX, "usage");
        renewal.tls = SSL_CTX_new(TLS_client_method());
        renewal.directory_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        renewal.data = argv[3];
        renewal.port = (uint16_t)strtoul(argv[4], NULL, 10);
        renewal.ledger_fd = openat(renewal.directory_fd, "ledger",
                                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        bench_check(renewal.ledger_fd >= 0, argv[2]);
        renew(&renewal);
        for (size_t i = 0; i < n; i++) {
                double begin_at = bench_now();

                start_processes();
                renew(&renewal);
                seconds[i] = bench_now() - begin_at;
        }
        qsort(seconds, n, sizeof *seconds, compare);
        bench_tell("seconds", seconds[n / 2]);
        return 0;
}
