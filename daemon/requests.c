#include "daemon/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void requests_drop_renewals(Requests *requests)
{
        for (size_t i = 0; i < requests->n_renewals; i++)
                free(requests->renewals[i].name);
        free(TAKE_PTR(requests->renewals));
        requests->n_renewals = 0;
}

void requests_done(Requests *requests)
{
        requests_drop_renewals(requests);
        *requests = (Requests){0};
}

void requests_add(Requests *requests, WorkMode mode)
{
        requests->is_wanted[mode] = true;
}

bool requests_is_empty(const Requests *requests)
{
        for (size_t mode = 0; mode < WORK_MODES; mode++)
                if (requests->is_wanted[mode])
                        return false;
        return true;
}

int requests_add_renewal(Requests *requests, const RequestedRenewal *renewal)
{
        RequestedRenewal *renewals =
                reallocarray(requests->renewals, requests->n_renewals + 1, sizeof *renewals);
        char *copy = strdup(renewal->name);

        if (renewals)
                requests->renewals = renewals;
        if (!renewals || !copy) {
                free(copy);
                return -ENOMEM;
        }
        renewals[requests->n_renewals] = *renewal;
        renewals[requests->n_renewals++].name = copy;
        requests_add(requests, WORK_ACT);
        return 0;
}

WorkMode requests_take_mode(Requests *requests)
{
        for (size_t mode = 0; mode < WORK_MODES; mode++) {
                if (requests->is_wanted[mode]) {
                        requests->is_wanted[mode] = false;
                        return (WorkMode)mode;
                }
        }
        return WORK_ACT;
}

static void take_rotation(const RequestedRenewal *renewal, const Policy *policy, Memory *memory)
{
        const PolicyAuthority *authority = policy_find_authority(policy, renewal->name);
        MemoryAuthority *asked;

        if (!authority)
                return;
        asked = &memory->authorities[authority - policy->authorities];
        asked->is_rotate_requested |= !renewal->is_emergency;
        asked->is_emergency_confirmed |= renewal->is_emergency;
}

static void take_renewal(const RequestedRenewal *renewal, const Policy *policy, Memory *memory)
{
        const PolicyCertificate *certificate = policy_find_certificate(policy, renewal->name);
        MemoryCertificate *asked;

        if (!certificate)
                return;
        asked = &memory->certificates[certificate - policy->certificates];
        asked->is_requested = true;
        asked->is_rekey_requested |= renewal->rekey;
        asked->has_consent |= renewal->is_consent;
}

static void take_cluster(const RequestedRenewal *renewal, const Policy *policy, Memory *memory)
{
        const PolicyCluster *cluster = policy_find_cluster(policy, renewal->name);

        if (cluster)
                memory->clusters[cluster - policy->clusters].has_consent = true;
}

void requests_take_renewals(Requests *requests, const Policy *policy, Memory *memory)
{
        for (size_t i = 0; i < requests->n_renewals; i++) {
                const RequestedRenewal *renewal = &requests->renewals[i];

                if (renewal->is_rotation)
                        take_rotation(renewal, policy, memory);
                else if (renewal->is_cluster)
                        take_cluster(renewal, policy, memory);
                else
                        take_renewal(renewal, policy, memory);
        }
        requests_drop_renewals(requests);
}
