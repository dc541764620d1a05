#include "common/policymodel.h"

#include <string.h>

int policymodel_new(const char *file, Policy **ret, Error *reterr)
{
        Policy *policy = calloc(1, sizeof *policy);

        if (!policy)
                return error_oom(reterr);
        policy->references = 1;
        policy->file = strdup(file);
        if (!policy->file) {
                free(policy);
                return error_oom(reterr);
        }
        *ret = policy;
        return 0;
}

Policy *policymodel_free(Policy *policy)
{
        if (!policy)
                return NULL;
        for (unsigned kind = 0; kind < POLICY_KINDS; kind++)
                free(policy->by_name[kind]);
        free(policy->authorities);
        free(policy->certificates);
        free(policy->clusters);
        free(policy->file);
        arena_done(&policy->arena);
        errors_done(&policy->warnings);
        free(policy);
        return NULL;
}

void *policymodel_objects(const Policy *policy, PolicyKind kind, size_t *ret_n, size_t *ret_size)
{
        switch (kind) {
        case POLICY_AUTHORITIES:
                *ret_n = policy->n_authorities;
                *ret_size = sizeof *policy->authorities;
                return policy->authorities;
        case POLICY_CERTIFICATES:
                *ret_n = policy->n_certificates;
                *ret_size = sizeof *policy->certificates;
                return policy->certificates;
        case POLICY_CLUSTERS:
                *ret_n = policy->n_clusters;
                *ret_size = sizeof *policy->clusters;
                return policy->clusters;
        case POLICY_KINDS:
                break;
        }
        *ret_n = *ret_size = 0;
        return NULL;
}

static int compare_names(const void *a, const void *b)
{
        /* Each object begins with its name. */
        return strcmp(**(char ***)a, **(char ***)b);
}

int policymodel_sort(Policy *policy, Error *reterr)
{
        for (PolicyKind kind = 0; kind < POLICY_KINDS; kind++) {
                size_t n, size;
                char *objects = policymodel_objects(policy, kind, &n, &size);
                void **index = calloc(n > 0 ? n : 1, sizeof *index);

                if (!index)
                        return error_oom(reterr);
                for (size_t i = 0; i < n; i++)
                        index[i] = objects + i * size;
                /* An index beside the objects: they stay in the order of the file, in which they
                 * are shown, and their addresses stay. */
                qsort(index, n, sizeof *index, compare_names);
                free(policy->by_name[kind]);
                policy->by_name[kind] = index;
        }
        return 0;
}

void *policymodel_find(const Policy *policy, PolicyKind kind, const char *name)
{
        const char **wanted = &name;
        void **found;
        size_t n, size;

        policymodel_objects(policy, kind, &n, &size);
        if (!policy->by_name[kind])
                return NULL;
        found = bsearch(&wanted, policy->by_name[kind], n, sizeof wanted, compare_names);
        return found ? *found : NULL;
}
