#include "common/policyvalue.h"

#include "common/duration.h"
#include "common/nearest.h"
#include "common/policyname.h"

#include <stdio.h>
#include <string.h>

static void *field(const PolicyKey *key, void *object)
{
        return (char *)object + key->offset;
}

static bool is_text(PolicyDraft *draft, YamlNode *node)
{
        if (node->is_told)
                return false;
        if (node->kind != YAML_TEXT)
                policydraft_refuse(draft, node, "must be a single value, not a %s",
                                   node->kind == YAML_LIST ? "list" : "group of keys");
        else if (!node->text[0])
                policydraft_refuse(draft, node,
                                   "is empty. HINT: Write a value, or remove the key.");
        return !node->is_told;
}

const char *policyvalue_text(PolicyDraft *draft, YamlNode *node)
{
        if (!is_text(draft, node))
                return NULL;
        if (!node->is_quoted && yamlnode_is_ambiguous(node->text)) {
                policydraft_refuse(draft, node,
                                   "%s is a boolean or null in YAML. HINT: Quote it: \"%s\".",
                                   node->text, node->text);
                return NULL;
        }
        return node->text;
}

bool policyvalue_is_list(PolicyDraft *draft, YamlNode *node)
{
        if (node->is_told)
                return false;
        if (node->kind != YAML_LIST)
                policydraft_refuse(
                        draft, node,
                        "must be a list. HINT: Write [one, two], also for a single one.");
        return node->kind == YAML_LIST;
}

bool policyvalue_is_map(PolicyDraft *draft, YamlNode *node)
{
        if (node->is_told)
                return false;
        if (node->kind != YAML_MAP)
                policydraft_refuse(draft, node, "must be a group of keys with values%s",
                                   node->kind == YAML_TEXT && !node->text[0] ? ", and is empty"
                                                                             : "");
        return node->kind == YAML_MAP;
}

void policyvalue_set(PolicyDraft *draft, char **place, const char *text)
{
        char *copy = policydraft_text(draft, text);

        if (copy)
                *place = copy;
}

void policyvalue_read_version(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                              void *object)
{
        char excerpt[YAML_EXCERPT_MAX];

        if (is_text(draft, node) && strcmp(node->text, "1") != 0)
                policydraft_refuse(draft, node,
                                   "\"%s\" is not a version of the policy that this pgcertd knows. "
                                   "HINT: Write version: 1.",
                                   yamlnode_excerpt(node->text, excerpt));
}

void policyvalue_read_span(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        char minimum[DURATION_TEXT_MAX], maximum[DURATION_TEXT_MAX];
        int64_t usec;
        Error error;

        if (!is_text(draft, node))
                return;
        if (duration_parse(node->text, &usec, &error) < 0) {
                policydraft_refuse(draft, node, "%s", error.text);
                return;
        }
        if (usec < key->minimum || usec > key->maximum) {
                policydraft_refuse(draft, node,
                                   "%s is out of range. HINT: Write a span from %s to %s.",
                                   node->text, duration_format(key->minimum, minimum),
                                   duration_format(key->maximum, maximum));
                return;
        }
        *(int64_t *)field(key, object) = usec;
}

void policyvalue_read_rekey(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        if (is_text(draft, node) && strcmp(node->text, "always") == 0)
                *(int64_t *)field(key, object) = POLICYVALUE_ALWAYS;
        else
                policyvalue_read_span(draft, key, node, object);
}

/* Which of the words the node is, or -1. */
static int find_word(PolicyDraft *draft, YamlNode *node, const char *const *words)
{
        char known[POLICYDRAFT_WORDS_MAX], excerpt[YAML_EXCERPT_MAX];
        const char *nearest;
        size_t n = 0;

        if (!is_text(draft, node))
                return -1;
        for (; words[n]; n++)
                if (strcmp(node->text, words[n]) == 0)
                        return (int)n;
        nearest = nearest_word(node->text, words, n);
        yamlnode_excerpt(node->text, excerpt);
        if (nearest)
                policydraft_refuse(draft, node, "\"%s\" is not known here. HINT: Did you mean %s?",
                                   excerpt, nearest);
        else
                policydraft_refuse(draft, node, "\"%s\" is not known here. HINT: Write one of: %s.",
                                   excerpt, policydraft_words(words, n, known));
        return -1;
}

void policyvalue_read_word(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        int word = find_word(draft, node, key->words);

        /* An enum without negative values is an unsigned int to gcc and clang. */
        if (word >= 0)
                *(unsigned *)field(key, object) = (unsigned)word;
}

void policyvalue_read_key(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        const char *words[KEY_TYPE_COUNT + 1] = {NULL};
        int word;

        for (KeyType type = 0; type < KEY_TYPE_COUNT; type++)
                words[type] = key_type_name(type);
        word = find_word(draft, node, words);
        if (word >= 0)
                *(KeyType *)field(key, object) = (KeyType)word;
}

void policyvalue_read_text(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        const char *text = policyvalue_text(draft, node);

        if (text)
                policyvalue_set(draft, field(key, object), text);
}

void policyvalue_read_reference(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                void *object)
{
        policyvalue_text(draft, node);
}

void policyvalue_read_protocol(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                               void *object)
{
        int word = find_word(draft, node, key->words);

        if (word >= 0)
                policyvalue_set(draft, field(key, object), key->words[word]);
}

void policyvalue_read_path(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        const char *text = policyvalue_text(draft, node);
        Error error;

        if (!text)
                return;
        if (policyname_check_path(text, &error) < 0)
                policydraft_refuse(draft, node, "%s", error.text);
        else
                policyvalue_set(draft, field(key, object), text);
}

void policyvalue_read_configuration(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                    void *object)
{
        const char *slash;
        Error error;

        /* A path, whose last part is a file's name: one that a directory of ours needs is refused
         * wherever it lies, for a certificate's directory may be made there later. */
        policyvalue_read_path(draft, key, node, object);
        if (node->is_told || node->kind != YAML_TEXT)
                return;
        slash = strrchr(node->text, '/');
        if (policyname_check_file(slash + 1, &error) < 0)
                policydraft_refuse(draft, node, "%s", error.text);
}

void policyvalue_read_role(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        const char *text = policyvalue_text(draft, node);

        if (!text)
                return;
        if (strlen(text) > POLICY_ROLE_MAX)
                policydraft_refuse(draft, node,
                                   "the role has %zu bytes, PostgreSQL keeps at most %d",
                                   strlen(text), POLICY_ROLE_MAX);
        else
                policyvalue_set(draft, field(key, object), text);
}

void policyvalue_read_file(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        const char *text = policyvalue_text(draft, node);
        Error error;

        if (!text)
                return;
        if (policyname_check_file(text, &error) < 0)
                policydraft_refuse(draft, node, "%s", error.text);
        else
                policyvalue_set(draft, field(key, object), text);
}

void policyvalue_read_mode(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        size_t size;
        unsigned long mode;

        if (!is_text(draft, node))
                return;
        size = strlen(node->text);
        if (size < 3 || size > 4 || strspn(node->text, "01234567") != size ||
            (size == 4 && node->text[0] != '0')) {
                policydraft_refuse(draft, node,
                                   "is not a mode in octal. HINT: Write 0600 or 0400.");
                return;
        }
        mode = strtoul(node->text, NULL, 8);
        /* Whether the group may read it is judged once it is known who reads it. */
        if (mode & 037)
                policydraft_refuse(draft, node,
                                   "%s lets others than the owner at the key: PostgreSQL and libpq "
                                   "refuse such a key unless root owns it. HINT: Write 0600 or "
                                   "0400.",
                                   node->text);
        else if ((mode & 0700) != 0600 && (mode & 0700) != 0400)
                policydraft_refuse(draft, node,
                                   "%s is no mode for a key: its owner must be able to read it and "
                                   "no one executes it. HINT: Write 0600 or 0400.",
                                   node->text);
        else
                *(mode_t *)field(key, object) = (mode_t)mode;
}
