#include "common/policyread.h"

#include "common/policykey.h"
#include "common/policyname.h"
#include "common/policysection.h"
#include "common/policyvalue.h"

#include "common/nearest.h"

#include <errno.h>
#include <string.h>

static const char *const kinds[POLICY_KINDS] = {"authorities", "certificates", "clusters"};

static const PolicySection *const sections[POLICY_KINDS] = {
        &policykey_authority, &policykey_certificate, &policykey_cluster};

static size_t find_top(const char *key)
{
        size_t i = 0;

        while (i < POLICYKEY_TOP_N && strcmp(key, policykey_top[i]) != 0)
                i++;
        return i;
}

static void refuse_top(PolicyDraft *draft, YamlNode *root, YamlNode *node)
{
        const char *nearest = nearest_word(node->key, policykey_top, POLICYKEY_TOP_N);
        char known[POLICYDRAFT_WORDS_MAX];

        draft->is_incomplete = true;
        root->has_lost_key |= nearest && strcmp(nearest, "version") == 0;
        if (nearest)
                policydraft_refuse_key(draft, node, "unknown key. HINT: Did you mean %s?", nearest);
        else
                policydraft_refuse_key(draft, node, "unknown key. HINT: Known here are %s.",
                                       policydraft_words(policykey_top, POLICYKEY_TOP_N, known));
}

/* Reads what may be written in one file only. first is where it was met before. */
static void read_single(PolicyDraft *draft, YamlNode *node, YamlNode **first)
{
        Policy *policy = draft->policy;

        if (*first) {
                policydraft_refuse_key(draft, node,
                                       "is already written at %s:%u:%u. HINT: Keep it in one file.",
                                       (*first)->file, (*first)->key_line, (*first)->key_column);
                return;
        }
        *first = node;
        if (strcmp(node->key, "defaults") == 0) {
                draft->defaults = node;
                policysection_read(draft, &policykey_defaults, node, &policy->defaults);
                return;
        }
        for (size_t i = 0; i < policykey_spans.n; i++)
                if (strcmp(node->key, policykey_spans.keys[i].name) == 0)
                        policykey_spans.keys[i].read(draft, &policykey_spans.keys[i], node, policy);
}

/* Reads the top of one file: everything but the objects. */
static void read_top(PolicyDraft *draft, YamlNode *root, YamlNode *first[POLICYKEY_TOP_N])
{
        YamlNode *version;

        if (!policyvalue_is_map(draft, root)) {
                draft->is_incomplete = true;
                return;
        }
        for (size_t i = 0; i < root->n; i++) {
                YamlNode *node = &root->children[i];
                size_t place = find_top(node->key);

                if (node->is_told)
                        continue;
                if (place == POLICYKEY_TOP_N)
                        refuse_top(draft, root, node);
                else if (strcmp(node->key, "version") != 0 &&
                         place < POLICYKEY_TOP_N - POLICY_KINDS)
                        read_single(draft, node, &first[place]);
        }
        version = yamlnode_find(root, "version");
        if (version)
                policyvalue_read_version(draft, NULL, version, NULL);
        else
                policydraft_refuse_missing(draft, root, "version",
                                           "is missing. HINT: Write version: 1.");
}

/* What fields hold before they are read: where zero would mean something, a value that no key
 * gives, so that "not written" can be told when defaults are filled in. */
static void begin_object(PolicyDraft *draft, PolicyKind kind, size_t i)
{
        Policy *policy = draft->policy;

        switch (kind) {
        case POLICY_AUTHORITIES:
                policy->authorities[i].key = KEY_TYPE_COUNT;
                policysection_begin(sections[kind], &policy->authorities[i]);
                break;
        case POLICY_CERTIFICATES:
                policy->certificates[i].key = KEY_TYPE_COUNT;
                policy->certificates[i].mode = 0600;
                policy->certificates[i].owner_uid = (uid_t)-1;
                policy->certificates[i].group_gid = (gid_t)-1;
                policysection_begin(sections[kind], &policy->certificates[i]);
                break;
        case POLICY_CLUSTERS:
                policysection_begin(sections[kind], &policy->clusters[i]);
                break;
        case POLICY_KINDS:
                break;
        }
}

static void read_object(PolicyDraft *draft, PolicyKind kind, YamlNode *node, size_t *n)
{
        size_t i = *n, count, size;
        char *objects = policymodel_objects(draft->policy, kind, &count, &size);
        char **name = (char **)(objects + i * size);
        Error error;

        if (!node->is_key_quoted && yamlnode_is_ambiguous(node->key)) {
                draft->is_incomplete = true;
                policydraft_refuse_key(draft, node,
                                       "%s is a boolean or null in YAML. HINT: Quote it, or choose "
                                       "another name.",
                                       node->key);
                return;
        }
        if (policyname_check_object(node->key, &error) < 0) {
                draft->is_incomplete = true;
                policydraft_refuse_key(draft, node, "%s", error.text);
                return;
        }
        policyvalue_set(draft, name, node->key);
        if (!*name)
                return;
        begin_object(draft, kind, i);
        draft->nodes[kind][i] = node;
        ++*n;
        policysection_read(draft, sections[kind], node, objects + i * size);
}

static void read_group(PolicyDraft *draft, PolicyKind kind, YamlNode *group, size_t *n)
{
        if (!policyvalue_is_map(draft, group)) {
                draft->is_incomplete = true;
                return;
        }
        for (size_t i = 0; i < group->n; i++) {
                YamlNode *node = &group->children[i];

                if (node->is_told)
                        continue;
                if (*n >= POLICY_CERTIFICATES_MAX) {
                        policydraft_refuse_key(draft, node, "more than %d %s",
                                               POLICY_CERTIFICATES_MAX, kinds[kind]);
                        return;
                }
                read_object(draft, kind, node, n);
        }
}

/* Makes room for all objects of a kind at once, so that their addresses stay: objects point to each
 * other, and the index by name points to them. */
static int make_room(PolicyDraft *draft, PolicyKind kind)
{
        Policy *policy = draft->policy;
        size_t room = 1;

        for (size_t i = 0; i < draft->n_roots; i++) {
                const YamlNode *group =
                        draft->roots[i] ? yamlnode_find(draft->roots[i], kinds[kind]) : NULL;

                room += group && group->kind == YAML_MAP ? group->n : 0;
        }
        if (room > POLICY_CERTIFICATES_MAX + 1)
                room = POLICY_CERTIFICATES_MAX + 1;
        draft->nodes[kind] = calloc(room, sizeof *draft->nodes[kind]);
        switch (kind) {
        case POLICY_AUTHORITIES:
                policy->authorities = calloc(room, sizeof *policy->authorities);
                return policy->authorities && draft->nodes[kind] ? 0 : policydraft_oom(draft);
        case POLICY_CERTIFICATES:
                policy->certificates = calloc(room, sizeof *policy->certificates);
                return policy->certificates && draft->nodes[kind] ? 0 : policydraft_oom(draft);
        case POLICY_CLUSTERS:
                policy->clusters = calloc(room, sizeof *policy->clusters);
                return policy->clusters && draft->nodes[kind] ? 0 : policydraft_oom(draft);
        case POLICY_KINDS:
                break;
        }
        return -EINVAL;
}

static int read_kind(PolicyDraft *draft, PolicyKind kind)
{
        size_t *counts[POLICY_KINDS] = {&draft->policy->n_authorities,
                                        &draft->policy->n_certificates, &draft->policy->n_clusters};
        int r = make_room(draft, kind);

        if (r < 0)
                return r;
        for (size_t i = 0; i < draft->n_roots; i++) {
                YamlNode *group =
                        draft->roots[i] ? yamlnode_find(draft->roots[i], kinds[kind]) : NULL;

                if (group)
                        read_group(draft, kind, group, counts[kind]);
        }
        return 0;
}

int policyread_trees(PolicyDraft *draft)
{
        Policy *policy = draft->policy;
        YamlNode *first[POLICYKEY_TOP_N] = {NULL};

        policysection_begin(&policykey_spans, policy);
        policysection_begin(&policykey_defaults, &policy->defaults);
        for (size_t i = 0; i < draft->n_roots; i++)
                if (draft->roots[i])
                        read_top(draft, draft->roots[i], first);
                else
                        draft->is_incomplete = true;
        for (PolicyKind kind = 0; kind < POLICY_KINDS; kind++) {
                int r = read_kind(draft, kind);

                if (r < 0)
                        return r;
        }
        return 0;
}
