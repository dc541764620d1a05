#include "daemon/report.h"

#include "common/clock.h"
#include "common/duration.h"
#include "daemon/table.h"

#include <string.h>

/* One thing that lies ahead. */
typedef struct Event {
        int64_t at_usec;
        const char *what; /* "renew", "CA expires" */
        const char *kind; /* "certificate", "authority" */
        const char *name;
} Event;

const char *report_step_object(const Policy *policy, const Step *step, const char **ret_kind)
{
        static const char *const kinds[POLICY_KINDS] = {[POLICY_AUTHORITIES] = "authority",
                                                        [POLICY_CERTIFICATES] = "certificate",
                                                        [POLICY_CLUSTERS] = "cluster"};
        PolicyKind kind = step_kind(step->verb);
        size_t n, size;
        const char *objects = policymodel_objects(policy, kind, &n, &size);

        *ret_kind = kinds[kind];
        /* Every kind of object begins with its name. */
        return step->object < n ? *(char *const *)(objects + step->object * size) : "?";
}

static int by_time(const void *a, const void *b)
{
        const Event *x = a, *y = b;
        int kind = strcmp(x->kind, y->kind);

        if (x->at_usec != y->at_usec)
                return x->at_usec < y->at_usec ? -1 : 1;
        return kind ? kind : strcmp(x->name, y->name);
}

/* The next event of every certificate and CA, in the order of time. The caller frees; NULL where
 * memory ran out. */
static Event *timeline(const Report *report, size_t *ret_n)
{
        const Policy *policy = report->policy;
        const Observation *observation = report->observation;
        Event *events = calloc(policy->n_certificates + policy->n_authorities + 1, sizeof *events);
        size_t n = 0;

        *ret_n = 0;
        if (!events)
                return NULL;
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PlanCertificate *planned = report_certificate(report, i);

                if (planned && planned->renew_at_usec != USEC_INFINITY)
                        events[n++] = (Event){planned->renew_at_usec, "renew", "certificate",
                                              policy->certificates[i].name};
        }
        for (size_t i = 0; observation && i < policy->n_authorities; i++) {
                const ObservedGeneration *current =
                        i < observation->n_authorities
                                ? authority_current(&observation->authorities[i])
                                : NULL;

                if (current)
                        events[n++] = (Event){current->facts.not_after_usec, "expires", "authority",
                                              policy->authorities[i].name};
        }
        qsort(events, n, sizeof *events, by_time);
        *ret_n = n;
        return events;
}

static void add_steps(const Report *report, Text *text)
{
        size_t n = report->plan ? report->plan->n_steps : 0;

        text_add(text, n > 0          ? "Due now, in this order:\n"
                       : report->plan ? "Nothing is due now.\n"
                                      : "No pass has finished yet; ask again in a few seconds.\n");
        for (size_t i = 0; i < n; i++) {
                const Step *step = &report->plan->steps[i];
                _cleanup_(text_done) Text line = {0};
                const char *kind, *name = report_step_object(report->policy, step, &kind);

                text_addf(&line, "%s %s %s%s: %s",
                          step->verb == STEP_AUTHORITY ? "make" : step_verb_name(step->verb), kind,
                          name, step->rekey ? ", with a new key" : "",
                          step->reason ? step->reason : "");
                text->failed |= line.failed;
                table_add_paragraph(text, 2, text_content(&line));
        }
}

static void add_event(const Report *report, const Event *event, Text *text)
{
        char at[CLOCK_TEXT_MAX], left[DURATION_TEXT_MAX];
        _cleanup_(text_done) Text line = {0};

        clock_format(event->at_usec, at);
        if (strcmp(event->kind, "authority") == 0)
                text_addf(&line, "%s the CA of %s %s", at, event->name, event->what);
        else
                text_addf(&line, "%s %s %s", at, event->what, event->name);
        if (event->at_usec > report->now_usec)
                text_addf(&line, " (in %s)",
                          duration_format_rough(event->at_usec - report->now_usec, left));
        text->failed |= line.failed;
        table_add_paragraph(text, 2, text_content(&line));
}

void report_plan(const Report *report, Text *text)
{
        _cleanup_(freep) Event *events = NULL;
        size_t n;

        if (!report->policy) {
                text_add(text, "No policy is in force.\n");
                return;
        }
        add_steps(report, text);
        events = timeline(report, &n);
        text->failed |= !events;
        if (n > 0)
                text_add(text, "\nAhead:\n");
        for (size_t i = 0; events && i < n; i++)
                add_event(report, &events[i], text);
}

static void add_steps_json(const Report *report, Json *json)
{
        for (size_t i = 0; report->plan && i < report->plan->n_steps; i++) {
                const Step *step = &report->plan->steps[i];
                const char *kind, *name = report_step_object(report->policy, step, &kind);

                json_object(json, NULL);
                json_string(json, "verb", step_verb_name(step->verb));
                json_string(json, "kind", kind);
                json_string(json, "name", name);
                json_boolean(json, "rekey", step->rekey);
                json_string(json, "reason", step->reason);
                json_object_end(json);
        }
}

void report_plan_json(const Report *report, Text *text)
{
        Json json = {.text = text};
        _cleanup_(freep) Event *events = NULL;
        size_t n = 0;

        if (report->policy) {
                events = timeline(report, &n);
                text->failed |= !events;
        }
        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_array(&json, "steps");
        if (report->policy)
                add_steps_json(report, &json);
        json_array_end(&json);
        json_array(&json, "timeline");
        for (size_t i = 0; events && i < n; i++) {
                json_object(&json, NULL);
                json_time(&json, "at", events[i].at_usec);
                json_string(&json, "what", events[i].what);
                json_string(&json, "kind", events[i].kind);
                json_string(&json, "name", events[i].name);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_integer(&json, "health", report_health(report));
        json_object_end(&json);
        text_add(text, "\n");
}
