#include "daemon/report.h"

#include "common/clock.h"
#include "daemon/finding.h"

#include <string.h>

/* A time; null for "never". */
static void add_time(Json *json, const char *key, int64_t usec)
{
        if (usec == USEC_INFINITY)
                json_null(json, key);
        else
                json_time(json, key, usec);
}

/* A leaf; null where there is none. generation 0 is not known, and null. */
static void add_leaf(Json *json, const char *key, const CertFacts *leaf, uint32_t generation)
{
        if (!leaf) {
                json_null(json, key);
                return;
        }
        json_object(json, key);
        json_string(json, "serial", leaf->serial);
        json_hex(json, "sha256", leaf->sha256, sizeof leaf->sha256);
        json_time(json, "not_before", leaf->not_before_usec);
        json_time(json, "not_after", leaf->not_after_usec);
        if (generation > 0)
                json_integer(json, "generation", generation);
        else
                json_null(json, "generation");
        json_object_end(json);
}

/* A leaf that is known by its facts alone: its generation is the one on disk, if it is that leaf.
 */
static void add_other_leaf(Json *json, const char *key, const CertFacts *leaf,
                           const ObservedSet *set)
{
        bool is_on_disk = leaf && set && set->has_leaf &&
                          memcmp(leaf->sha256, set->leaf.sha256, sizeof leaf->sha256) == 0;

        add_leaf(json, key, leaf, is_on_disk ? set->generation : 0);
}

static const CertFacts *served_leaf(const ObservedCluster *observed)
{
        return observed && observed->state == CLUSTER_RUNNING &&
                               observed->served.outcome == HANDSHAKE_TLS
                       ? &observed->served.leaf
                       : NULL;
}

static void add_certificate(const Report *report, size_t i, Json *json)
{
        const PolicyCertificate *certificate = &report->policy->certificates[i];
        const PlanCertificate *planned = report_certificate(report, i);
        const ObservedSet *set = report_set(report, i);
        const MemoryCertificate *memory = report->memory && i < report->memory->n_certificates
                                                  ? &report->memory->certificates[i]
                                                  : NULL;
        const CertFacts *disk = set && set->has_leaf ? &set->leaf : NULL;
        const CertFacts *wanted = memory ? memory_wanted(memory, disk) : NULL;
        const char *error = planned ? planned->error : REPORT_NOT_YET;

        if (!error && memory)
                error = memory->attempt.error;
        if (!error && set)
                error = set->problem;
        json_object(json, NULL);
        json_string(json, "name", certificate->name);
        json_string(json, "use", certificate->use == POLICY_SERVER ? "server" : "client");
        json_string(json, "authority", certificate->authority->name);
        json_string(json, "state",
                    certificate_state_name(planned ? planned->state : CERTIFICATE_ERROR));
        add_other_leaf(json, "wanted", wanted ? wanted : disk, set);
        add_leaf(json, "disk", disk, set ? set->generation : 0);
        add_other_leaf(json, "served",
                       certificate->use == POLICY_SERVER
                               ? served_leaf(report_server(report, certificate))
                               : NULL,
                       set);
        add_time(json, "renew_at", planned ? planned->renew_at_usec : USEC_INFINITY);
        json_string(json, "error", error);
        json_object_end(json);
}

static void add_cluster(const Report *report, size_t i, Json *json)
{
        const PolicyCluster *cluster = &report->policy->clusters[i];
        const PlanCluster *planned = report_cluster(report, i);
        const ObservedCluster *observed = report_observed(report, i);
        size_t certificate = (size_t)(cluster->certificate - report->policy->certificates);
        const char *error = planned ? planned->error : REPORT_NOT_YET;

        if (!error && report->memory && i < report->memory->n_clusters)
                error = report->memory->clusters[i].unusable;
        json_object(json, NULL);
        json_string(json, "name", cluster->name);
        json_string(json, "certificate", cluster->certificate->name);
        json_boolean(json, "running", planned && planned->running);
        json_boolean(json, "reachable", planned && planned->reachable);
        add_other_leaf(json, "served", served_leaf(observed), report_set(report, certificate));
        json_string(json, "proof",
                    planned ? cluster_proof_name(planned->proof) : cluster_proof_name(PROOF_OWED));
        json_string(json, "error", error);
        json_object_end(json);
}

static void add_next(const Report *report, Json *json)
{
        const Plan *plan = report->plan;

        json_object(json, "next");
        add_time(json, "at", plan ? plan->next_what_usec : USEC_INFINITY);
        json_string(json, "what", plan ? plan->next_what : NULL);
        json_object_end(json);
}

static void add_policy_error(const Report *report, Json *json)
{
        if (!report->policy_error) {
                json_null(json, "policy_error");
                return;
        }
        json_object(json, "policy_error");
        json_time(json, "since", report->policy_error_since_usec);
        json_string(json, "error", report->policy_error);
        json_object_end(json);
}

static void add_unmanaged(const Report *report, Json *json)
{
        const Leftovers *leftovers = report->memory ? &report->memory->leftovers : NULL;

        json_array(json, "unmanaged");
        for (size_t i = 0; leftovers && i < leftovers->n; i++) {
                json_object(json, NULL);
                json_string(json, "name", leftovers->items[i].certificate);
                json_string(json, "directory", leftovers->items[i].directory);
                json_object_end(json);
        }
        json_array_end(json);
}

/* Adds the members of the answer's object. */
static void add_status(const Report *report, Json *json)
{
        const Policy *policy = report->policy;

        json_integer(json, "version", 1);
        json_array(json, "certificates");
        for (size_t i = 0; policy && i < policy->n_certificates; i++)
                add_certificate(report, i, json);
        json_array_end(json);
        json_array(json, "clusters");
        for (size_t i = 0; policy && i < policy->n_clusters; i++)
                add_cluster(report, i, json);
        json_array_end(json);
        json_array(json, "authorities");
        for (size_t i = 0; policy && i < policy->n_authorities; i++)
                report_authority_json(report, i, json);
        json_array_end(json);
        add_unmanaged(report, json);
        json_integer(json, "health", report_health(report));
        add_next(report, json);
        add_time(json, "looked_at", report->pass_usec ? report->pass_usec : USEC_INFINITY);
        add_policy_error(report, json);
        if (report->clock_sync == CLOCK_SYNC_UNKNOWN)
                json_null(json, "clock_synchronised");
        else
                json_boolean(json, "clock_synchronised", report->clock_sync == CLOCK_SYNCHRONISED);
}

void report_status_json(const Report *report, Text *text)
{
        Json json = {.text = text};

        json_object(&json, NULL);
        add_status(report, &json);
        json_object_end(&json);
        text_add(text, "\n");
}

void report_check_json(const Report *report, Text *text)
{
        Json json = {.text = text};
        Findings findings;

        findings_make(report, &findings);
        json_object(&json, NULL);
        add_status(report, &json);
        json_array(&json, "findings");
        for (size_t i = 0; i < findings.n; i++) {
                const Finding *finding = &findings.items[i];

                json_object(&json, NULL);
                json_string(&json, "kind", finding->kind);
                json_string(&json, "name", finding->name);
                json_integer(&json, "health", finding->health);
                json_string(&json, "what", finding->what);
                json_string(&json, "why", finding->why);
                json_string(&json, "todo", finding->todo);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_object_end(&json);
        text_add(text, "\n");
        text->failed |= findings.failed;
        findings_done(&findings);
}
