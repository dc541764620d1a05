#include "daemon/report.h"

typedef struct Outcome {
        const char *name;
        const char *state; /* the certificate's, in a word */
        const char *serial;
        const char *error;
        int status;
} Outcome;

/* A pass that could not issue the leaf that was asked for left a failed try; without one it was
 * issued and published. */
static int judge(const MemoryCertificate *memory, const PlanCertificate *plan)
{
        if (memory->attempt.failures > 0)
                return 2;
        switch (plan->state) {
        case CERTIFICATE_OK:
        case CERTIFICATE_DUE: /* the new leaf is short-lived: it is due again already */
                return 0;
        case CERTIFICATE_OWED:
                return 1;
        case CERTIFICATE_REFUSED:
        case CERTIFICATE_FOREIGN:
        case CERTIFICATE_HELD:
        case CERTIFICATE_EXPIRED:
        case CERTIFICATE_ERROR:
        case CERTIFICATE_STATES:
                break;
        }
        return 2;
}

static Outcome find_outcome(const Report *report, size_t index)
{
        const MemoryCertificate *memory = &report->memory->certificates[index];
        const PlanCertificate *plan = &report->plan->certificates[index];
        const ObservedSet *set = &report->observation->sets[index];
        const CertFacts *wanted = memory_wanted(memory, set->has_leaf ? &set->leaf : NULL);

        return (Outcome){
                .name = report->policy->certificates[index].name,
                /* That a set is well all the same does not say that it was renewed. */
                .state = plan->state == CERTIFICATE_OK ? "not renewed"
                                                       : certificate_state_name(plan->state),
                .serial = wanted ? wanted->serial : NULL,
                .error = memory->attempt.failures > 0 ? memory->attempt.error : plan->error,
                .status = judge(memory, plan),
        };
}

/* The i-th of those that were asked for: all where none is named. False past the last. */
static bool next_outcome(const Report *report, char *const *names, size_t n, size_t i, Outcome *ret)
{
        const Policy *policy = report->policy;
        const PolicyCertificate *certificate;

        if (i >= (n > 0 ? n : policy->n_certificates))
                return false;
        certificate = n > 0 ? policy_find_certificate(policy, names[i]) : &policy->certificates[i];
        if (certificate)
                *ret = find_outcome(report, (size_t)(certificate - policy->certificates));
        else /* it was there when it was asked for */
                *ret = (Outcome){.name = names[i],
                                 .state = "not renewed",
                                 .error = "the policy does not have it any more",
                                 .status = 2};
        return true;
}

static void add_line(const Outcome *outcome, Text *text)
{
        const char *serial = outcome->serial ? outcome->serial : "?";
        const char *error = outcome->error;

        if (outcome->status == 0)
                text_addf(text, "%s: renewed, serial %s\n", outcome->name, serial);
        else if (outcome->status == 1)
                text_addf(text, "%s: published, serial %s; the proof is owed%s%s\n", outcome->name,
                          serial, error ? ": " : "", error ? error : "");
        else
                text_addf(text, "%s: %s: %s\n", outcome->name, outcome->state,
                          error ? error : "not renewed");
}

static void add_object(const Outcome *outcome, Json *json)
{
        static const char *const words[] = {"renewed", "owed", "failed"};

        json_object(json, NULL);
        json_string(json, "name", outcome->name);
        json_string(json, "outcome", words[outcome->status]);
        /* The one last issued is an earlier one where nothing came of the request. */
        json_string(json, "serial", outcome->status < 2 ? outcome->serial : NULL);
        json_string(json, "error", outcome->status > 0 ? outcome->error : NULL);
        json_object_end(json);
}

int report_renewal(const Report *report, char *const *names, size_t n, Text *text)
{
        Outcome outcome;
        int worst = 0;

        for (size_t i = 0; next_outcome(report, names, n, i, &outcome); i++) {
                add_line(&outcome, text);
                worst = outcome.status > worst ? outcome.status : worst;
        }
        return worst;
}

int report_renewal_json(const Report *report, char *const *names, size_t n, Text *text)
{
        Json json = {.text = text};
        Outcome outcome;
        int worst = 0;

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_array(&json, "certificates");
        for (size_t i = 0; next_outcome(report, names, n, i, &outcome); i++) {
                add_object(&outcome, &json);
                worst = outcome.status > worst ? outcome.status : worst;
        }
        json_array_end(&json);
        json_object_end(&json);
        text_add(text, "\n");
        return worst;
}
