/*
 * The floors of the benchmarks: each does the least that a task needs, with the libraries' cheapest
 * calls, and prints what that took. tests/benchmark.py runs them beside pgcertd, in the same run.
 *
 * They share nothing with pgcertd but its wire, so that what pgcertd does badly shows. A failure
 * ends the program: a floor that did not do its work measures nothing.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/* Each is a command: arguments as in its usage, the exit status back. */
int bench_issue(int argc, char **argv);   /* N [DIRECTORY] */
int bench_renew(int argc, char **argv);   /* TIMES DIRECTORY DATA PORT */
int bench_start(int argc, char **argv);   /* a process that uses libcrypto */
int bench_digest(int argc, char **argv);  /* LIST of files */
int bench_parse(int argc, char **argv);   /* LIST of files */
int bench_request(int argc, char **argv); /* SOCKET FLAGS COMMAND [NAME...] */
int bench_swap(int argc, char **argv);    /* DIRECTORY PAUSE */

/* Ends the program with what failed. */
void bench_check(int is_good, const char *what);

/* Of CLOCK_MONOTONIC; and the line that benchmark.py reads. */
double bench_now(void);
void bench_tell(const char *name, double value);

/* A CA in memory, with all that can be prepared before the first leaf. */
typedef struct BenchCa BenchCa;

BenchCa *bench_ca_new(void);
const X509 *bench_ca_certificate(const BenchCa *ca);
EVP_PKEY *bench_key(void);

/* A leaf for the key, with the server's name localhost. */
X509 *bench_ca_sign(BenchCa *ca, EVP_PKEY *key);

/* Writes a new file of that mode below a directory, synced where asked. */
void bench_write(int directory_fd, const char *name, const void *data, size_t size, unsigned mode,
                 int is_synced);
void bench_write_certificate(int directory_fd, const char *name, const X509 *certificate,
                             int is_synced);
void bench_write_key(int directory_fd, const char *name, EVP_PKEY *key);
