#include "daemon/worker/probereport.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
        PROBE_NAMES_MAX = 100, /* of a certificate that are shown */
        PROBE_INDENT = 12,     /* of what stands beside its heading */
        PROBE_WIDTH = 80,
};

DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);

static void add_clean(Text *text, const char *string, size_t size)
{
        for (size_t i = 0; i < size && string[i]; i++) {
                char c = string[i];

                text_add_bytes(text, c < 0x20 || c >= 0x7F || strchr("|'\"\\", c) ? "?" : &c, 1);
        }
}

static void add_word(Text *text, const char *string)
{
        add_clean(text, string, strlen(string));
}

static void add_subject(Text *text, const X509 *certificate, bool is_issuer)
{
        char line[VIEW_NAME_MAX] = "";

        cert_name(is_issuer ? X509_get_issuer_name(certificate)
                            : X509_get_subject_name(certificate),
                  line, sizeof line, NULL);
        add_word(text, line[0] ? line : "(too long, or empty)");
}

/* Calls add for every dNSName and iPAddress, up to a limit. */
static void each_name(const X509 *leaf, void (*add)(const char *name, void *userdata),
                      void *userdata)
{
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
                X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

        for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < PROBE_NAMES_MAX; i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                _cleanup_(text_done) Text text = {0};
                char address[INET6_ADDRSTRLEN];

                if (name->type == GEN_DNS) {
                        add_clean(&text, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                  (size_t)ASN1_STRING_length(name->d.dNSName));
                } else if (name->type == GEN_IPADD) {
                        int size = ASN1_STRING_length(name->d.iPAddress);

                        if ((size == 4 || size == 16) &&
                            inet_ntop(size == 4 ? AF_INET : AF_INET6,
                                      ASN1_STRING_get0_data(name->d.iPAddress), address,
                                      sizeof address))
                                text_add(&text, address);
                }
                if (text.size > 0 && !text.failed)
                        add(text_content(&text), userdata);
        }
}

static void add_place(Text *text, const ProbeResult *result)
{
        text_addf(text, strchr(result->host, ':') ? "[" : "");
        add_word(text, result->host);
        text_addf(text, "%s:%u", strchr(result->host, ':') ? "]" : "", result->port);
}

static bool is_seen(const ProbeResult *result)
{
        return result->target.served.outcome == HANDSHAKE_TLS && result->view.chain.n > 0;
}

/* Seconds of life left; alerts where fewer than the limits (the plugins' range "N:"). */
static void add_performance(Text *text, const Probe *probe)
{
        const char *before = " | '";

        for (size_t i = 0; i < probe->n; i++) {
                const ProbeResult *result = &probe->results[i];

                if (!is_seen(result))
                        continue;
                text_add(text, before);
                before = " '";
                add_place(text, result);
                text_addf(
                        text, "'=%llds;%lld:;%lld:",
                        (long long)((result->target.served.leaf.not_after_usec - probe->now_usec) /
                                    USEC_PER_SEC),
                        (long long)(result->warning_usec / USEC_PER_SEC),
                        (long long)(result->critical_usec / USEC_PER_SEC));
        }
        text_add(text, "\n");
}

/* How far the last line goes. */
static size_t column(const Text *text)
{
        const char *line = strrchr(text_content(text), '\n');

        return strlen(line ? line + 1 : text_content(text));
}

static void add_listed(const char *name, void *userdata)
{
        Text *text = userdata;
        size_t used = column(text);

        if (used > PROBE_INDENT)
                text_add(text, used + 2 + strlen(name) < PROBE_WIDTH ? ", " : ",\n            ");
        text_add(text, name);
}

static void add_chain(Text *text, const ProbeResult *result)
{
        char until[CLOCK_TEXT_MAX];

        for (size_t i = 1; i < result->view.chain.n; i++) {
                CertFacts facts;

                text_add(text, "  chain     ");
                add_subject(text, result->view.chain.items[i], false);
                if (cert_facts(result->view.chain.items[i], &facts, NULL) >= 0)
                        text_addf(text, "\n            until %s",
                                  clock_format(facts.not_after_usec, until));
                text_add(text, "\n");
        }
        if (result->target.served.chain > result->view.chain.n)
                text_addf(text, "  chain     and %u more\n",
                          result->target.served.chain - (unsigned)result->view.chain.n);
}

static void add_verdict(Text *text, const ProbeResult *result, const ProbeOptions *options)
{
        text_add(text, "  verified  ");
        if (!options->ca_file)
                text_add(text, "no: give --ca FILE, the root.crt of a client");
        else
                text_add(text, result->is_verified ? "yes" : "NO");
        text_addf(text, "; %s ", result->has_name ? "it is for" : "it is NOT for");
        add_word(text, result->target.name);
        text_add(text, "\n");
}

static void add_details(Text *text, const ProbeResult *result, const ProbeOptions *options)
{
        const CertFacts *leaf = &result->target.served.leaf;
        char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];

        text_add(text, "  subject   ");
        add_subject(text, result->view.chain.items[0], false);
        text_add(text, "\n  names     ");
        each_name(result->view.chain.items[0], add_listed, text);
        text_add(text, "\n  issuer    ");
        add_subject(text, result->view.chain.items[0], true);
        text_addf(text, "\n  valid     %s to %s\n  serial    %s\n  sha256    ",
                  clock_format(leaf->not_before_usec, from),
                  clock_format(leaf->not_after_usec, until), leaf->serial);
        text_add_hex(text, leaf->sha256, sizeof leaf->sha256);
        text_add(text, "\n");
        add_chain(text, result);
        text_addf(text, "  TLS       %s, %s", result->target.served.protocol, result->view.cipher);
        if (result->view.alpn[0]) {
                text_add(text, ", ALPN ");
                add_word(text, result->view.alpn);
        }
        text_addf(text, "\n  clients   %s asked for a certificate",
                  result->view.asks_client ? "are" : "are not");
        for (size_t i = 0; i < result->view.n_issuers; i++) {
                text_add(text, i == 0 ? " of\n            " : ", or of\n            ");
                add_word(text, result->view.issuers[i]);
        }
        text_add(text, "\n");
        add_verdict(text, result, options);
}

static void add_line(Text *text, const ProbeResult *result)
{
        text_addf(text, "%s ", health_name(result->health));
        add_place(text, result);
        text_add(text, ": ");
        add_word(text, result->sentence);
}

/* One host: all that is known of it. Several: a line each, the worst first, below a sum. */
static void add_text(const Probe *probe, const ProbeOptions *options, Text *text)
{
        size_t counts[HEALTH_UNKNOWN + 1] = {0};

        if (probe->n == 1) {
                add_line(text, &probe->results[0]);
                add_performance(text, probe);
                if (is_seen(&probe->results[0]))
                        add_details(text, &probe->results[0], options);
                return;
        }
        for (size_t i = 0; i < probe->n; i++)
                counts[probe->results[i].health]++;
        text_addf(text, "%s %zu hosts: %zu ok, %zu warning, %zu critical, %zu unknown",
                  health_name(probe_health(probe)), probe->n, counts[HEALTH_OK],
                  counts[HEALTH_WARNING], counts[HEALTH_CRITICAL], counts[HEALTH_UNKNOWN]);
        add_performance(text, probe);
        for (int health = HEALTH_UNKNOWN; health >= HEALTH_OK; health--)
                for (size_t i = 0; i < probe->n; i++)
                        if (probe->results[i].health == (Health)health) {
                                add_line(text, &probe->results[i]);
                                text_add(text, "\n");
                        }
}

static const char *const outcomes[HANDSHAKE_OUTCOMES] = {
        [HANDSHAKE_NOT_TRIED] = "not_tried", [HANDSHAKE_TLS] = "tls",
        [HANDSHAKE_PLAIN] = "plain",         [HANDSHAKE_REFUSED] = "refused",
        [HANDSHAKE_TIMEOUT] = "timeout",     [HANDSHAKE_BROKEN] = "broken",
};

static void put_name(const char *name, void *userdata)
{
        json_string(userdata, NULL, name);
}

static void put_subject(Json *json, const char *key, const X509 *certificate, bool is_issuer)
{
        _cleanup_(text_done) Text line = {0};

        add_subject(&line, certificate, is_issuer);
        json_string(json, key, text_content(&line));
}

static void put_certificate(Json *json, const char *key, const Cert *certificate)
{
        CertFacts facts;

        json_object(json, key);
        put_subject(json, "subject", certificate, false);
        put_subject(json, "issuer", certificate, true);
        if (cert_facts(certificate, &facts, NULL) >= 0) {
                json_string(json, "serial", facts.serial);
                json_hex(json, "sha256", facts.sha256, sizeof facts.sha256);
                json_time(json, "not_before", facts.not_before_usec);
                json_time(json, "not_after", facts.not_after_usec);
        }
        json_array(json, "names");
        each_name(certificate, put_name, json);
        json_array_end(json);
        json_object_end(json);
}

static void put_served(Json *json, const ProbeResult *result, const ProbeOptions *options)
{
        put_certificate(json, "leaf", result->view.chain.items[0]);
        json_array(json, "chain");
        for (size_t i = 1; i < result->view.chain.n; i++)
                put_certificate(json, NULL, result->view.chain.items[i]);
        json_array_end(json);
        json_string(json, "protocol", result->target.served.protocol);
        json_string(json, "cipher", result->view.cipher);
        json_string(json, "alpn", result->view.alpn[0] ? result->view.alpn : NULL);
        json_boolean(json, "asks_client", result->view.asks_client);
        json_array(json, "client_issuers");
        for (size_t i = 0; i < result->view.n_issuers; i++)
                json_string(json, NULL, result->view.issuers[i]);
        json_array_end(json);
        json_boolean(json, "name_matches", result->has_name);
        if (options->ca_file)
                json_boolean(json, "verified", result->is_verified);
        else
                json_null(json, "verified");
}

static void add_json(const Probe *probe, const ProbeOptions *options, Text *text)
{
        Json json = {.text = text};

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_time(&json, "time", probe->now_usec);
        json_array(&json, "hosts");
        for (size_t i = 0; i < probe->n; i++) {
                const ProbeResult *result = &probe->results[i];

                json_object(&json, NULL);
                json_string(&json, "host", result->host);
                json_integer(&json, "port", result->port);
                json_integer(&json, "health", result->health);
                json_string(&json, "outcome", outcomes[result->target.served.outcome]);
                json_string(&json, "sentence", result->sentence);
                if (is_seen(result))
                        put_served(&json, result, options);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_integer(&json, "health", probe_health(probe));
        json_object_end(&json);
        text_add(text, "\n");
}

typedef struct Metric {
        const char *name, *help;
        bool is_of_seen; /* only of those that served a certificate */
        int64_t (*value)(const ProbeResult *result);
} Metric;

static int64_t value_up(const ProbeResult *result)
{
        return is_seen(result);
}

static int64_t value_health(const ProbeResult *result)
{
        return result->health;
}

static int64_t value_from(const ProbeResult *result)
{
        return result->target.served.leaf.not_before_usec / USEC_PER_SEC;
}

static int64_t value_until(const ProbeResult *result)
{
        return result->target.served.leaf.not_after_usec / USEC_PER_SEC;
}

static int64_t value_named(const ProbeResult *result)
{
        return result->has_name;
}

static int64_t value_verified(const ProbeResult *result)
{
        return result->is_verified;
}

static const Metric metrics[] = {
        {"pgcertd_probe_up", "Whether a certificate was served.", false, value_up},
        {"pgcertd_probe_health", "0 OK, 1 warning, 2 critical, 3 unknown.", false, value_health},
        {"pgcertd_probe_not_before_seconds", "notBefore of the leaf served, Unix time.", true,
         value_from},
        {"pgcertd_probe_not_after_seconds", "notAfter of the leaf served, Unix time.", true,
         value_until},
        {"pgcertd_probe_name_matches", "Whether the leaf is for the name.", true, value_named},
        /* The last one: left out where nothing was verified. */
        {"pgcertd_probe_verified", "Whether the chain verifies with --ca.", true, value_verified},
};

static void add_prometheus(const Probe *probe, const ProbeOptions *options, Text *text)
{
        size_t n = ELEMENTSOF(metrics) - (options->ca_file ? 0 : 1);

        for (size_t m = 0; m < n; m++) {
                text_addf(text, "# HELP %s %s\n# TYPE %s gauge\n", metrics[m].name, metrics[m].help,
                          metrics[m].name);
                for (size_t i = 0; i < probe->n; i++) {
                        const ProbeResult *result = &probe->results[i];

                        if (metrics[m].is_of_seen && !is_seen(result))
                                continue;
                        text_addf(text, "%s{host=\"", metrics[m].name);
                        add_word(text, result->host);
                        text_addf(text, "\",port=\"%u\"} %lld\n", result->port,
                                  (long long)metrics[m].value(result));
                }
        }
}

void probereport_add(const Probe *probe, const ProbeOptions *options, Text *text)
{
        switch (options->format) {
        case PROBE_TEXT:
                add_text(probe, options, text);
                break;
        case PROBE_JSON:
                add_json(probe, options, text);
                break;
        case PROBE_PROMETHEUS:
                add_prometheus(probe, options, text);
                break;
        }
}
