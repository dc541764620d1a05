#include "daemon/report.h"

#include "common/clock.h"
#include "common/duration.h"
#include "daemon/finding.h"
#include "daemon/table.h"

#include <stdio.h>
#include <string.h>

enum { CELL_MAX = 96, NAME_CELL_MAX = POLICY_NAME_MAX + 16 };

/* What a cluster serves, in a word, against what is on disk. */
static const char *served_word(const ObservedCluster *observed, const ObservedSet *set)
{
        if (!observed)
                return "?";
        switch ((ClusterState)observed->state) {
        case CLUSTER_ABSENT:
                return "absent";
        case CLUSTER_DOWN:
                return "down";
        case CLUSTER_UNKNOWN:
        case CLUSTER_STATES:
                return "?";
        case CLUSTER_RUNNING:
                break;
        }
        switch ((HandshakeOutcome)observed->served.outcome) {
        case HANDSHAKE_TLS:
                return set && set->has_leaf &&
                                       memcmp(set->leaf.sha256, observed->served.leaf.sha256,
                                              CERT_FINGERPRINT) == 0
                               ? "yes"
                               : "other";
        case HANDSHAKE_PLAIN:
                return "no TLS";
        case HANDSHAKE_REFUSED:
        case HANDSHAKE_TIMEOUT:
                return "no reply";
        case HANDSHAKE_BROKEN:
                return "broken";
        case HANDSHAKE_NOT_TRIED:
        case HANDSHAKE_OUTCOMES:
                break;
        }
        return "unseen";
}

/* The row's state: of a set that is published, how this cluster takes it, not how another does. */
static const char *state_word(const PlanCertificate *certificate, const PlanCluster *cluster,
                              const ObservedSet *set)
{
        if (!certificate)
                return "?";
        if (!cluster ||
            (certificate->state != CERTIFICATE_OK && certificate->state != CERTIFICATE_OWED &&
             certificate->state != CERTIFICATE_REFUSED))
                return certificate_state_name(certificate->state);
        if (cluster->proof == PROOF_UNVERIFIABLE)
                return "unseen";
        if (cluster->proof != PROOF_PROVEN)
                return cluster_proof_name(cluster->proof);
        /* What was refused was put back for all clusters of the set. */
        if (set && set->refused > set->generation)
                return certificate_state_name(CERTIFICATE_REFUSED);
        return cluster->health == HEALTH_OK ? "ok" : "problem";
}

static void next_cell(const Report *report, const PlanCertificate *planned, char cell[CELL_MAX])
{
        char when[CLOCK_TEXT_MAX];

        if (!planned || planned->renew_at_usec == USEC_INFINITY)
                strcpy(cell, "-");
        else if (planned->state == CERTIFICATE_HELD)
                strcpy(cell, "renew, held");
        else if (planned->renew_at_usec <= report->now_usec)
                strcpy(cell, "renew now");
        else
                snprintf(cell, CELL_MAX, "renew %s",
                         report_short_time(report, planned->renew_at_usec, when));
}

/* The row of a reader; cluster is SIZE_MAX for a set that no cluster uses. */
static void add_row(const Report *report, Table *table, size_t certificate, size_t cluster)
{
        const PolicyCertificate *wanted = &report->policy->certificates[certificate];
        const PlanCertificate *planned = report_certificate(report, certificate);
        const ObservedSet *set = report_set(report, certificate);
        bool is_used = cluster != SIZE_MAX;
        char reader[NAME_CELL_MAX], until[CLOCK_TEXT_MAX], next[CELL_MAX];
        const char *served = wanted->use == POLICY_CLIENT ? "-" : "unused", *valid = "?";

        snprintf(reader, sizeof reader, "%s (%s)",
                 is_used ? report->policy->clusters[cluster].name : wanted->name,
                 wanted->use == POLICY_CLIENT ? "client" : "server");
        if (is_used)
                served = served_word(report_observed(report, cluster), set);
        if (set && set->has_leaf)
                valid = report_short_time(report, set->leaf.not_after_usec, until);
        else if (set && set->state != SET_UNKNOWN)
                valid = "nothing";
        next_cell(report, planned, next);
        table_add_row(
                table,
                (const char *const[TABLE_COLUMNS]){
                        reader,
                        state_word(planned, is_used ? report_cluster(report, cluster) : NULL, set),
                        served,
                        valid,
                        next,
                });
}

static size_t index_of(const Policy *policy, const PolicyCertificate *certificate)
{
        return (size_t)(certificate - policy->certificates);
}

/* Which certificates some cluster uses; the caller frees. NULL where memory ran out. */
static bool *used_certificates(const Policy *policy)
{
        bool *used = calloc(policy->n_certificates + 1, sizeof *used);

        for (size_t i = 0; used && i < policy->n_clusters; i++)
                used[index_of(policy, policy->clusters[i].certificate)] = true;
        return used;
}

/* Adds the table; returns the readers, and counts those that need attention. */
static size_t add_table(const Report *report, Text *text, size_t *ret_troubled)
{
        const Policy *policy = report->policy;
        _cleanup_(table_done) Table table = {0};
        _cleanup_(freep) bool *used = used_certificates(policy);
        size_t n;

        *ret_troubled = 0;
        if (!used) {
                text->failed = true;
                return 0;
        }
        table_add_row(&table, (const char *const[TABLE_COLUMNS]){"READER", "STATE", "SERVED",
                                                                 "VALID UNTIL", "NEXT"});
        for (size_t i = 0; i < policy->n_clusters; i++) {
                size_t certificate = index_of(policy, policy->clusters[i].certificate);
                const PlanCertificate *planned = report_certificate(report, certificate);
                const PlanCluster *cluster = report_cluster(report, i);

                add_row(report, &table, certificate, i);
                *ret_troubled += (planned && planned->health != HEALTH_OK) ||
                                 (cluster && cluster->health != HEALTH_OK);
        }
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PlanCertificate *planned = report_certificate(report, i);

                if (used[i])
                        continue;
                add_row(report, &table, i, SIZE_MAX);
                *ret_troubled += planned && planned->health != HEALTH_OK;
        }
        n = table.n - 1;
        if (n > 0 || table.failed)
                table_format(&table, text);
        return n;
}

/* "server", or "policy /etc/pgcertd/pgcertd.yaml": what a finding is about. */
static void add_subject(const Finding *finding, Text *text)
{
        text_add(text, finding->kind);
        if (finding->name[0])
                text_addf(text, " %s", finding->name);
}

static void add_problems(const Report *report, Text *text)
{
        Findings findings;

        findings_make(report, &findings);
        for (size_t i = 0; i < findings.n; i++) {
                _cleanup_(text_done) Text line = {0};

                add_subject(&findings.items[i], &line);
                text_addf(&line, ": %s", findings.items[i].what);
                text->failed |= line.failed;
                if (i == 0)
                        text_add(text, "\n");
                table_add_paragraph(text, 2, text_content(&line));
        }
        text->failed |= findings.failed;
        findings_done(&findings);
}

/* "; next: renew server at 2026-12-21 09:13:00Z (in 9d 23h)" */
static void add_next(const Report *report, Text *line)
{
        char when[CLOCK_TEXT_MAX], left[DURATION_TEXT_MAX];
        const Plan *plan = report->plan;

        if (!plan || !plan->next_what || plan->next_what_usec == USEC_INFINITY)
                return;
        text_addf(line, "; next: %s at %s", plan->next_what,
                  clock_format(plan->next_what_usec, when));
        if (plan->next_what_usec > report->now_usec)
                text_addf(line, " (in %s)",
                          duration_format_rough(plan->next_what_usec - report->now_usec, left));
}

/* The last line: the health, how many are well, what comes next, how old the answer is. */
static void add_summary(const Report *report, size_t n, size_t troubled, Text *text)
{
        Health health = report_health(report);
        _cleanup_(text_done) Text line = {0};
        char when[CLOCK_TEXT_MAX];

        text_addf(&line, "%s: ", health_name(health));
        if (health == HEALTH_UNKNOWN)
                text_add(&line, "no pass has finished yet; ask again in a few seconds");
        else if (n == 0)
                text_add(&line, "the policy names no certificates");
        else if (troubled > 0)
                text_addf(&line, "%zu of %zu reader%s need%s attention", troubled, n,
                          n == 1 ? "" : "s", troubled == 1 ? "s" : "");
        else if (health == HEALTH_OK)
                text_addf(&line,
                          n == 1 ? "the one reader has what it should have"
                                 : "all %zu readers have what they should have",
                          n);
        else
                text_addf(&line, "%zu reader%s well, but see above", n, n == 1 ? " is" : "s are");
        if (health != HEALTH_UNKNOWN) {
                add_next(report, &line);
                text_addf(&line, "; last looked at %s", clock_format(report->pass_usec, when));
        }
        text->failed |= line.failed;
        text_add(text, "\n");
        table_add_paragraph(text, 0, text_content(&line));
}

void report_status(const Report *report, Text *text)
{
        size_t troubled = 0, n = report->policy ? add_table(report, text, &troubled) : 0;

        if (report->policy)
                report_authority_table(report, text);
        add_problems(report, text);
        add_summary(report, n, troubled, text);
}
