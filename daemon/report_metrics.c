/*
 * Prometheus' text format, for node_exporter's textfile collector. Instants are absolute, so that a
 * file that nobody writes any more is still right about when things end, and its heartbeat says how
 * old it is. Only what is there now is told: a serial that was replaced leaves nothing behind.
 */
#include "daemon/report.h"

#include "common/clock.h"

#include <stdio.h>

static void begin(Text *text, const char *name, const char *help)
{
        text_addf(text, "# HELP pgcertd_%s %s\n# TYPE pgcertd_%s gauge\n", name, help, name);
}

static void add(Text *text, const char *name, int64_t value)
{
        text_addf(text, "pgcertd_%s %lld\n", name, (long long)value);
}

/* labels is what stands in the braces: names of the policy need no escaping. */
static void add_labelled(Text *text, const char *name, const char *labels, int64_t value)
{
        text_addf(text, "pgcertd_%s{%s} %lld\n", name, labels, (long long)value);
}

enum { LABELS_MAX = 2 * POLICY_NAME_MAX + 128 };

static int64_t seconds(int64_t usec)
{
        return usec / USEC_PER_SEC;
}

static void add_general(const Report *report, Text *text)
{
        begin(text, "build_info", "The version that runs.");
        add_labelled(text, "build_info", "version=\"" PGCERTD_VERSION "\"", 1);
        begin(text, "health", "0 OK, 1 warning, 2 critical, 3 unknown.");
        add(text, "health", report_health(report));
        begin(text, "heartbeat_timestamp_seconds", "When this file was written.");
        add(text, "heartbeat_timestamp_seconds", seconds(report->now_usec));
        begin(text, "pass_timestamp_seconds", "When everything was last looked at; 0 for never.");
        add(text, "pass_timestamp_seconds", seconds(report->pass_usec));
        begin(text, "check_every_seconds", "A heartbeat is never older than this.");
        add(text, "check_every_seconds",
            report->policy ? seconds(report->policy->check_every_usec) : 0);
        begin(text, "policy_valid", "Whether the policy on disk is in force.");
        add(text, "policy_valid", !report->policy_error);
        if (report->clock_sync != CLOCK_SYNC_UNKNOWN) {
                begin(text, "clock_synchronised", "A hint; left out where nobody can be asked.");
                add(text, "clock_synchronised", report->clock_sync == CLOCK_SYNCHRONISED);
        }
        begin(text, "clock_trusted", "0 after a step that is not believed: nothing is issued.");
        add(text, "clock_trusted", !report->memory || !report->memory->clock.is_doubted);
        if (!report->plan || report->plan->next_what_usec == USEC_INFINITY)
                return;
        begin(text, "next_event_timestamp_seconds", "When the next planned step is due.");
        add(text, "next_event_timestamp_seconds", seconds(report->plan->next_what_usec));
}

static const char *certificate_labels(const Report *report, size_t i, const char *more,
                                      char labels[LABELS_MAX])
{
        const PolicyCertificate *certificate = &report->policy->certificates[i];

        snprintf(labels, LABELS_MAX, "certificate=\"%s\",use=\"%s\"%s", certificate->name,
                 certificate->use == POLICY_SERVER ? "server" : "client", more);
        return labels;
}

static void add_ends(const Report *report, Text *text)
{
        char labels[LABELS_MAX];

        begin(text, "certificate_not_after_seconds",
              "notAfter of the leaf, by view: wanted, disk, served.");
        for (size_t i = 0; i < report->policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &report->policy->certificates[i];
                const ObservedSet *set = report_set(report, i);
                const MemoryCertificate *memory =
                        report->memory ? &report->memory->certificates[i] : NULL;
                const ObservedCluster *server = report_server(report, certificate);
                const CertFacts *disk = set && set->has_leaf ? &set->leaf : NULL;
                const CertFacts *wanted = memory ? memory_wanted(memory, disk) : NULL;

                if (wanted)
                        add_labelled(text, "certificate_not_after_seconds",
                                     certificate_labels(report, i, ",view=\"wanted\"", labels),
                                     seconds(wanted->not_after_usec));
                if (set && set->has_leaf)
                        add_labelled(text, "certificate_not_after_seconds",
                                     certificate_labels(report, i, ",view=\"disk\"", labels),
                                     seconds(set->leaf.not_after_usec));
                if (certificate->use == POLICY_SERVER && server &&
                    server->served.outcome == HANDSHAKE_TLS)
                        add_labelled(text, "certificate_not_after_seconds",
                                     certificate_labels(report, i, ",view=\"served\"", labels),
                                     seconds(server->served.leaf.not_after_usec));
        }
}

/* One metric with a value for each certificate that something is planned for. */
static void add_certificates(const Report *report, const char *name, const char *help,
                             bool (*value)(const Report *, size_t, int64_t *), Text *text)
{
        char labels[LABELS_MAX];
        int64_t number;

        begin(text, name, help);
        for (size_t i = 0; i < report->policy->n_certificates; i++)
                if (report_certificate(report, i) && value(report, i, &number))
                        add_labelled(text, name, certificate_labels(report, i, "", labels), number);
}

static bool renewal(const Report *report, size_t i, int64_t *ret)
{
        *ret = seconds(report_certificate(report, i)->renew_at_usec);
        return report_certificate(report, i)->renew_at_usec != USEC_INFINITY;
}

static bool certificate_health(const Report *report, size_t i, int64_t *ret)
{
        *ret = report_certificate(report, i)->health;
        return true;
}

static bool failures(const Report *report, size_t i, int64_t *ret)
{
        *ret = report->memory ? report->memory->certificates[i].attempt.failures : 0;
        return true;
}

static bool refused(const Report *report, size_t i, int64_t *ret)
{
        const ObservedSet *set = report_set(report, i);

        *ret = set && set->refused > set->generation;
        return true;
}

static void add_states(const Report *report, Text *text)
{
        char labels[LABELS_MAX], more[64];

        begin(text, "certificate_state", "1 for the state that it is in.");
        for (size_t i = 0; i < report->policy->n_certificates; i++) {
                const PlanCertificate *planned = report_certificate(report, i);

                if (!planned)
                        continue;
                snprintf(more, sizeof more, ",state=\"%s\"",
                         certificate_state_name(planned->state));
                add_labelled(text, "certificate_state", certificate_labels(report, i, more, labels),
                             1);
        }
}

/* Since when the leaf on disk waits to be seen: it was made then. */
static int64_t owed_since(const Report *report, size_t cluster)
{
        const PolicyCluster *policy = &report->policy->clusters[cluster];
        const ObservedSet *set =
                report_set(report, (size_t)(policy->certificate - report->policy->certificates));

        return set && set->has_leaf
                       ? usec_add(set->leaf.not_before_usec, report->policy->backdate_usec)
                       : 0;
}

static void add_cluster(const Report *report, const char *name, size_t i, const char *more,
                        int64_t value, Text *text)
{
        char labels[LABELS_MAX];

        snprintf(labels, sizeof labels, "cluster=\"%s\"%s", report->policy->clusters[i].name, more);
        add_labelled(text, name, labels, value);
}

static void add_clusters(const Report *report, Text *text)
{
        size_t n = report->plan ? report->plan->n_clusters : 0;
        char more[64];

        begin(text, "cluster_running", "Whether its PostgreSQL runs.");
        for (size_t i = 0; i < n; i++)
                add_cluster(report, "cluster_running", i, "", report->plan->clusters[i].running,
                            text);
        begin(text, "cluster_health", "0 OK, 1 warning, 2 critical, 3 unknown.");
        for (size_t i = 0; i < n; i++)
                add_cluster(report, "cluster_health", i, "", report->plan->clusters[i].health,
                            text);
        begin(text, "cluster_proof", "1 for what is known of the leaf that it serves.");
        for (size_t i = 0; i < n; i++) {
                snprintf(more, sizeof more, ",proof=\"%s\"",
                         cluster_proof_name(report->plan->clusters[i].proof));
                add_cluster(report, "cluster_proof", i, more, 1, text);
        }
        begin(text, "cluster_proof_owed_since_seconds",
              "Since when the leaf on disk was not seen to be served.");
        for (size_t i = 0; i < n; i++)
                if (report->plan->clusters[i].proof == PROOF_OWED)
                        add_cluster(report, "cluster_proof_owed_since_seconds", i, "",
                                    seconds(owed_since(report, i)), text);
        begin(text, "cluster_verified_timestamp_seconds",
              "When another leaf was last seen to be served by it.");
        for (size_t i = 0; i < n && report->memory; i++)
                if (report->memory->clusters[i].has_proven)
                        add_cluster(report, "cluster_verified_timestamp_seconds", i, "",
                                    seconds(report->memory->clusters[i].proven_usec), text);
        begin(text, "cluster_usable", "0 where a login or refusal of `verify` is not as asked.");
        for (size_t i = 0; i < n && report->memory; i++)
                add_cluster(report, "cluster_usable", i, "", !report->memory->clusters[i].unusable,
                            text);
}

static void add_authorities(const Report *report, Text *text)
{
        char labels[LABELS_MAX];

        begin(text, "authority_not_after_seconds", "notAfter of each generation of a CA.");
        for (size_t i = 0; i < report->policy->n_authorities; i++) {
                const ObservedAuthority *authority =
                        report->observation ? &report->observation->authorities[i] : NULL;

                for (size_t g = 0; authority && g < authority->n_generations; g++) {
                        const ObservedGeneration *generation = &authority->generations[g];

                        snprintf(labels, sizeof labels,
                                 "authority=\"%s\",generation=\"%u\",phase=\"%s\"",
                                 report->policy->authorities[i].name, generation->number,
                                 report_phase_name((AuthorityPhase)generation->phase));
                        add_labelled(text, "authority_not_after_seconds", labels,
                                     seconds(generation->facts.not_after_usec));
                }
        }
        begin(text, "authority_next_timestamp_seconds",
              "When the next step of its rollover is due.");
        for (size_t i = 0; report->plan && i < report->plan->n_authorities; i++) {
                const PlanAuthority *planned = &report->plan->authorities[i];

                if (planned->next_verb == STEP_VERBS || planned->next_usec == USEC_INFINITY)
                        continue;
                snprintf(labels, sizeof labels, "authority=\"%s\",step=\"%s\"",
                         report->policy->authorities[i].name, step_verb_name(planned->next_verb));
                add_labelled(text, "authority_next_timestamp_seconds", labels,
                             seconds(planned->next_usec));
        }
}

void report_metrics(const Report *report, Text *text)
{
        add_general(report, text);
        if (!report->policy)
                return;
        add_ends(report, text);
        add_certificates(report, "certificate_renew_at_seconds", "When it is renewed.", renewal,
                         text);
        add_certificates(report, "certificate_health", "0 OK, 1 warning, 2 critical, 3 unknown.",
                         certificate_health, text);
        add_certificates(report, "certificate_failures", "Failed tries in a row.", failures, text);
        add_certificates(report, "certificate_refused",
                         "1 where a PostgreSQL refused its newest generation.", refused, text);
        add_states(report, text);
        add_clusters(report, text);
        add_authorities(report, text);
}
