#include "common/policysection.h"

#include "common/nearest.h"
#include "common/policyvalue.h"

#include <assert.h>
#include <string.h>

enum { KEYS_MAX = 32 }; /* of a table, by far */

void policysection_begin(const PolicySection *section, void *object)
{
        for (size_t i = 0; i < section->n; i++) {
                const PolicyKey *key = &section->keys[i];

                if (key->section)
                        policysection_begin(key->section, object);
                if (key->fallback != 0)
                        *(int64_t *)((char *)object + key->offset) = key->fallback;
        }
}

/* The key's place in the table, or section->n. */
static size_t find_key(const PolicySection *section, const char *name)
{
        size_t i = 0;

        while (i < section->n && strcmp(section->keys[i].name, name) != 0)
                i++;
        return i;
}

/* Refuses the key; returns the place of the one that was meant, or section->n. */
static size_t refuse_unknown(PolicyDraft *draft, const PolicySection *section, YamlNode *node)
{
        const char *names[KEYS_MAX], *nearest;
        char known[POLICYDRAFT_WORDS_MAX];

        assert(section->n <= KEYS_MAX);
        for (size_t i = 0; i < section->n; i++)
                names[i] = section->keys[i].name;
        nearest = nearest_word(node->key, names, section->n);
        if (nearest)
                policydraft_refuse_key(draft, node, "unknown key. HINT: Did you mean %s?", nearest);
        else
                policydraft_refuse_key(draft, node, "unknown key. HINT: Known here are %s.",
                                       policydraft_words(names, section->n, known));
        return nearest ? find_key(section, nearest) : section->n;
}

void policysection_read(PolicyDraft *draft, const PolicySection *section, YamlNode *map,
                        void *object)
{
        bool is_there[KEYS_MAX + 1] = {false}; /* the last one stands for all unknown keys */

        assert(section->n <= KEYS_MAX);
        if (!policyvalue_is_map(draft, map))
                return;
        for (size_t i = 0; i < map->n; i++) {
                YamlNode *node = &map->children[i];
                size_t place = find_key(section, node->key);

                if (place == section->n && !node->is_told)
                        place = refuse_unknown(draft, section, node);
                else if (place < section->n && !node->is_told)
                        section->keys[place].read(draft, &section->keys[place], node, object);
                /* One that was refused, or only meant, is not missing as well. */
                is_there[place] = true;
        }
        for (size_t i = 0; i < section->n; i++)
                if (section->keys[i].is_required && !is_there[i])
                        policydraft_refuse_missing(draft, map, section->keys[i].name,
                                                   "is missing. HINT: Add it; see "
                                                   "pgcertd.yaml(5).");
}

void policysection_read_group(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                              void *object)
{
        policysection_read(draft, key->section, node, object);
}
