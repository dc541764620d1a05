#include "daemon/worker/startup.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
        PROTOCOL = 3 << 16,
        HEADER = 5,        /* type and length of a message */
        PACKET_MAX = 1024, /* ours */
        ANSWER_MAX = 8192, /* what is read of the server's */
};

int startup_wait(int fd, short events, int64_t deadline_usec)
{
        struct pollfd poller = {.fd = fd, .events = events};

        for (;;) {
                int64_t left = deadline_usec - clock_boottime();
                int r;

                if (left <= 0)
                        return -ETIMEDOUT;
                left = left / USEC_PER_MSEC + 1;
                r = poll(&poller, 1, (int)(left > 60000 ? 60000 : left));
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

bool startup_is_busy(const char *sqlstate)
{
        return strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "57", 2) == 0;
}

void startup_words(const char *text, char *buffer, size_t size)
{
        size_t n;

        while (*text == ' ' || *text == '\t' || *text == '\n')
                text++;
        n = strcspn(text, "\r\n");
        if (n > size - 1) {
                n = size - 1;
                while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
                        n--;
        }
        memcpy(buffer, text, n);
        while (n > 0 && buffer[n - 1] == ' ')
                n--;
        buffer[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)buffer[i] < 0x20 || buffer[i] == 0x7F)
                        buffer[i] = ' ';
}

/* One address; returns the connected descriptor. */
static int connect_one(const struct addrinfo *address, int64_t deadline_usec)
{
        _cleanup_(closep) int fd =
                socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int code = 0, r;
        socklen_t size = sizeof code;

        if (fd < 0)
                return -errno;
        if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
                if (errno != EINPROGRESS)
                        return -errno;
                r = startup_wait(fd, POLLOUT, deadline_usec);
                if (r < 0)
                        return r;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
                        return -errno;
        }
        return code ? -code : TAKE_FD(fd);
}

int startup_connect(const char *address, uint16_t port, int64_t deadline_usec, int *ret_fd,
                    char numeric[STARTUP_ADDRESS_MAX], Error *reterr)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
        struct addrinfo *found = NULL;
        char service[8];
        int r;

        snprintf(service, sizeof service, "%u", port);
        r = getaddrinfo(address, service, &hints, &found);
        if (r != 0)
                return error_set(reterr, EHOSTUNREACH, "%.100s: %s", address, gai_strerror(r));
        r = -EHOSTUNREACH;
        for (const struct addrinfo *a = found; a && r < 0 && r != -ETIMEDOUT; a = a->ai_next) {
                r = connect_one(a, deadline_usec);
                if (r >= 0)
                        getnameinfo(a->ai_addr, a->ai_addrlen, numeric, STARTUP_ADDRESS_MAX, NULL,
                                    0, NI_NUMERICHOST);
        }
        freeaddrinfo(found);
        if (r < 0)
                return error_set(reterr, -r, "%.100s port %u: %s", address, port, strerror(-r));
        *ret_fd = r;
        return 0;
}

static void put_32(uint8_t *place, uint32_t value)
{
        value = htonl(value);
        memcpy(place, &value, sizeof value);
}

static uint32_t get_32(const uint8_t *place)
{
        uint32_t value;

        memcpy(&value, place, sizeof value);
        return ntohl(value);
}

/* StartupMessage; returns its size, 0 where it does not fit. */
static size_t format_packet(uint8_t packet[PACKET_MAX], const char *user, const char *database)
{
        const char *const parts[] = {"user",   user, "database", database, "application_name",
                                     "pgcertd"};
        size_t size = 8;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                size_t n = strlen(parts[i]) + 1;

                if (n > PACKET_MAX - 1 - size)
                        return 0;
                memcpy(packet + size, parts[i], n);
                size += n;
        }
        packet[size++] = 0;
        put_32(packet, (uint32_t)size);
        put_32(packet + 4, PROTOCOL);
        return size;
}

/* Reads until size bytes are there, the end, or the deadline; returns how many, or -errno. */
static ssize_t read_some(int fd, uint8_t *data, size_t size, int64_t deadline_usec)
{
        size_t done = 0;

        while (done < size) {
                int r = startup_wait(fd, POLLIN, deadline_usec);
                ssize_t n;

                if (r < 0)
                        return r;
                n = recv(fd, data + done, size - done, 0);
                if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
                        break;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                done += n > 0 ? (size_t)n : 0;
        }
        return (ssize_t)done;
}

/* An ErrorResponse's fields, each a letter and a string ("Error and Notice Message Fields"). */
static const char *find_field(const char *fields, size_t size, char letter)
{
        for (size_t at = 0; at < size && fields[at];) {
                size_t n = strnlen(fields + at + 1, size - at - 1);

                if (at + 1 + n >= size)
                        return "";
                if (fields[at] == letter)
                        return fields + at + 1;
                at += n + 2;
        }
        return "";
}

static void conclude(StartupResult *ret, StartupOutcome outcome, const char *words)
{
        ret->outcome = outcome;
        startup_words(words, ret->words, sizeof ret->words);
}

static void read_error(int fd, size_t size, int64_t deadline_usec, StartupResult *ret)
{
        _cleanup_(freep) char *fields = calloc(1, ANSWER_MAX + 1);
        ssize_t n;

        /* A postmaster that cannot fork answers in the form of 1996: no length, only text. */
        if (!fields || size > ANSWER_MAX) {
                conclude(ret, STARTUP_UNAVAILABLE, "the server cannot start a session");
                return;
        }
        n = read_some(fd, (uint8_t *)fields, size, deadline_usec);
        if (n < (ssize_t)size) {
                conclude(ret, STARTUP_UNAVAILABLE, "the server's answer is not whole");
                return;
        }
        snprintf(ret->sqlstate, sizeof ret->sqlstate, "%s", find_field(fields, size, 'C'));
        /* By SQLSTATE, for texts may be translated: pg_hba.conf rejects, or has no entry. What the
         * rules let pass is told by an authentication message before any error. */
        conclude(ret, strcmp(ret->sqlstate, "28000") == 0 ? STARTUP_REFUSED : STARTUP_UNAVAILABLE,
                 find_field(fields, size, 'M'));
}

static void read_answer(int fd, int64_t deadline_usec, StartupResult *ret)
{
        uint8_t header[HEADER];
        ssize_t n = read_some(fd, header, sizeof header, deadline_usec);

        if (n == 0)
                conclude(ret, STARTUP_REFUSED, "the server closed the connection");
        else if (n < 0)
                conclude(ret, STARTUP_UNAVAILABLE, strerror((int)-n));
        else if (n == HEADER && header[0] == 'R')
                conclude(ret, STARTUP_ACCEPTED, "the server asked for authentication");
        else if (n == HEADER && header[0] == 'E')
                read_error(fd, (size_t)get_32(header + 1) - 4, deadline_usec, ret);
        else
                conclude(ret, STARTUP_UNAVAILABLE, "what answers is not a PostgreSQL");
}

int startup_try(const char *address, uint16_t port, const char *user, const char *database,
                int64_t deadline_usec, StartupResult *ret, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char numeric[STARTUP_ADDRESS_MAX];
        uint8_t packet[PACKET_MAX];
        size_t size = format_packet(packet, user, database);
        Error error;
        int r;

        *ret = (StartupResult){0};
        if (size == 0)
                return error_set(reterr, EINVAL, "the names of role and database are too long");
        r = startup_connect(address, port, deadline_usec, &fd, numeric, &error);
        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) {
                if (reterr)
                        *reterr = error;
                return r;
        }
        if (r < 0)
                conclude(ret, STARTUP_UNAVAILABLE, error.text);
        else if (send(fd, packet, size, MSG_NOSIGNAL) != (ssize_t)size) /* fits into the buffer */
                conclude(ret, STARTUP_UNAVAILABLE, strerror(errno));
        else
                read_answer(fd, deadline_usec, ret);
        return 0;
}
