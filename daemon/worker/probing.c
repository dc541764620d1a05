#include "daemon/worker/probing.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/fdio.h"
#include "daemon/worker/probereport.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TIMEOUT_USEC (10 * USEC_PER_SEC)
#define TIMEOUT_MAX_USEC USEC_PER_HOUR

enum {
        OPTION_CA = 256,
        OPTION_NAME,
        OPTION_WARNING,
        OPTION_CRITICAL,
        OPTION_TIMEOUT,
        OPTION_DIRECT,
        OPTION_JSON,
        OPTION_PROMETHEUS,
        OPTION_HELP,
};

static const struct option options[] = {
        {"ca", required_argument, NULL, OPTION_CA},
        {"name", required_argument, NULL, OPTION_NAME},
        {"warning", required_argument, NULL, OPTION_WARNING},
        {"critical", required_argument, NULL, OPTION_CRITICAL},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"direct", no_argument, NULL, OPTION_DIRECT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"prometheus", no_argument, NULL, OPTION_PROMETHEUS},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
};

static const char usage[] =
        "Usage: pgcertctl probe [OPTION...] HOST[:PORT] ...\n"
        "\n"
        "Shows which certificate these PostgreSQLs, or poolers, serve now.\n"
        "\n"
        "  --ca FILE        verify with this trust bundle, as a client's sslrootcert\n"
        "  --name NAME      the host name to ask for and to match; each host's own\n"
        "  --warning SPAN   of life left, 14d or a number of days; a quarter of its life\n"
        "  --critical SPAN  the same; a tenth of its life\n"
        "  --timeout SPAN   for each host, 10s or a number of seconds\n"
        "  --direct         TLS from the first byte (PostgreSQL 17)\n"
        "  --json           answer in JSON\n"
        "  --prometheus     answer in Prometheus' text format\n"
        "\n"
        "Exit status: 0 OK, 1 warning, 2 critical, 3 unknown. See pgcertctl(1).\n";

/* A span, or as monitoring plugins have it a bare number of unit_usec. */
static int parse_span(const char *option, const char *text, int64_t unit_usec, int64_t *ret,
                      Error *reterr)
{
        size_t length = strlen(text);
        int r;

        if (length > 0 && length < 6 && strspn(text, "0123456789") == length) {
                *ret = strtoll(text, NULL, 10) * unit_usec;
                return 0;
        }
        r = duration_parse(text, ret, reterr);
        return r < 0 ? error_prefix(reterr, "--%s", option) : 0;
}

static int take_option(int option, ProbeOptions *ret, Error *reterr)
{
        switch (option) {
        case OPTION_CA:
                ret->ca_file = optarg;
                return 0;
        case OPTION_NAME:
                ret->name = optarg;
                return 0;
        case OPTION_WARNING:
                return parse_span("warning", optarg, USEC_PER_DAY, &ret->warning_usec, reterr);
        case OPTION_CRITICAL:
                return parse_span("critical", optarg, USEC_PER_DAY, &ret->critical_usec, reterr);
        case OPTION_TIMEOUT:
                return parse_span("timeout", optarg, USEC_PER_SEC, &ret->timeout_usec, reterr);
        case OPTION_DIRECT:
                ret->is_direct = true;
                return 0;
        case OPTION_JSON:
                ret->format = PROBE_JSON;
                return 0;
        case OPTION_PROMETHEUS:
                ret->format = PROBE_PROMETHEUS;
                return 0;
        default:
                return error_set(reterr, EINVAL,
                                 "there is no such option of probe HINT: See pgcertctl probe "
                                 "--help.");
        }
}

static int check_options(const ProbeOptions *options_, Error *reterr)
{
        if (options_->n_hosts == 0)
                return error_set(reterr, EINVAL,
                                 "probe needs a host HINT: pgcertctl probe db1.example.com:5432.");
        if (options_->warning_usec >= 0 && options_->critical_usec > options_->warning_usec)
                return error_set(reterr, EINVAL,
                                 "--critical is more than --warning HINT: A certificate is "
                                 "critical when less of its life is left.");
        if (options_->timeout_usec < USEC_PER_MSEC || options_->timeout_usec > TIMEOUT_MAX_USEC)
                return error_set(reterr, EINVAL, "--timeout must lie between 1ms and 1h");
        return 0;
}

/* 0: probe; 1: help was wanted. */
static int parse(int argc, char *argv[], ProbeOptions *ret, Error *reterr)
{
        int option, r = 0;

        *ret = (ProbeOptions){
                .warning_usec = -1, .critical_usec = -1, .timeout_usec = TIMEOUT_USEC};
        opterr = 0;
        while (r >= 0 && (option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (option == OPTION_HELP)
                        return 1;
                r = take_option(option, ret, reterr);
        }
        if (r < 0)
                return r;
        ret->hosts = argv + optind;
        ret->n_hosts = (size_t)(argc - optind);
        return check_options(ret, reterr);
}

/* A descriptor for each host at once. */
static void raise_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
}

static int fail(const Error *error)
{
        int n;
        const char *hint = error_hint(error, &n);

        fprintf(stderr, "pgcertctl: %.*s\n", n, error->text);
        if (hint)
                fprintf(stderr, "%s\n", hint);
        return HEALTH_UNKNOWN;
}

int probing_main(int argc, char *argv[])
{
        _cleanup_(probe_freep) Probe *probe = NULL;
        _cleanup_(text_done) Text text = {0};
        ProbeOptions wanted;
        Error error = {0};
        int r = parse(argc, argv, &wanted, &error);

        if (r > 0)
                return fputs(usage, stdout) >= 0 && fflush(stdout) == 0 ? HEALTH_OK
                                                                        : HEALTH_UNKNOWN;
        raise_limit();
        if (r >= 0)
                r = probe_run(&wanted, &probe, &error);
        if (r >= 0) {
                probereport_add(probe, &wanted, &text);
                r = text_check(&text, &error);
        }
        if (r >= 0)
                r = fdio_write_all(STDOUT_FILENO, text.data, text.size, "standard output", &error);
        return r < 0 ? fail(&error) : (int)probe_health(probe);
}
