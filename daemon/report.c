#include "daemon/report.h"

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
