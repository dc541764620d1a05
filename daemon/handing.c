#include "daemon/handing.h"

#include "daemon/takeover.h"

#include <string.h>

bool handing_knows(const Policy *policy, char *const *names, size_t n, Text *unknown)
{
        for (size_t i = 0; i < n; i++) {
                if (policy_find_certificate(policy, names[i]) ||
                    policy_find_cluster(policy, names[i]))
                        continue;
                text_addf(unknown,
                          "the policy has no certificate or cluster \"%.*s\" HINT: See pgcertctl "
                          "status.",
                          POLICY_NAME_MAX, names[i]);
                return false;
        }
        return true;
}

/* The preview of one object; what is what lies there and would become of it. */
static int preview(const char *kind, const char *name, TakeoverVerdict verdict, const Text *why,
                   const char *what, Text *text)
{
        text_addf(text, "%s %s: ", kind, name);
        switch (verdict) {
        case TAKEOVER_NOTHING:
                text_add(text, "nothing of it is foreign\n");
                return 0;
        case TAKEOVER_READY:
                text_addf(text, "%s\n", what);
                return 1;
        case TAKEOVER_UNHEARD:
        case TAKEOVER_REFUSED:
                break;
        }
        text_addf(text, "%s\n", text_content(why));
        return 2;
}

static int preview_certificate(const Report *report, const PolicyCertificate *certificate,
                               Text *text)
{
        size_t index = (size_t)(certificate - report->policy->certificates);
        _cleanup_(text_done) Text why = {0}, what = {0};
        TakeoverVerdict verdict = takeover_judge(report->policy, report->observation, index, &why);

        text_addf(&what,
                  "what lies in %s would be copied as it is, each name would become a link to the "
                  "copy, and a new certificate of authority %s would follow",
                  certificate->directory, certificate->authority->name);
        return preview("certificate", certificate->name, verdict, &why, text_content(&what), text);
}

static int preview_cluster(const Report *report, const PolicyCluster *cluster, Text *text)
{
        size_t index = (size_t)(cluster - report->policy->clusters);
        _cleanup_(text_done) Text why = {0}, what = {0};
        TakeoverVerdict verdict =
                takeover_judge_cluster(report->policy, report->observation, index, &why);

        if (cluster->configuration)
                text_addf(&what, "%s would be written anew with the values that it has",
                          cluster->configuration);
        return preview("cluster", cluster->name, verdict, &why, text_content(&what), text);
}

static int worse(int a, int b)
{
        return a > b ? a : b;
}

int handing_preview(const Report *report, const char *name, Text *text)
{
        const PolicyCertificate *certificate = policy_find_certificate(report->policy, name);
        const PolicyCluster *cluster = policy_find_cluster(report->policy, name);
        int status = 0;

        if (certificate)
                status = preview_certificate(report, certificate, text);
        if (cluster)
                status = worse(status, preview_cluster(report, cluster, text));
        return status;
}

/* Why it is still foreign; NULL where it is not. */
static const char *still_foreign(TakeoverVerdict verdict, Text *why, const char *error)
{
        if (verdict == TAKEOVER_NOTHING)
                return NULL;
        if (why->size > 0)
                return text_content(why);
        return error ? error : "it was not taken over HINT: See the log of pgcertd.";
}

static int certificate_outcome(const Report *report, const PolicyCertificate *certificate,
                               Text *text)
{
        size_t index = (size_t)(certificate - report->policy->certificates);
        const PlanCertificate *plan = &report->plan->certificates[index];
        const Attempt *attempt = &report->memory->certificates[index].attempt;
        const char *error = attempt->failures > 0 ? attempt->error : plan->error, *foreign;
        _cleanup_(text_done) Text why = {0};

        foreign = still_foreign(takeover_judge(report->policy, report->observation, index, &why),
                                &why, error);
        text_addf(text, "certificate %s: ", certificate->name);
        if (foreign || attempt->failures > 0) {
                text_addf(text, "%s: %s\n", certificate_state_name(plan->state),
                          foreign ? foreign : error);
                return 2;
        }
        if (plan->state == CERTIFICATE_OK || plan->state == CERTIFICATE_DUE) {
                text_add(text, "pgcertd's\n");
                return 0;
        }
        text_addf(text, "%s: %s\n", certificate_state_name(plan->state),
                  error ? error : "not looked at");
        return plan->state == CERTIFICATE_OWED ? 1 : 2;
}

static int cluster_outcome(const Report *report, const PolicyCluster *cluster, Text *text)
{
        size_t index = (size_t)(cluster - report->policy->clusters);
        const PlanCluster *plan = &report->plan->clusters[index];
        _cleanup_(text_done) Text why = {0};
        const char *foreign = still_foreign(
                takeover_judge_cluster(report->policy, report->observation, index, &why), &why,
                plan->error);

        text_addf(text, "cluster %s: ", cluster->name);
        if (foreign) {
                text_addf(text, "foreign: %s\n", foreign);
                return 2;
        }
        text_addf(text, "its configuration file is pgcertd's, the certificate is %s%s%s\n",
                  cluster_proof_name(plan->proof), plan->error ? ": " : "",
                  plan->error ? plan->error : "");
        switch (plan->proof) {
        case PROOF_PROVEN:
        case PROOF_UNVERIFIABLE:
                return 0;
        case PROOF_OWED:
                return 1;
        case PROOF_REFUSED:
        case PROOF_STATES:
                break;
        }
        return 2;
}

int handing_outcome(const Report *report, const char *name, Text *text)
{
        const PolicyCertificate *certificate = policy_find_certificate(report->policy, name);
        const PolicyCluster *cluster = policy_find_cluster(report->policy, name);
        int status = 0;

        if (certificate)
                status = certificate_outcome(report, certificate, text);
        if (cluster)
                status = worse(status, cluster_outcome(report, cluster, text));
        return status;
}
