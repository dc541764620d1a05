#include "daemon/report.h"

#include "common/clock.h"

#include <string.h>

#define DAY_USEC (24 * 3600 * USEC_PER_SEC)

Health report_health(const Report *report)
{
        return report->pass_usec == 0 || !report->plan ? HEALTH_UNKNOWN : report->plan->health;
}

const ObservedSet *report_set(const Report *report, size_t certificate)
{
        const Observation *observation = report->observation;

        return observation && certificate < observation->n_sets ? &observation->sets[certificate]
                                                                : NULL;
}

const PlanCertificate *report_certificate(const Report *report, size_t certificate)
{
        const Plan *plan = report->plan;

        return plan && certificate < plan->n_certificates ? &plan->certificates[certificate] : NULL;
}

const ObservedCluster *report_observed(const Report *report, size_t cluster)
{
        const Observation *observation = report->observation;

        return observation && cluster < observation->n_clusters ? &observation->clusters[cluster]
                                                                : NULL;
}

const PlanCluster *report_cluster(const Report *report, size_t cluster)
{
        const Plan *plan = report->plan;

        return plan && cluster < plan->n_clusters ? &plan->clusters[cluster] : NULL;
}

const ObservedCluster *report_server(const Report *report, const PolicyCertificate *certificate)
{
        for (size_t i = 0; i < report->policy->n_clusters; i++) {
                const ObservedCluster *observed = report_observed(report, i);

                if (report->policy->clusters[i].certificate == certificate && observed &&
                    observed->state == CLUSTER_RUNNING)
                        return observed;
        }
        return NULL;
}

bool report_is_due(const Report *report, StepVerb verb, size_t object)
{
        const Plan *plan = report->plan;

        for (size_t i = 0; plan && i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];

                if (verb == STEP_VERBS ? step->verb != STEP_LOGIN
                                       : step->verb == verb && step->object == object)
                        return true;
        }
        return false;
}

const char *report_ca_step(StepVerb verb)
{
        if (verb == STEP_PREPARE)
                return "prepare the next CA";
        if (verb == STEP_ANNOUNCE)
                return "announce the next CA";
        if (verb == STEP_ACTIVATE)
                return "activate the next CA";
        if (verb == STEP_RETIRE)
                return "retire a former CA";
        return verb == STEP_EMERGENCY ? "replace the stolen CA" : "make a CA";
}

const char *report_short_time(const Report *report, int64_t usec, char cell[CLOCK_TEXT_MAX])
{
        clock_format(usec, cell);
        if (strlen(cell) != strlen("2026-01-31T12:00:00Z"))
                return cell;
        if (usec >= report->now_usec && usec - report->now_usec < DAY_USEC)
                return memmove(cell, cell + 11, strlen(cell + 11) + 1);
        cell[10] = ' ';
        strcpy(cell + 16, "Z");
        return cell;
}
