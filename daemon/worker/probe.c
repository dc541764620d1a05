/* getaddrinfo_a(3), so that one name that nobody answers for holds up no other, is GNU's. */
#include "daemon/worker/probe.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/fdio.h"
#include "daemon/worker/verification.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PROBE_PORT = 5432, PROBE_CA_FILE_MAX = CERT_FILE_MAX };

static bool is_address(const char *host)
{
        uint8_t bytes[16];

        return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Digits alone, 1 to 65535. */
static bool parse_port(const char *text, uint16_t *ret)
{
        unsigned long port = 0;

        if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
                return false;
        port = strtoul(text, NULL, 10);
        *ret = (uint16_t)port;
        return port > 0 && port <= UINT16_MAX;
}

int probe_parse_host(const char *text, ProbeResult *ret, Error *reterr)
{
        const char *host = text, *end = text + strlen(text), *port = NULL;

        if (text[0] == '[') {
                host = text + 1;
                end = strchr(host, ']');
                if (!end || (end[1] && end[1] != ':'))
                        end = host; /* refused below as empty */
                else if (end[1])
                        port = end + 2;
        } else if (!is_address(text) && strchr(text, ':')) {
                end = strchr(text, ':');
                port = end + 1;
        }
        ret->port = PROBE_PORT;
        if (end == host || (size_t)(end - host) > PROBE_HOST_MAX ||
            (port && !parse_port(port, &ret->port)))
                return error_set(reterr, EINVAL,
                                 "\"%s\" is no host to probe HINT: Write HOST, HOST:PORT or "
                                 "[ADDRESS]:PORT.",
                                 text);
        memcpy(ret->host, host, (size_t)(end - host));
        ret->host[end - host] = '\0';
        return 0;
}

Probe *probe_free(Probe *probe)
{
        if (!probe)
                return NULL;
        for (size_t i = 0; probe->results && i < probe->n; i++) {
                view_done(&probe->results[i].view);
                if (probe->results[i].target.resolved)
                        freeaddrinfo((struct addrinfo *)probe->results[i].target.resolved);
        }
        free(probe->results);
        free(probe);
        return NULL;
}

static int probe_new(const ProbeOptions *options, Probe **ret, Error *reterr)
{
        _cleanup_(probe_freep) Probe *probe = calloc(1, sizeof *probe);

        if (!probe)
                return error_oom(reterr);
        if (options->n_hosts == 0 || options->n_hosts > PROBE_HOSTS_MAX)
                return error_set(reterr, EINVAL, "between 1 and %d hosts can be probed, not %zu",
                                 PROBE_HOSTS_MAX, options->n_hosts);
        probe->results = calloc(options->n_hosts, sizeof *probe->results);
        if (!probe->results)
                return error_oom(reterr);
        for (size_t i = 0; i < options->n_hosts; i++, probe->n++) {
                ProbeResult *result = &probe->results[i];
                int r = probe_parse_host(options->hosts[i], result, reterr);

                if (r < 0)
                        return r;
                result->target.port = result->port;
                result->target.is_direct = options->is_direct;
                result->target.name = options->name ? options->name : result->host;
                result->target.view = &result->view;
                memcpy(result->target.address, result->host, sizeof result->host);
        }
        *ret = TAKE_PTR(probe);
        return 0;
}

typedef struct Lookup {
        struct gaicb request;
        struct addrinfo hints;
        char port[8];
        ProbeResult *result;
} Lookup;

static bool is_pending(const Lookup *lookups, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (gai_error((struct gaicb *)&lookups[i].request) == EAI_INPROGRESS)
                        return true;
        return false;
}

static void await(Lookup *lookups, size_t n, const struct gaicb *const *list, int64_t deadline_usec)
{
        int64_t left;

        while (is_pending(lookups, n) && (left = deadline_usec - clock_boottime()) > 0) {
                struct timespec timeout = {.tv_sec = left / USEC_PER_SEC,
                                           .tv_nsec = left % USEC_PER_SEC * 1000};

                gai_suspend(list, (int)n, &timeout);
        }
}

/* Takes what was found. Returns whether a thread of the C library may still write to it. */
static bool take(Lookup *lookup)
{
        int code = gai_error(&lookup->request);

        if (code == EAI_INPROGRESS && gai_cancel(&lookup->request) != EAI_CANCELED)
                code = gai_error(&lookup->request);
        if (code == 0) {
                lookup->result->target.resolved = lookup->request.ar_result;
        } else {
                lookup->result->health = HEALTH_UNKNOWN;
                snprintf(lookup->result->sentence, sizeof lookup->result->sentence,
                         "its name cannot be resolved: %s",
                         code == EAI_INPROGRESS || code == EAI_CANCELED ? "nobody answered in time"
                                                                        : gai_strerror(code));
        }
        return code == EAI_INPROGRESS;
}

static int resolve(Probe *probe, int64_t deadline_usec, Error *reterr)
{
        Lookup *lookups = calloc(probe->n, sizeof *lookups);
        struct gaicb **list = calloc(probe->n, sizeof *list);
        bool is_used = false;
        size_t n = 0;

        for (size_t i = 0; lookups && list && i < probe->n; i++) {
                Lookup *lookup = &lookups[n];

                if (is_address(probe->results[i].host))
                        continue;
                lookup->result = &probe->results[i];
                lookup->hints =
                        (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
                snprintf(lookup->port, sizeof lookup->port, "%u", probe->results[i].port);
                lookup->request = (struct gaicb){.ar_name = probe->results[i].host,
                                                 .ar_service = lookup->port,
                                                 .ar_request = &lookup->hints};
                list[n++] = &lookup->request;
        }
        if (lookups && list && n > 0 && getaddrinfo_a(GAI_NOWAIT, list, (int)n, NULL) == 0)
                await(lookups, n, (const struct gaicb *const *)list, deadline_usec);
        for (size_t i = 0; lookups && i < n; i++)
                is_used |= take(&lookups[i]);
        free(list);
        if (!lookups || (!list && probe->n > 0))
                return error_oom(reterr);
        /* A lookup that cannot be cancelled writes into its own when it ends; the process is short
         * lived, so that is left to it. */
        if (!is_used)
                free(lookups);
        return 0;
}

/* As libpq does, for a server. NULL where it verifies, otherwise why not. */
static const char *verify(const CertList *chain, const CertList *bundle, int64_t now_usec)
{
        _cleanup_(verification_done) Verification verification = {0};

        if (verification_init(&verification, chain, bundle, now_usec, NULL) < 0 ||
            X509_STORE_CTX_set_purpose(verification.context, X509_PURPOSE_SSL_SERVER) != 1)
                return "out of memory";
        return verification_run(&verification);
}

static bool is_for(X509 *leaf, const char *name)
{
        if (is_address(name) && X509_check_ip_asc(leaf, name, 0) == 1)
                return true;
        return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* Makes the result worse, never better; what is worse is what is told. */
static void blame(ProbeResult *result, Health health, const char *sentence)
{
        if (health <= result->health)
                return;
        result->health = health;
        snprintf(result->sentence, sizeof result->sentence, "%s", sentence);
}

static void judge_dates(ProbeResult *result, int64_t now_usec)
{
        const CertFacts *leaf = &result->target.served.leaf;
        int64_t left = leaf->not_after_usec - now_usec;
        char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX], span[DURATION_TEXT_MAX];
        char sentence[PROBE_SENTENCE_MAX];

        clock_format(now_usec, now);
        if (left <= 0)
                snprintf(sentence, sizeof sentence, "the certificate expired at %s, and it is %s",
                         clock_format(leaf->not_after_usec, at), now);
        else if (now_usec < leaf->not_before_usec)
                snprintf(sentence, sizeof sentence,
                         "the certificate is not valid before %s, and it is %s",
                         clock_format(leaf->not_before_usec, at), now);
        else
                snprintf(sentence, sizeof sentence, "%s left, until %s",
                         duration_format_rough(left, span), clock_format(leaf->not_after_usec, at));
        snprintf(result->sentence, sizeof result->sentence, "%s", sentence);
        if (left <= result->critical_usec || now_usec < leaf->not_before_usec)
                blame(result, HEALTH_CRITICAL, sentence);
        else if (left <= result->warning_usec)
                blame(result, HEALTH_WARNING, sentence);
}

/* The handshake's sentence may begin with the place, which stands in front of ours already. */
static const char *without_place(const ProbeResult *result)
{
        char place[PROBE_HOST_MAX + 16];
        size_t length =
                (size_t)snprintf(place, sizeof place, "%.80s port %u: ", result->target.address,
                                 result->target.port);

        return strncmp(result->target.problem, place, length) == 0 ? result->target.problem + length
                                                                   : result->target.problem;
}

static void judge(ProbeResult *result, const ProbeOptions *options, const CertList *bundle,
                  int64_t now_usec)
{
        const CertFacts *leaf = &result->target.served.leaf;
        int64_t life = leaf->not_after_usec - leaf->not_before_usec;
        const char *why;
        char sentence[PROBE_SENTENCE_MAX];

        if (result->health == HEALTH_UNKNOWN)
                return;
        if (result->target.served.outcome != HANDSHAKE_TLS || result->view.chain.n == 0) {
                blame(result, HEALTH_CRITICAL, without_place(result));
                return;
        }
        result->warning_usec = options->warning_usec >= 0 ? options->warning_usec : life / 4;
        result->critical_usec = options->critical_usec >= 0 ? options->critical_usec : life / 10;
        judge_dates(result, now_usec);
        result->has_name = is_for(result->view.chain.items[0], result->target.name);
        if (options->ca_file) {
                why = verify(&result->view.chain, bundle, now_usec);
                result->is_verified = !why;
                snprintf(sentence, sizeof sentence, "it does not verify with %.400s: %s",
                         options->ca_file, why ? why : "");
                if (why)
                        blame(result, HEALTH_CRITICAL, sentence);
        }
        snprintf(sentence, sizeof sentence,
                 "the certificate is not for %s: verify-full clients refuse it",
                 result->target.name);
        if (!result->has_name)
                blame(result, options->ca_file ? HEALTH_CRITICAL : HEALTH_WARNING, sentence);
}

static int load_ca(const char *file, CertList *ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        int r;

        if (!file)
                return 0;
        r = fdio_read_followed(file, PROBE_CA_FILE_MAX, &bytes, reterr);
        if (r >= 0)
                r = cert_list_parse(bytes.data, bytes.size, ret, reterr);
        return r < 0 ? error_prefix(reterr, "%s", file) : 0;
}

/* Those whose name was found, side by side in one array for the handshakes, and back. */
static int shake_hands(Probe *probe, int64_t timeout_usec, Error *reterr)
{
        _cleanup_(freep) HandshakeTarget *targets = calloc(probe->n, sizeof *targets);
        size_t n = 0;
        int r;

        if (!targets)
                return error_oom(reterr);
        for (size_t i = 0; i < probe->n; i++)
                if (probe->results[i].health != HEALTH_UNKNOWN)
                        targets[n++] = probe->results[i].target;
        r = handshake_run(targets, n, usec_add(clock_boottime(), timeout_usec), reterr);
        n = 0;
        for (size_t i = 0; i < probe->n; i++)
                if (probe->results[i].health != HEALTH_UNKNOWN)
                        probe->results[i].target = targets[n++];
        return r;
}

int probe_run(const ProbeOptions *options, Probe **ret, Error *reterr)
{
        _cleanup_(probe_freep) Probe *probe = NULL;
        _cleanup_(cert_list_done) CertList bundle = {0};
        int r = probe_new(options, &probe, reterr);

        if (r >= 0)
                r = load_ca(options->ca_file, &bundle, reterr);
        if (r >= 0)
                r = resolve(probe, usec_add(clock_boottime(), options->timeout_usec), reterr);
        if (r >= 0)
                r = shake_hands(probe, options->timeout_usec, reterr);
        if (r >= 0)
                probe->now_usec = clock_realtime();
        for (size_t i = 0; r >= 0 && i < probe->n; i++)
                judge(&probe->results[i], options, &bundle, probe->now_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(probe);
        return 0;
}

Health probe_health(const Probe *probe)
{
        Health worst = HEALTH_OK;

        for (size_t i = 0; i < probe->n; i++)
                worst = health_worse(worst, probe->results[i].health);
        return worst;
}
