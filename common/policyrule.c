/*
 * An error is told where the span that breaks the rule is written: at the object, or at the
 * defaults that it takes. There it is told once, however many certificates take them, because the
 * node is marked after the first.
 */
#include "common/policyrule.h"

#include "common/clock.h"
#include "common/duration.h"

#include <string.h>

/* What the leaves of an authority have in common. */
typedef struct Leaves {
        bool is_unknown; /* a span of one of them was refused */
        int64_t longest_usec;
        int64_t renew_most_usec;
        int64_t renew_least_usec; /* USEC_INFINITY without leaves */
} Leaves;

/* An authority's leaves, for all authorities. The caller frees it; NULL where memory ran out. */
static Leaves *count_leaves(const Policy *policy)
{
        Leaves *leaves = calloc(policy->n_authorities + 1, sizeof *leaves);

        if (!leaves)
                return NULL;
        for (size_t i = 0; i < policy->n_authorities; i++)
                leaves[i].renew_least_usec = USEC_INFINITY;
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *leaf = &policy->certificates[i];
                Leaves *place;

                if (!leaf->authority)
                        continue;
                place = &leaves[leaf->authority - policy->authorities];
                if (leaf->lifetime_usec > place->longest_usec)
                        place->longest_usec = leaf->lifetime_usec;
                if (leaf->renew_before_usec > place->renew_most_usec)
                        place->renew_most_usec = leaf->renew_before_usec;
                if (leaf->renew_before_usec < place->renew_least_usec)
                        place->renew_least_usec = leaf->renew_before_usec;
        }
        return leaves;
}

static bool spans_are_fit(const YamlNode *node)
{
        return policydraft_is_fit(node, "lifetime") && policydraft_is_fit(node, "renew_before") &&
               policydraft_is_fit(node, "distribute");
}

/* Whether the spans that all rules share were all read. */
static bool is_common_fit(const PolicyDraft *draft)
{
        for (size_t i = 0; i < draft->n_roots; i++)
                if (!draft->roots[i] || !policydraft_is_fit(draft->roots[i], "check_every") ||
                    !policydraft_is_fit(draft->roots[i], "defaults"))
                        return false;
        return !draft->defaults ||
               (spans_are_fit(draft->defaults) && policydraft_is_fit(draft->defaults, "backdate"));
}

/* Where a span of an object comes from: its key, the key in defaults, or the object as a whole. */
static YamlNode *find_origin(const PolicyDraft *draft, YamlNode *node, bool has_defaults)
{
        static const char *const keys[] = {"renew_before", "lifetime"};

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                YamlNode *found = yamlnode_find(node, keys[i]);

                if (found)
                        return found;
        }
        for (size_t i = 0; i < ELEMENTSOF(keys) && has_defaults; i++) {
                YamlNode *found = yamlnode_find(draft->defaults, keys[i]);

                if (found)
                        return found;
        }
        return node;
}

static void check_leaf(PolicyDraft *draft, size_t i)
{
        const Policy *policy = draft->policy;
        const PolicyCertificate *leaf = &policy->certificates[i];
        YamlNode *node = policydraft_node(draft, POLICY_CERTIFICATES, i);
        YamlNode *origin = find_origin(draft, node, true);
        char l[DURATION_TEXT_MAX], r[DURATION_TEXT_MAX], c[DURATION_TEXT_MAX];
        char d[DURATION_TEXT_MAX], s[DURATION_TEXT_MAX], sum[DURATION_TEXT_MAX];
        char left[DURATION_TEXT_MAX];
        int64_t needed;

        if (!spans_are_fit(node) || origin->is_told)
                return;
        if (leaf->lifetime_usec - leaf->renew_before_usec <
            policy->check_every_usec + USEC_PER_SEC) {
                policydraft_refuse(
                        draft, origin,
                        "lifetime %s - renew_before %s = %s is less than check_every %s "
                        "+ 1s (certificate %s). HINT: Lower renew_before or "
                        "check_every, or raise lifetime.",
                        duration_format(leaf->lifetime_usec, l),
                        duration_format(leaf->renew_before_usec, r),
                        duration_format(leaf->lifetime_usec - leaf->renew_before_usec, left),
                        duration_format(policy->check_every_usec, c), leaf->name);
                return;
        }
        if (leaf->use != POLICY_CLIENT || !leaf->authority ||
            !spans_are_fit(policydraft_node(draft, POLICY_AUTHORITIES,
                                            (size_t)(leaf->authority - policy->authorities))))
                return;
        needed =
                leaf->authority->distribute_usec + policy->backdate_usec + policy->check_every_usec;
        if (leaf->renew_before_usec <= needed)
                policydraft_refuse(
                        draft, origin,
                        "renew_before %s is not more than distribute %s + backdate %s + "
                        "check_every %s = %s, so that client %s would miss a new CA of %s. HINT: "
                        "Raise renew_before (or lifetime, of which it is a third), or lower the "
                        "others.",
                        duration_format(leaf->renew_before_usec, r),
                        duration_format(leaf->authority->distribute_usec, d),
                        duration_format(policy->backdate_usec, s),
                        duration_format(policy->check_every_usec, c), duration_format(needed, sum),
                        leaf->name, leaf->authority->name);
}

static void check_authority(PolicyDraft *draft, const PolicyAuthority *authority,
                            const Leaves *leaves, YamlNode *node)
{
        const Policy *policy = draft->policy;
        YamlNode *origin = find_origin(draft, node, false);
        char big_l[DURATION_TEXT_MAX], big_r[DURATION_TEXT_MAX], d[DURATION_TEXT_MAX];
        char r[DURATION_TEXT_MAX], s[DURATION_TEXT_MAX], c[DURATION_TEXT_MAX];
        char sum[DURATION_TEXT_MAX];
        int64_t needed = authority->distribute_usec + leaves->renew_most_usec +
                         policy->backdate_usec + 2 * policy->check_every_usec;

        duration_format(authority->renew_before_usec, big_r);
        if (authority->renew_before_usec < needed)
                policydraft_refuse(
                        draft, origin,
                        "renew_before %s is less than distribute %s + the leaves' largest "
                        "renew_before %s + backdate %s + 2 x check_every %s = %s. HINT: Raise "
                        "renew_before, or lower the others.",
                        big_r, duration_format(authority->distribute_usec, d),
                        duration_format(leaves->renew_most_usec, r),
                        duration_format(policy->backdate_usec, s),
                        duration_format(policy->check_every_usec, c), duration_format(needed, sum));
        else if (authority->renew_before_usec > authority->lifetime_usec / 2)
                policydraft_refuse(
                        draft, origin,
                        "renew_before %s%s is more than half of the lifetime %s. HINT: Raise the "
                        "lifetime to %s or more, or lower %s.",
                        big_r,
                        yamlnode_find(node, "renew_before")
                                ? ""
                                : " (the leaves' longest lifetime + distribute + backdate + "
                                  "check_every)",
                        duration_format(authority->lifetime_usec, big_l),
                        duration_format(2 * authority->renew_before_usec, sum),
                        yamlnode_find(node, "renew_before") ? "renew_before" : "the others");
}

static void set_renew_before(const Policy *policy, PolicyAuthority *authority, const Leaves *leaves)
{
        int64_t third = authority->lifetime_usec / 3;
        int64_t needed = leaves->longest_usec + authority->distribute_usec + policy->backdate_usec +
                         policy->check_every_usec;

        authority->has_renew_before = authority->renew_before_usec != 0;
        if (!authority->has_renew_before)
                authority->renew_before_usec = third > needed ? third : needed;
}

int policyrule_check(PolicyDraft *draft)
{
        Policy *policy = draft->policy;
        _cleanup_(freep) Leaves *leaves = count_leaves(policy);

        if (!leaves)
                return policydraft_oom(draft);
        for (size_t i = 0; i < policy->n_authorities; i++)
                set_renew_before(policy, &policy->authorities[i], &leaves[i]);
        if (!is_common_fit(draft))
                return 0;
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyAuthority *authority = policy->certificates[i].authority;

                check_leaf(draft, i);
                if (authority && !spans_are_fit(policydraft_node(draft, POLICY_CERTIFICATES, i)))
                        leaves[authority - policy->authorities].is_unknown = true;
        }
        if (!is_common_fit(draft)) /* a leaf's error was told at defaults */
                return 0;
        for (size_t i = 0; i < policy->n_authorities; i++) {
                YamlNode *node = policydraft_node(draft, POLICY_AUTHORITIES, i);

                if (!leaves[i].is_unknown && spans_are_fit(node))
                        check_authority(draft, &policy->authorities[i], &leaves[i], node);
        }
        return 0;
}

int64_t policyrule_outage(const Policy *policy)
{
        _cleanup_(freep) Leaves *leaves = count_leaves(policy);
        int64_t outage = USEC_INFINITY;

        for (size_t i = 0; leaves && i < policy->n_authorities; i++) {
                const PolicyAuthority *authority = &policy->authorities[i];
                int64_t spent = authority->distribute_usec + policy->backdate_usec;
                int64_t half =
                        (authority->renew_before_usec - spent - leaves[i].renew_most_usec) / 2;

                if (leaves[i].renew_least_usec != USEC_INFINITY &&
                    leaves[i].renew_least_usec - spent < outage)
                        outage = leaves[i].renew_least_usec - spent;
                if (half < outage)
                        outage = half;
        }
        if (outage == USEC_INFINITY || outage <= 2 * policy->check_every_usec)
                return 0;
        return outage - 2 * policy->check_every_usec;
}
