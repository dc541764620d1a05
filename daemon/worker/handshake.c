#include "daemon/worker/handshake.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* PostgreSQL's protocol, section "SSL Session Encryption": length 8, code 80877103. */
static const uint8_t ssl_request[8] = {0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F};
/* "postgresql" as an ALPN name (PostgreSQL 17 knows it, older ones ignore it). */
static const uint8_t alpn[] = {10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};

enum { TARGETS_MAX = 16384, SERVER_TEXT_MAX = 120 };
#define AWAIT_FIRST_USEC (10 * USEC_PER_MSEC)
#define AWAIT_MOST_USEC (500 * USEC_PER_MSEC)
#define LOOK_LEAST_USEC USEC_PER_SEC

typedef enum Stage { STAGE_CONNECT, STAGE_REQUEST, STAGE_ANSWER, STAGE_TLS, STAGE_DONE } Stage;

/* One connection on its way. */
typedef struct Attempt {
        HandshakeTarget *target;
        Stage stage;
        int fd;
        short events; /* what it waits for */
        SSL *ssl;
        struct addrinfo *found;      /* what the address stands for */
        const struct addrinfo *next; /* of these, to be tried next */
} Attempt;

/* Which connection is asked for a client certificate: none has one to give. */
static int on_client_asked(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
        Attempt *attempt = SSL_get_app_data(ssl);

        *certificate = NULL;
        *key = NULL;
        if (attempt->target->view)
                attempt->target->view->asks_client = true;
        return 0;
}

/* Made once: it carries no state of a connection. NULL where memory ran out. */
static SSL_CTX *context(void)
{
        static SSL_CTX *ctx;

        if (ctx)
                return ctx;
        ctx = SSL_CTX_new(TLS_client_method());
        if (!ctx)
                return NULL;
        /* libssl writes with write(2): a peer that is gone shall be an error, not the end. */
        signal(SIGPIPE, SIG_IGN);
        /* To see what is served, an old server has to be talked to as well. Nothing is sent. */
        SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn);
        SSL_CTX_set_client_cert_cb(ctx, on_client_asked);
        return ctx;
}

static void finish(Attempt *attempt, HandshakeOutcome outcome, const char *problem)
{
        attempt->stage = STAGE_DONE;
        attempt->target->served.outcome = (uint8_t)outcome;
        snprintf(attempt->target->problem, sizeof attempt->target->problem, "%.250s", problem);
        if (attempt->ssl)
                SSL_free(attempt->ssl);
        attempt->ssl = NULL;
        closep(&attempt->fd);
        attempt->fd = -1;
        if (attempt->found)
                freeaddrinfo(attempt->found);
        attempt->found = NULL;
        attempt->next = NULL;
}

static void finish_errno(Attempt *attempt, int code)
{
        HandshakeOutcome outcome = code == ETIMEDOUT      ? HANDSHAKE_TIMEOUT
                                   : code == ECONNREFUSED ? HANDSHAKE_REFUSED
                                                          : HANDSHAKE_BROKEN;
        char text[200];

        snprintf(text, sizeof text, "%.80s port %u: %.80s", attempt->target->address,
                 attempt->target->port, strerror(code));
        finish(attempt, outcome, text);
}

static bool is_numeric(const char *address)
{
        uint8_t bytes[16];

        return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

/* listen_addresses may be a name that stands for several addresses, and the server need not listen
 * on each: localhost is often ::1 too. code is why the one before was given up. */
static void connect_next(Attempt *attempt, int code)
{
        while (attempt->next) {
                const struct addrinfo *address = attempt->next;

                attempt->next = address->ai_next;
                closep(&attempt->fd);
                attempt->fd =
                        socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (attempt->fd >= 0 &&
                    (connect(attempt->fd, address->ai_addr, address->ai_addrlen) == 0 ||
                     errno == EINPROGRESS)) {
                        attempt->events = POLLOUT;
                        return;
                }
                code = errno;
        }
        finish_errno(attempt, code);
}

static void start(Attempt *attempt)
{
        const HandshakeTarget *target = attempt->target;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
        char port[8];
        int r;

        if (is_numeric(target->address))
                hints.ai_flags |= AI_NUMERICHOST;
        if (target->resolved) {
                attempt->next = target->resolved;
                connect_next(attempt, EADDRNOTAVAIL);
                return;
        }
        snprintf(port, sizeof port, "%u", target->port);
        r = getaddrinfo(target->address, port, &hints, &attempt->found);
        if (r != 0) {
                attempt->found = NULL;
                finish(attempt, HANDSHAKE_BROKEN, gai_strerror(r));
                return;
        }
        attempt->next = attempt->found;
        connect_next(attempt, EADDRNOTAVAIL);
}

/* Eight bytes fit into the buffer of a fresh connection. */
static void on_request(Attempt *attempt)
{
        ssize_t n = send(attempt->fd, ssl_request, sizeof ssl_request, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != sizeof ssl_request) {
                finish_errno(attempt, n < 0 ? errno : EIO);
                return;
        }
        attempt->stage = STAGE_ANSWER;
        attempt->events = POLLIN;
}

/* The newest protocol that is older than the one named. False where there is none. */
static bool limit_protocol(SSL *ssl, const char *below)
{
        static const struct {
                const char *name;
                int newest;
        } table[] = {
                {"TLSv1.1", TLS1_VERSION},
                {"TLSv1.2", TLS1_1_VERSION},
                {"TLSv1.3", TLS1_2_VERSION},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(below, table[i].name) == 0)
                        return SSL_set_max_proto_version(ssl, table[i].newest) == 1;
        return false;
}

static void begin_tls(Attempt *attempt)
{
        const char *name = attempt->target->name;
        SSL_CTX *ctx = context();

        attempt->ssl = ctx ? SSL_new(ctx) : NULL;
        if (!attempt->ssl || SSL_set_fd(attempt->ssl, attempt->fd) != 1) {
                finish(attempt, HANDSHAKE_BROKEN, "out of memory");
                return;
        }
        SSL_set_app_data(attempt->ssl, attempt);
        if (attempt->target->below && !limit_protocol(attempt->ssl, attempt->target->below)) {
                finish(attempt, HANDSHAKE_NOT_TRIED, "no older protocol can be offered");
                return;
        }
        /* RFC 6066 section 3: no address is a host name. */
        if (name && name[0] && !is_numeric(name))
                SSL_set_tlsext_host_name(attempt->ssl, name);
        attempt->stage = STAGE_TLS;
        attempt->events = POLLOUT;
}

static void on_connected(Attempt *attempt)
{
        int code = 0;
        socklen_t size = sizeof code;

        if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
                code = errno;
        if (code != 0)
                connect_next(attempt, code);
        else if (attempt->target->is_direct)
                begin_tls(attempt);
        else
                attempt->stage = STAGE_REQUEST;
}

/* A server that cannot serve at all answers with an error message before any TLS. */
static void on_server_error(Attempt *attempt)
{
        char text[SERVER_TEXT_MAX] = "", problem[SERVER_TEXT_MAX + 64];
        ssize_t n = recv(attempt->fd, text, sizeof text - 1, 0);

        for (ssize_t i = 0; i < n; i++)
                if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7F)
                        text[i] = ' ';
        snprintf(problem, sizeof problem, "the server answered with an error: %s", text);
        finish(attempt, HANDSHAKE_BROKEN, problem);
}

/* Exactly one byte: what follows belongs to TLS (CVE-2021-23222). */
static void on_answer(Attempt *attempt)
{
        char answer;
        ssize_t n = recv(attempt->fd, &answer, 1, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n < 0)
                finish_errno(attempt, errno);
        else if (n == 0)
                finish(attempt, HANDSHAKE_BROKEN, "the server closed the connection");
        else if (answer == 'S')
                begin_tls(attempt);
        else if (answer == 'N')
                finish(attempt, HANDSHAKE_PLAIN, "the server has no TLS");
        else if (answer == 'E')
                on_server_error(attempt);
        else
                finish(attempt, HANDSHAKE_BROKEN, "what answers is not a PostgreSQL");
}

static void on_certificate(Attempt *attempt)
{
        Served *served = &attempt->target->served;
        X509 *leaf = SSL_get0_peer_certificate(attempt->ssl);
        const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(attempt->ssl);
        Error error;

        if (!leaf || cert_facts(leaf, &served->leaf, &error) < 0) {
                finish(attempt, HANDSHAKE_BROKEN, leaf ? error.text : "no certificate was served");
                return;
        }
        served->chain = chain ? (uint32_t)sk_X509_num(chain) : 0;
        snprintf(served->protocol, sizeof served->protocol, "%s", SSL_get_version(attempt->ssl));
        if (attempt->target->view)
                view_take(attempt->target->view, attempt->ssl);
        /* Said properly, so that the server sees a client that left. */
        SSL_shutdown(attempt->ssl);
        finish(attempt, HANDSHAKE_TLS, "");
}

static void on_tls(Attempt *attempt)
{
        char reason[160] = "it was broken off", problem[220];
        unsigned long code;
        int r, why;

        ERR_clear_error();
        r = SSL_connect(attempt->ssl);
        if (r == 1) {
                on_certificate(attempt);
                return;
        }
        why = SSL_get_error(attempt->ssl, r);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                attempt->events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
                return;
        }
        code = ERR_peek_last_error();
        if (code && ERR_reason_error_string(code))
                snprintf(reason, sizeof reason, "%s", ERR_reason_error_string(code));
        ERR_clear_error();
        /* An OpenSSL that is configured not to speak what it shall offer refuses by itself. */
        attempt->target->is_tls_refused = ERR_GET_REASON(code) != SSL_R_NO_PROTOCOLS_AVAILABLE;
        snprintf(problem, sizeof problem, "the TLS handshake failed: %s", reason);
        finish(attempt, HANDSHAKE_BROKEN, problem);
}

static void advance(Attempt *attempt)
{
        switch (attempt->stage) {
        case STAGE_CONNECT:
                on_connected(attempt);
                break;
        case STAGE_REQUEST:
                on_request(attempt);
                break;
        case STAGE_ANSWER:
                on_answer(attempt);
                break;
        case STAGE_TLS:
                on_tls(attempt);
                break;
        case STAGE_DONE:
                break;
        }
}

/* One poll over all that are under way; returns how many were. */
static size_t turn(Attempt *attempts, struct pollfd *polls, size_t n, int64_t deadline_usec)
{
        int64_t left = deadline_usec - clock_boottime();
        size_t waiting = 0;

        for (size_t i = 0; i < n; i++) {
                bool is_done = attempts[i].stage == STAGE_DONE;

                polls[i] = (struct pollfd){.fd = is_done ? -1 : attempts[i].fd,
                                           .events = attempts[i].events};
                waiting += !is_done;
        }
        if (waiting == 0)
                return 0;
        if (left <= 0) {
                for (size_t i = 0; i < n; i++)
                        if (attempts[i].stage != STAGE_DONE)
                                finish_errno(&attempts[i], ETIMEDOUT);
                return 0;
        }
        if (poll(polls, n, (int)(left / USEC_PER_MSEC > 1000 ? 1000 : left / USEC_PER_MSEC + 1)) >
            0)
                for (size_t i = 0; i < n; i++)
                        if (polls[i].revents && attempts[i].stage != STAGE_DONE)
                                advance(&attempts[i]);
        return waiting;
}

int handshake_run(HandshakeTarget *targets, size_t n, int64_t deadline_usec, Error *reterr)
{
        _cleanup_(freep) Attempt *attempts = NULL;
        _cleanup_(freep) struct pollfd *polls = NULL;

        assert(n <= TARGETS_MAX);
        attempts = calloc(n + 1, sizeof *attempts);
        polls = calloc(n + 1, sizeof *polls);
        if (!attempts || !polls)
                return error_oom(reterr);
        for (size_t i = 0; i < n; i++) {
                targets[i].served = (Served){0};
                if (targets[i].view)
                        view_done(targets[i].view);
                targets[i].problem[0] = '\0';
                targets[i].is_tls_refused = false;
                attempts[i] = (Attempt){.target = &targets[i], .fd = -1};
                start(&attempts[i]);
        }
        while (turn(attempts, polls, n, deadline_usec) > 0)
                ;
        return 0;
}

int handshake_await(HandshakeTarget *target, const uint8_t leaf[CERT_FINGERPRINT],
                    int64_t deadline_usec, Error *reterr)
{
        int64_t pause = AWAIT_FIRST_USEC;

        for (;;) {
                int64_t left = usec_add(clock_boottime(), LOOK_LEAST_USEC);
                /* The last look may end after the deadline: what it sees is the verdict. */
                int r = handshake_run(target, 1, left > deadline_usec ? left : deadline_usec,
                                      reterr);

                if (r < 0)
                        return r;
                if (target->served.outcome == HANDSHAKE_TLS &&
                    memcmp(target->served.leaf.sha256, leaf, CERT_FINGERPRINT) == 0)
                        return 1;
                left = deadline_usec - clock_boottime();
                if (left <= 0 || target->served.outcome == HANDSHAKE_REFUSED)
                        return 0;
                poll(NULL, 0, (int)((pause < left ? pause : left) / USEC_PER_MSEC));
                pause = pause * 2 < AWAIT_MOST_USEC ? pause * 2 : AWAIT_MOST_USEC;
        }
}
