#include "daemon/report.h"

#include "common/clock.h"
#include "daemon/finding.h"
#include "daemon/table.h"

#include <string.h>

/* Adds "  label  text", wrapped. */
static void add_line(Text *text, const char *label, const Text *value)
{
        _cleanup_(text_done) Text line = {0};

        text_addf(&line, "%s: %s", label, text_content(value));
        text->failed |= line.failed || value->failed;
        table_add_paragraph(text, 2, text_content(&line));
}

/* "serial 3f0d…, valid 2026-12-01T12:00:00Z to 2026-12-31T12:00:00Z" */
static void add_leaf(Text *value, const CertFacts *leaf)
{
        char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];

        text_addf(value, "serial %s, valid from %s until %s", leaf->serial,
                  clock_format(leaf->not_before_usec, from),
                  clock_format(leaf->not_after_usec, until));
}

static bool is_same(const CertFacts *a, const CertFacts *b)
{
        return memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

static void add_wanted(const Report *report, size_t i, Text *text)
{
        const PolicyCertificate *certificate = &report->policy->certificates[i];
        const PlanCertificate *planned = report_certificate(report, i);
        _cleanup_(text_done) Text value = {0};
        char when[CLOCK_TEXT_MAX];

        text_addf(&value, "a %s certificate for ",
                  certificate->use == POLICY_SERVER ? "server" : "client");
        if (certificate->use == POLICY_CLIENT)
                text_addf(&value, "the role %s", certificate->role);
        for (size_t j = 0; certificate->use == POLICY_SERVER && j < certificate->n_names; j++)
                text_addf(&value, "%s%s", j ? ", " : "", certificate->names[j].text);
        text_addf(&value, ", signed by %s, owned by %s", certificate->authority->name,
                  certificate->owner);
        if (planned && planned->renew_at_usec != USEC_INFINITY)
                text_addf(&value, ", %s %s",
                          planned->renew_at_usec > report->now_usec ? "renewed at" : "due since",
                          clock_format(planned->renew_at_usec, when));
        add_line(text, "wanted", &value);
}

static void add_disk(const Report *report, size_t i, Text *text)
{
        const PolicyCertificate *certificate = &report->policy->certificates[i];
        const PlanCertificate *planned = report_certificate(report, i);
        const ObservedSet *set = report_set(report, i);
        const MemoryCertificate *memory = report->memory && i < report->memory->n_certificates
                                                  ? &report->memory->certificates[i]
                                                  : NULL;
        const CertFacts *wanted =
                memory && set && set->has_leaf ? memory_wanted(memory, &set->leaf) : NULL;
        _cleanup_(text_done) Text value = {0};

        text_addf(&value, "%s: ", certificate->directory);
        if (!set || set->state == SET_UNKNOWN)
                text_add(&value, "could not be looked at");
        else if (!set->has_leaf)
                text_add(&value,
                         set->state == SET_FOREIGN ? "files that pgcertd did not make" : "nothing");
        else
                add_leaf(&value, &set->leaf);
        if (set && set->has_leaf && set->generation > 0)
                text_addf(&value, " (generation %u)", set->generation);
        if (wanted && !is_same(wanted, &set->leaf))
                text_addf(&value, "; issued last, but not there: serial %s", wanted->serial);
        /* Often it is what is wrong, too, and stands below. */
        if (set && set->problem &&
            !(planned && planned->error && strcmp(planned->error, set->problem) == 0))
                text_addf(&value, "; %s", set->problem);
        add_line(text, "on disk", &value);
}

static void add_outcome(Text *value, const Served *served, const ObservedSet *set)
{
        switch ((HandshakeOutcome)served->outcome) {
        case HANDSHAKE_TLS:
                if (set && set->has_leaf && is_same(&served->leaf, &set->leaf)) {
                        text_addf(value, "what is on disk, over %s", served->protocol);
                } else {
                        text_addf(value,
                                  "another certificate than on disk, over %s: ", served->protocol);
                        add_leaf(value, &served->leaf);
                }
                return;
        case HANDSHAKE_PLAIN:
                text_add(value, "no TLS at all: the server says that it has none");
                return;
        case HANDSHAKE_REFUSED:
                text_add(value, "nothing: no connection is accepted at its address");
                return;
        case HANDSHAKE_TIMEOUT:
                text_add(value, "nothing: it did not answer in time");
                return;
        case HANDSHAKE_BROKEN:
                text_add(value, "nothing: TLS failed before a certificate came");
                return;
        case HANDSHAKE_NOT_TRIED:
        case HANDSHAKE_OUTCOMES:
                break;
        }
        text_add(value, "not seen: it listens on no TCP address");
}

static void add_served(const Report *report, size_t i, const ObservedSet *set, Text *text)
{
        const ObservedCluster *observed = report_observed(report, i);
        const PlanCluster *planned = report_cluster(report, i);
        _cleanup_(text_done) Text value = {0};

        switch (observed ? (ClusterState)observed->state : CLUSTER_UNKNOWN) {
        case CLUSTER_ABSENT:
                text_addf(&value, "nothing: there is no data directory %s",
                          report->policy->clusters[i].data_directory);
                break;
        case CLUSTER_DOWN:
                text_add(&value, "nothing: PostgreSQL is not running");
                break;
        case CLUSTER_RUNNING:
                add_outcome(&value, &observed->served, set);
                if (planned)
                        text_addf(&value, "; %s", cluster_proof_name(planned->proof));
                break;
        case CLUSTER_UNKNOWN:
        case CLUSTER_STATES:
                text_add(&value, "could not be looked at");
                break;
        }
        if (observed && observed->override)
                text_addf(&value, "; overridden: %s", observed->override);
        add_line(text, "served", &value);
}

/* All findings about one object: what, why, and what to do. */
static void add_findings(const Findings *findings, const char *kind, size_t object, Text *text)
{
        for (size_t i = 0; i < findings->n; i++) {
                const Finding *finding = &findings->items[i];
                const struct {
                        const char *label, *value;
                } lines[] = {
                        {"wrong", finding->what},
                        {"matters", finding->why},
                        {"do", finding->todo},
                };

                if (strcmp(finding->kind, kind) != 0 || finding->object != object)
                        continue;
                for (size_t j = 0; j < ELEMENTSOF(lines); j++) {
                        _cleanup_(text_done) Text value = {0};

                        text_add(&value, lines[j].value);
                        add_line(text, lines[j].label, &value);
                }
        }
}

/* "certificate server: ok", at the left margin. */
static void add_heading(Text *text, const char *kind, const char *name, const char *state)
{
        _cleanup_(text_done) Text line = {0};

        text_addf(&line, "%s%s%s%s%s", kind, name[0] ? " " : "", name, state ? ": " : "",
                  state ? state : "");
        text->failed |= line.failed;
        table_add_paragraph(text, 0, text_content(&line));
}

static void add_certificate(const Report *report, const Findings *findings, size_t i, Text *text)
{
        const PlanCertificate *planned = report_certificate(report, i);

        add_heading(text, "certificate", report->policy->certificates[i].name,
                    planned ? certificate_state_name(planned->state) : "not looked at yet");
        add_wanted(report, i, text);
        add_disk(report, i, text);
        add_findings(findings, "certificate", i, text);
        text_add(text, "\n");
}

static void add_cluster(const Report *report, const Findings *findings, size_t i, Text *text)
{
        const PolicyCluster *cluster = &report->policy->clusters[i];
        size_t certificate = (size_t)(cluster->certificate - report->policy->certificates);
        const PlanCluster *planned = report_cluster(report, i);
        _cleanup_(text_done) Text wanted = {0};

        add_heading(text, "cluster", cluster->name,
                    planned ? cluster_proof_name(planned->proof) : "not looked at yet");
        text_addf(&wanted, "the certificate %s", cluster->certificate->name);
        for (size_t j = 0; j < cluster->n_as; j++)
                text_addf(&wanted, "%s%s", j ? ", " : "; logins with ", cluster->as[j]->name);
        if (cluster->plaintext == POLICY_PLAINTEXT_REFUSED)
                text_add(&wanted, "; connections without TLS refused");
        if (cluster->min_protocol)
                text_addf(&wanted, "; nothing older than %s", cluster->min_protocol);
        add_line(text, "wanted", &wanted);
        add_served(report, i, report_set(report, certificate), text);
        add_findings(findings, "cluster", i, text);
        text_add(text, "\n");
}

/* Findings about what has no block of its own. */
static void add_others(const Findings *findings, Text *text)
{
        for (size_t i = 0; i < findings->n; i++) {
                const Finding *finding = &findings->items[i];

                if (strcmp(finding->kind, "certificate") == 0 ||
                    strcmp(finding->kind, "cluster") == 0)
                        continue;
                add_heading(text, finding->kind, finding->name, NULL);
                add_findings(findings, finding->kind, finding->object, text);
                text_add(text, "\n");
        }
}

void report_check(const Report *report, Text *text)
{
        Findings findings;
        const Policy *policy = report->policy;

        findings_make(report, &findings);
        for (size_t i = 0; policy && i < policy->n_certificates; i++)
                add_certificate(report, &findings, i, text);
        for (size_t i = 0; policy && i < policy->n_clusters; i++)
                add_cluster(report, &findings, i, text);
        add_others(&findings, text);
        text_addf(text, "%s: %zu finding%s\n", health_name(report_health(report)), findings.n,
                  findings.n == 1 ? "" : "s");
        text->failed |= findings.failed;
        findings_done(&findings);
}
