#include "common/policydraft.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* key is that of a child that is not there, or NULL. */
_printf_(6, 0) static void add(Errors *errors, int code, const YamlNode *node, bool at_key,
                               const char *key, const char *format, va_list arguments)
{
        char text[ERROR_TEXT_MAX], path[YAML_PATH_MAX];
        Error error;

        vsnprintf(text, sizeof text, format, arguments);
        yamlnode_path(node, path);
        error_at(&error, code, node->file, at_key ? node->key_line : node->line,
                 at_key ? node->key_column : node->column, "%s%s%s%s%s", path,
                 path[0] && key ? "." : "", key ? key : "", path[0] || key ? ": " : "", text);
        errors_add(errors, &error);
}

/* The mark keeps later stages from complaining about what follows from the first error. */
_printf_(4, 0) static int refuse(PolicyDraft *draft, YamlNode *node, bool at_key,
                                 const char *format, va_list arguments)
{
        if (!node->is_told)
                add(draft->errors, EINVAL, node, at_key, NULL, format, arguments);
        node->is_told = true;
        return -EINVAL;
}

int policydraft_refuse(PolicyDraft *draft, YamlNode *node, const char *format, ...)
{
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = refuse(draft, node, false, format, arguments);
        va_end(arguments);
        return r;
}

int policydraft_refuse_key(PolicyDraft *draft, YamlNode *node, const char *format, ...)
{
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = refuse(draft, node, true, format, arguments);
        va_end(arguments);
        return r;
}

int policydraft_refuse_missing(PolicyDraft *draft, YamlNode *map, const char *key,
                               const char *format, ...)
{
        va_list arguments;

        if (map->has_lost_key)
                return -EINVAL;
        va_start(arguments, format);
        add(draft->errors, EINVAL, map, false, key, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

void policydraft_warn(PolicyDraft *draft, const YamlNode *node, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        add(&draft->policy->warnings, EAGAIN, node, false, NULL, format, arguments);
        va_end(arguments);
}

int policydraft_oom(PolicyDraft *draft)
{
        Error error;

        draft->is_incomplete = true;
        error_oom(&error);
        return errors_add(draft->errors, &error);
}

void *policydraft_get(PolicyDraft *draft, size_t size)
{
        void *memory = arena_get(&draft->policy->arena, size);

        if (!memory)
                policydraft_oom(draft);
        return memory;
}

/* FNV-1a, as it is short: a collision only costs a second copy. */
static size_t place_of(const char *text)
{
        uint32_t hash = 2166136261u;

        for (; *text; text++)
                hash = (hash ^ (unsigned char)*text) * 16777619u;
        return (hash ^ hash >> 16) % POLICYDRAFT_RECENT;
}

char *policydraft_text(PolicyDraft *draft, const char *text)
{
        char **recent = &draft->recent[place_of(text)], *copy;

        if (*recent && strcmp(*recent, text) == 0)
                return *recent;
        copy = arena_text(&draft->policy->arena, text, strlen(text));
        if (copy)
                *recent = copy;
        else
                policydraft_oom(draft);
        return copy;
}

YamlNode *policydraft_node(const PolicyDraft *draft, PolicyKind kind, size_t i)
{
        return draft->nodes[kind][i];
}

bool policydraft_is_fit(const YamlNode *map, const char *key)
{
        const YamlNode *node = yamlnode_find(map, key);

        return !node || !node->is_told;
}

const char *policydraft_words(const char *const *words, size_t n,
                              char buffer[POLICYDRAFT_WORDS_MAX])
{
        size_t size = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < n && size < POLICYDRAFT_WORDS_MAX; i++)
                size += (size_t)snprintf(buffer + size, POLICYDRAFT_WORDS_MAX - size, "%s%s",
                                         i > 0 ? ", " : "", words[i]);
        return buffer;
}
