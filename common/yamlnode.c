#include "common/yamlnode.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

YamlNode *yamlnode_free(YamlNode *root)
{
        YamlTree *tree = (YamlTree *)root;

        if (tree)
                arena_done(&tree->arena);
        free(tree);
        return NULL;
}

YamlNode *yamlnode_find(const YamlNode *map, const char *key)
{
        if (!map || map->kind != YAML_MAP)
                return NULL;
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->children[i].key, key) == 0)
                        return &map->children[i];
        return NULL;
}

bool yamlnode_is_ambiguous(const char *text)
{
        static const char *const words[] = {"",   "~",  "null", "y",    "yes",  "n",
                                            "no", "on", "off",  "true", "false"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(text, words[i]) == 0)
                        return true;
        return false;
}

const char *yamlnode_excerpt(const char *text, char buffer[YAML_EXCERPT_MAX])
{
        size_t kept;

        if (strlen(text) < YAML_EXCERPT_MAX)
                return strcpy(buffer, text);
        kept = utf8_cut(text, YAML_EXCERPT_MAX - sizeof "...");
        memcpy(buffer, text, kept);
        strcpy(buffer + kept, "...");
        return buffer;
}

const char *yamlnode_path(const YamlNode *node, char buffer[YAML_PATH_MAX])
{
        const YamlNode *chain[YAML_DEPTH_MAX + 2];
        char excerpt[YAML_EXCERPT_MAX];
        size_t n = 0, size = 0;

        buffer[0] = '\0';
        for (; node && n < ELEMENTSOF(chain); node = node->parent)
                if (node->key)
                        chain[n++] = node;
        while (n > 0 && size < YAML_PATH_MAX) {
                n--;
                size += (size_t)snprintf(buffer + size, YAML_PATH_MAX - size, "%s%s",
                                         size > 0 ? "." : "",
                                         yamlnode_excerpt(chain[n]->key, excerpt));
        }
        return buffer;
}
