/*
 * How a policy is made: files -> trees (yaml) -> objects as written (policyread, by the tables of
 * policykey) -> complete objects (policycomplete, policybundle) -> judged (policyunique,
 * policyuser, policycheck, policyrule). A stage does not stop the next one, so that all errors are
 * told in one run; a node that was refused is marked in the tree, so that no later stage complains
 * about it again. Only running out of memory ends it early. Sorting by place comes last.
 */
#include "common/policy.h"

#include "common/policybundle.h"
#include "common/policycheck.h"
#include "common/policycomplete.h"
#include "common/policyfiles.h"
#include "common/policyprint.h"
#include "common/policyread.h"
#include "common/policyrule.h"
#include "common/policyunique.h"
#include "common/policyuser.h"
#include "common/yaml.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void policymodel_freep(Policy **policy)
{
        policymodel_free(*policy);
}

static void draft_done(PolicyDraft *draft)
{
        for (size_t i = 0; i < draft->n_roots && draft->roots; i++)
                yamlnode_free(draft->roots[i]);
        free(draft->roots);
        for (unsigned kind = 0; kind < POLICY_KINDS; kind++)
                free(draft->nodes[kind]);
}

/* Everything between the trees and a finished policy. What is wrong is in draft->errors. */
static int build(PolicyDraft *draft)
{
        Error error;

        if (policyread_trees(draft) < 0)
                return -ENOMEM;
        if (policymodel_sort(draft->policy, &error) < 0)
                return errors_add(draft->errors, &error);
        if (policycomplete_policy(draft) < 0 || policyunique_check(draft) < 0 ||
            policyuser_resolve(draft) < 0)
                return -ENOMEM;
        policycheck_objects(draft);
        return policyrule_check(draft) < 0 || policybundle_fill(draft) < 0 ? -ENOMEM : 0;
}

/* Which of the files an error is about; those without a file come first. */
static size_t file_order(const PolicyFiles *files, const Error *error)
{
        for (size_t i = 0; i < files->n; i++)
                if (strncmp(error->file, files->paths[i], ERROR_FILE_MAX - 1) == 0)
                        return i + 1;
        return 0;
}

static bool is_before(const PolicyFiles *files, const Error *a, const Error *b)
{
        size_t x = file_order(files, a), y = file_order(files, b);

        if (x != y)
                return x < y;
        return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* By insertion: there are at most ERRORS_MAX, nearly in order, and equals keep theirs. */
static void sort_errors(const PolicyFiles *files, Errors *errors)
{
        for (size_t i = 1; i < errors->n; i++)
                for (size_t j = i;
                     j > 0 && is_before(files, &errors->items[j], &errors->items[j - 1]); j--) {
                        Error swap = errors->items[j];

                        errors->items[j] = errors->items[j - 1];
                        errors->items[j - 1] = swap;
                }
}

static int parse_files(const PolicyFiles *files, Policy **ret, Errors *errors)
{
        _cleanup_(policymodel_freep) Policy *policy = NULL;
        _cleanup_(draft_done) PolicyDraft draft = {.errors = errors, .n_roots = files->n};
        size_t before = errors->n + errors->omitted;
        Error error;

        if (policymodel_new(files->paths[0], &policy, &error) < 0)
                return errors_add(errors, &error);
        draft.policy = policy;
        policy->tag = policyfiles_tag(files);
        draft.roots = calloc(files->n, sizeof *draft.roots);
        if (!draft.roots)
                return policydraft_oom(&draft);
        for (size_t i = 0; i < files->n; i++)
                yaml_parse(files->paths[i], files->bytes[i].data, files->bytes[i].size,
                           &draft.roots[i], errors);
        build(&draft); /* whatever it returns is among the errors */
        sort_errors(files, errors);
        sort_errors(files, &policy->warnings);
        if (errors->n + errors->omitted > before)
                return errors->n > 0 ? -errors->items[0].code : -ENOMEM;
        *ret = TAKE_PTR(policy);
        return 0;
}

int policy_load(const char *file, Policy **ret, Errors *errors)
{
        _cleanup_(policyfiles_done) PolicyFiles files = {0};
        int r = policyfiles_read(file, &files, errors);

        return r < 0 ? r : parse_files(&files, ret, errors);
}

int policy_parse(const char *file, const void *data, size_t size, Policy **ret, Errors *errors)
{
        char *paths[] = {(char *)file};
        FileBytes bytes[] = {{.data = (uint8_t *)data, .size = size}};
        const PolicyFiles files = {.paths = paths, .bytes = bytes, .n = 1};

        return parse_files(&files, ret, errors);
}

int policy_tag(const char *file, uint64_t *ret, Error *reterr)
{
        _cleanup_(policyfiles_done) PolicyFiles files = {0};
        _cleanup_(errors_done) Errors errors = {0};
        int r = policyfiles_read(file, &files, &errors);

        if (r < 0) {
                if (errors.n == 0)
                        return error_oom(reterr);
                if (reterr)
                        *reterr = errors.items[0];
                return r;
        }
        *ret = policyfiles_tag(&files);
        return 0;
}

Policy *policy_ref(Policy *policy)
{
        assert(policy->references > 0);
        policy->references++;
        return policy;
}

Policy *policy_unref(Policy *policy)
{
        if (!policy)
                return NULL;
        assert(policy->references > 0);
        if (--policy->references == 0)
                policymodel_free(policy);
        return NULL;
}

const PolicyAuthority *policy_find_authority(const Policy *policy, const char *name)
{
        return policymodel_find(policy, POLICY_AUTHORITIES, name);
}

const PolicyCertificate *policy_find_certificate(const Policy *policy, const char *name)
{
        return policymodel_find(policy, POLICY_CERTIFICATES, name);
}

const PolicyCluster *policy_find_cluster(const Policy *policy, const char *name)
{
        return policymodel_find(policy, POLICY_CLUSTERS, name);
}

int64_t policy_outage(const Policy *policy)
{
        return policyrule_outage(policy);
}

void policy_print(const Policy *policy, Text *text)
{
        policyprint_write(policy, text);
}
