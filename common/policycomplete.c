#include "common/policycomplete.h"

#include "common/clock.h"
#include "common/nearest.h"
#include "common/policykey.h"
#include "common/policylist.h"
#include "common/policyname.h"
#include "common/policyvalue.h"

#include <errno.h>
#include <string.h>

static void complete_defaults(PolicyDefaults *defaults)
{
        if (defaults->renew_before_usec == 0)
                defaults->renew_before_usec = defaults->lifetime_usec / 3;
        defaults->rekey_always = defaults->rekey_usec == POLICYVALUE_ALWAYS;
        if (defaults->rekey_always || defaults->rekey_usec == 0)
                defaults->rekey_usec = USEC_PER_YEAR;
}

/* A certificate with a lifetime of its own has a third of that as its renew_before: the one from
 * the defaults was meant for another lifetime, and might be longer than this one. */
static void complete_spans(PolicyCertificate *certificate, const PolicyDefaults *defaults)
{
        bool has_lifetime = certificate->lifetime_usec != 0;

        if (!has_lifetime)
                certificate->lifetime_usec = defaults->lifetime_usec;
        if (certificate->renew_before_usec == 0)
                certificate->renew_before_usec =
                        has_lifetime ? certificate->lifetime_usec / 3 : defaults->renew_before_usec;
        certificate->rekey_always = certificate->rekey_usec == POLICYVALUE_ALWAYS ||
                                    (certificate->rekey_usec == 0 && defaults->rekey_always);
        if (certificate->rekey_always || certificate->rekey_usec == 0)
                certificate->rekey_usec = defaults->rekey_usec;
        if (certificate->key == KEY_TYPE_COUNT)
                certificate->key = defaults->key;
}

static void complete_certificate(PolicyDraft *draft, PolicyCertificate *certificate)
{
        const char *cn = certificate->use == POLICY_CLIENT ? certificate->role
                         : certificate->n_names > 0        ? certificate->names[0].text
                                                           : NULL;

        complete_spans(certificate, &draft->policy->defaults);
        for (size_t i = 0; i < POLICY_FILES; i++)
                if (!certificate->files[i])
                        policyvalue_set(draft, &certificate->files[i],
                                        policykey_files[certificate->use][i]);
        if (cn && !policyname_subject_cn(&certificate->subject))
                policylist_add_attribute(draft, &certificate->subject, "CN", cn);
}

/* The name of an object of that kind that was most likely meant, or NULL. */
static const char *find_nearest(const Policy *policy, PolicyKind kind, const char *name)
{
        size_t n, size;
        const char *objects = policymodel_objects(policy, kind, &n, &size), *best = NULL;
        unsigned least = NEAREST_FAR;

        for (size_t i = 0; i < n && least > 1; i++) {
                const char *const *place = (const char *const *)(objects + i * size);
                const char *word = nearest_word(name, place, 1);

                if (word && nearest_distance(name, word) < least) {
                        least = nearest_distance(name, word);
                        best = word;
                }
        }
        return best;
}

/* The object that the node names; refused where there is none. */
static void *resolve(PolicyDraft *draft, PolicyKind kind, YamlNode *node, const char *what)
{
        char excerpt[YAML_EXCERPT_MAX];
        const char *nearest;
        void *found;

        if (!node || node->is_told || node->kind != YAML_TEXT)
                return NULL;
        found = policymodel_find(draft->policy, kind, node->text);
        /* What a broken part of the policy may define is not missing; and past the errors that are
         * kept, no search for the nearest name is worth its time. */
        if (found || draft->is_incomplete || draft->errors->n >= ERRORS_MAX)
                return found;
        nearest = find_nearest(draft->policy, kind, node->text);
        yamlnode_excerpt(node->text, excerpt);
        if (nearest)
                policydraft_refuse(draft, node, "there is no %s \"%s\". HINT: Did you mean %s?",
                                   what, excerpt, nearest);
        else
                policydraft_refuse(draft, node,
                                   "there is no %s \"%s\". HINT: Define it, or name another one.",
                                   what, excerpt);
        return NULL;
}

static const PolicyCertificate *resolve_use(PolicyDraft *draft, YamlNode *node, PolicyUse use)
{
        const PolicyCertificate *found = resolve(draft, POLICY_CERTIFICATES, node, "certificate");
        const YamlNode *written;

        if (!found)
                return NULL;
        written = yamlnode_find(policydraft_node(draft, POLICY_CERTIFICATES,
                                                 (size_t)(found - draft->policy->certificates)),
                                "use");
        if (!written || written->is_told || found->use == use)
                return found;
        policydraft_refuse(draft, node,
                           use == POLICY_SERVER
                                   ? "%s is a client's certificate. HINT: Name one with use: "
                                     "server."
                                   : "%s is a server's certificate. HINT: Name one with use: "
                                     "client.",
                           found->name);
        return NULL;
}

static int compare_pointers(const void *a, const void *b)
{
        const void *x = *(void *const *)a, *y = *(void *const *)b;

        return (x > y) - (x < y);
}

/* Refuses a client that a cluster lists twice. */
static int check_twice(PolicyDraft *draft, YamlNode *list, const PolicyCluster *cluster)
{
        _cleanup_(freep) const PolicyCertificate **sorted = NULL;

        if (cluster->n_as < 2)
                return 0;
        sorted = calloc(cluster->n_as, sizeof *sorted);
        if (!sorted)
                return policydraft_oom(draft);
        memcpy(sorted, cluster->as, cluster->n_as * sizeof *sorted);
        qsort(sorted, cluster->n_as, sizeof *sorted, compare_pointers);
        for (size_t i = 1; i < cluster->n_as; i++)
                if (sorted[i] == sorted[i - 1]) {
                        policydraft_refuse(draft, list,
                                           "%s is listed twice. HINT: Remove one of "
                                           "them.",
                                           sorted[i]->name);
                        return 0;
                }
        return 0;
}

static int complete_cluster(PolicyDraft *draft, size_t i)
{
        PolicyCluster *cluster = &draft->policy->clusters[i];
        YamlNode *node = policydraft_node(draft, POLICY_CLUSTERS, i), *list;

        cluster->certificate =
                resolve_use(draft, yamlnode_find(node, "certificate"), POLICY_SERVER);
        list = yamlnode_find(yamlnode_find(node, "verify"), "as");
        if (!list || list->is_told || list->n == 0)
                return 0;
        cluster->as = policydraft_get(draft, list->n * sizeof *cluster->as);
        if (!cluster->as)
                return -ENOMEM;
        for (size_t j = 0; j < list->n; j++) {
                const PolicyCertificate *client =
                        resolve_use(draft, &list->children[j], POLICY_CLIENT);

                if (client)
                        cluster->as[cluster->n_as++] = client;
        }
        return check_twice(draft, list, cluster);
}

static int set_asks_client_certificates(PolicyDraft *draft)
{
        Policy *policy = draft->policy;
        _cleanup_(freep) bool *has_client = calloc(policy->n_authorities + 1, sizeof *has_client);

        if (!has_client)
                return policydraft_oom(draft);
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &policy->certificates[i];

                if (certificate->use == POLICY_CLIENT && certificate->authority)
                        has_client[certificate->authority - policy->authorities] = true;
        }
        for (size_t i = 0; i < policy->n_clusters; i++) {
                PolicyCluster *cluster = &policy->clusters[i];
                const PolicyAuthority *authority =
                        cluster->certificate ? cluster->certificate->authority : NULL;

                cluster->asks_client_certificates =
                        cluster->n_as > 0 ||
                        (authority && has_client[authority - policy->authorities]);
        }
        return 0;
}

int policycomplete_policy(PolicyDraft *draft)
{
        Policy *policy = draft->policy;
        int r;

        complete_defaults(&policy->defaults);
        policy->backdate_usec = policy->defaults.backdate_usec;
        for (size_t i = 0; i < policy->n_certificates; i++) {
                YamlNode *node = policydraft_node(draft, POLICY_CERTIFICATES, i);

                complete_certificate(draft, &policy->certificates[i]);
                policy->certificates[i].authority = resolve(
                        draft, POLICY_AUTHORITIES, yamlnode_find(node, "authority"), "authority");
        }
        for (size_t i = 0; i < policy->n_authorities; i++)
                if (policy->authorities[i].key == KEY_TYPE_COUNT)
                        policy->authorities[i].key = policy->defaults.key;
        for (size_t i = 0; i < policy->n_clusters; i++) {
                r = complete_cluster(draft, i);
                if (r < 0)
                        return r;
        }
        return set_asks_client_certificates(draft);
}
