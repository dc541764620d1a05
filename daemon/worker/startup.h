/*
 * The first message of PostgreSQL's protocol 3.0, spoken by hand and without TLS: what a client
 * that wants no encryption is told. libpq is not used, because it hides the SQLSTATE of a refused
 * connection, and because only the raw first message tells a refusal from a password prompt.
 *
 * Nothing secret is ever sent, and nothing after the first answer is read.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

enum { STARTUP_ADDRESS_MAX = 64, STARTUP_SQLSTATE = 5, STARTUP_WORDS_MAX = 256 };

typedef enum StartupOutcome {
        STARTUP_REFUSED,  /* by pg_hba.conf, or the connection ended before any answer */
        STARTUP_ACCEPTED, /* pg_hba.conf let it through: authentication was asked for or passed */
        STARTUP_UNAVAILABLE, /* not reached, no answer, starting, stopping, too many clients */
} StartupOutcome;

typedef struct StartupResult {
        StartupOutcome outcome;
        char sqlstate[STARTUP_SQLSTATE + 1]; /* "" where the server sent no error */
        char words[STARTUP_WORDS_MAX];       /* the server's own, or ours where it sent none */
} StartupResult;

/* Asks for a session of user in database. Only memory and descriptors running out is an error. */
int startup_try(const char *address, uint16_t port, const char *user, const char *database,
                int64_t deadline_usec, StartupResult *ret, Error *reterr);

/* Connects to the first of the address's addresses that accepts, and says which one in numbers:
 * listen_addresses may be a name. The descriptor does not block. -errno where none accepts. */
int startup_connect(const char *address, uint16_t port, int64_t deadline_usec, int *ret_fd,
                    char numeric[STARTUP_ADDRESS_MAX], Error *reterr);

/* Waits for events of poll(2). 0, or -ETIMEDOUT once the deadline (clock_boottime()) is over. */
int startup_wait(int fd, short events, int64_t deadline_usec);

/* Whether a server that says so is only busy: starting, stopping, out of clients or resources
 * (classes 53 and 57 of PostgreSQL's errcodes.txt). */
bool startup_is_busy(const char *sqlstate);

/* Copies the first line, trimmed, control characters as spaces, cut at a whole UTF-8 character. */
void startup_words(const char *text, char *buffer, size_t size);
