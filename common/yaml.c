#include "common/yaml.h"

#include "common/yamlbytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum {
        FEW_KEYS = 16, /* compared each with each; more are sorted */
        PENDING_MIN = 64,
};

typedef struct Reader {
        yaml_parser_t parser;
        const char *file;
        Errors *errors;
        YamlTree *tree;    /* NULL before the root is met */
        YamlNode *pending; /* children that were read, of collections that are not at their end */
        size_t n_pending;
        size_t room;                          /* for pending */
        const char *keys[YAML_DEPTH_MAX + 2]; /* from the root to what is being read */
        size_t n_keys;
        int first;    /* the first error's code, negative */
        bool is_dead; /* the rest cannot be read */
} Reader;

static void tell(Reader *reader, const Error *error)
{
        errors_add(reader->errors, error);
        if (reader->first == 0)
                reader->first = -error->code;
}

/* The path of what is being read, as yamlnode_path() writes it, with ": " behind. */
static const char *format_path(const Reader *reader, char buffer[YAML_PATH_MAX])
{
        char excerpt[YAML_EXCERPT_MAX];
        size_t size = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < reader->n_keys && size < YAML_PATH_MAX; i++)
                size += (size_t)snprintf(buffer + size, YAML_PATH_MAX - size, "%s%s",
                                         yamlnode_excerpt(reader->keys[i], excerpt),
                                         i + 1 < reader->n_keys ? "." : ": ");
        return buffer;
}

static void tell_at(Reader *reader, const yaml_mark_t *mark, const char *text)
{
        char path[YAML_PATH_MAX];
        Error error;

        error_at(&error, EINVAL, reader->file, (unsigned)mark->line + 1, (unsigned)mark->column + 1,
                 "%s%s", format_path(reader, path), text);
        tell(reader, &error);
}

static void tell_oom(Reader *reader)
{
        Error error;

        error_oom(&error);
        tell(reader, &error);
        reader->is_dead = true;
}

static void tell_libyaml(Reader *reader)
{
        const yaml_parser_t *parser = &reader->parser;
        const yaml_mark_t *mark = &parser->problem_mark;
        Error error;

        reader->is_dead = true;
        if (parser->error == YAML_MEMORY_ERROR) {
                tell_oom(reader);
                return;
        }
        error_at(&error, EINVAL, reader->file, (unsigned)mark->line + 1, (unsigned)mark->column + 1,
                 "this is not YAML: %s%s%s. HINT: Look at this line and the one above it: "
                 "indentation, colons, quotes.",
                 parser->problem ? parser->problem : "it cannot be read",
                 parser->context ? " " : "", parser->context ? parser->context : "");
        tell(reader, &error);
}

static bool next_event(Reader *reader, yaml_event_t *ret)
{
        if (reader->is_dead)
                return false;
        if (!yaml_parser_parse(&reader->parser, ret)) {
                tell_libyaml(reader);
                return false;
        }
        return true;
}

/* Moves the scalar's text out of an event; NULL and an error where it is not fit. */
static char *take_text(Reader *reader, const yaml_event_t *event)
{
        const unsigned char *value = event->data.scalar.value;
        size_t length = event->data.scalar.length;
        char *text;

        for (size_t i = 0; i < length; i++)
                if (yamlbytes_is_unfit(value + i)) {
                        tell_at(reader, &event->start_mark,
                                value[i] == '\n'
                                        ? "a text of several lines. HINT: Write it on one line."
                                        : "a text with a control character. HINT: Remove it.");
                        return NULL;
                }
        text = arena_text(&reader->tree->arena, (const char *)value, length);
        if (!text)
                tell_oom(reader);
        return text;
}

static bool refuse_properties(Reader *reader, const yaml_event_t *event, const void *anchor,
                              const void *tag)
{
        if (anchor)
                tell_at(reader, &event->start_mark,
                        "an anchor (&). HINT: Anchors and aliases are not read; write the values "
                        "out, or use defaults.");
        if (tag)
                tell_at(reader, &event->start_mark,
                        "a tag (!). HINT: Tags are not read; remove it, or quote the text.");
        return anchor || tag;
}

static bool is_quoted(const yaml_event_t *event)
{
        return event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* Children wait until their number is known: then they get a place of just that size. */
static void push(Reader *reader, const YamlNode *child)
{
        if (reader->n_pending == reader->room) {
                size_t room = reader->room > 0 ? 2 * reader->room : PENDING_MIN;
                YamlNode *pending = reallocarray(reader->pending, room, sizeof *pending);

                if (!pending) {
                        tell_oom(reader);
                        return;
                }
                reader->pending = pending;
                reader->room = room;
        }
        reader->pending[reader->n_pending++] = *child;
}

/* Makes what waits since begin the children of a collection. */
static void pop(Reader *reader, size_t begin, YamlNode *node)
{
        size_t n = reader->n_pending - begin;

        reader->n_pending = begin;
        if (n == 0 || reader->is_dead)
                return;
        node->children = arena_get(&reader->tree->arena, n * sizeof *node->children);
        if (!node->children) {
                tell_oom(reader);
                return;
        }
        memcpy(node->children, &reader->pending[begin], n * sizeof *node->children);
        node->n = n;
}

static void read_node(Reader *reader, const yaml_event_t *event, unsigned depth, YamlNode *ret);

/* Reads one key and its value. A pair with a bad key is read over. */
static void read_pair(Reader *reader, const yaml_event_t *event, unsigned depth, YamlNode *map)
{
        YamlNode pair = {.file = reader->file,
                         .key_line = (unsigned)event->start_mark.line + 1,
                         .key_column = (unsigned)event->start_mark.column + 1};
        yaml_event_t value;

        if (event->type == YAML_SCALAR_EVENT) {
                pair.is_told = refuse_properties(reader, event, event->data.scalar.anchor,
                                                 event->data.scalar.tag);
                pair.is_key_quoted = is_quoted(event);
                pair.key = take_text(reader, event);
        } else {
                YamlNode key = {0};

                tell_at(reader, &event->start_mark,
                        "a key that is not a text. HINT: Write a plain word before the colon.");
                read_node(reader, event, depth, &key);
        }
        reader->keys[reader->n_keys++] = pair.key ? pair.key : "?";
        if (next_event(reader, &value)) {
                read_node(reader, &value, depth, &pair);
                yaml_event_delete(&value);
        }
        reader->n_keys--;
        if (pair.key && !reader->is_dead)
                push(reader, &pair);
        map->has_lost_key |= !pair.key;
}

static void read_item(Reader *reader, const yaml_event_t *event, unsigned depth, YamlNode *list)
{
        YamlNode item = {.file = reader->file};

        read_node(reader, event, depth, &item);
        if (!reader->is_dead)
                push(reader, &item);
}

static int compare_keys(const void *a, const void *b)
{
        const YamlNode *x = *(YamlNode *const *)a, *y = *(YamlNode *const *)b;
        int r = strcmp(x->key, y->key);

        return r != 0 ? r : (x > y) - (x < y);
}

/* What nearly every map is, told without allocating anything. */
static bool has_few_and_different(const YamlNode *map)
{
        if (map->n > FEW_KEYS)
                return false;
        for (size_t i = 1; i < map->n; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(map->children[i].key, map->children[j].key) == 0)
                                return false;
        return true;
}

/* Tells every key that stands in the map a second time. */
static void check_duplicates(Reader *reader, YamlNode *map)
{
        _cleanup_(freep) YamlNode **sorted = NULL;
        char excerpt[YAML_EXCERPT_MAX];

        if (map->n < 2 || reader->is_dead || has_few_and_different(map))
                return;
        sorted = calloc(map->n, sizeof *sorted);
        if (!sorted) {
                tell_oom(reader);
                return;
        }
        for (size_t i = 0; i < map->n; i++)
                sorted[i] = &map->children[i];
        qsort(sorted, map->n, sizeof *sorted, compare_keys);
        for (size_t i = 1; i < map->n; i++) {
                char path[YAML_PATH_MAX];
                Error error;

                if (strcmp(sorted[i - 1]->key, sorted[i]->key) != 0)
                        continue;
                sorted[i]->is_told = true;
                error_at(&error, EINVAL, reader->file, sorted[i]->key_line, sorted[i]->key_column,
                         "%sthe key \"%s\" stands here a second time, first at line %u. HINT: "
                         "Remove one of them.",
                         format_path(reader, path), yamlnode_excerpt(sorted[i]->key, excerpt),
                         sorted[i - 1]->key_line);
                tell(reader, &error);
        }
}

static void read_collection(Reader *reader, unsigned depth, YamlNode *node)
{
        yaml_event_type_t end =
                node->kind == YAML_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
        size_t begin = reader->n_pending;
        yaml_event_t event;
        bool is_end = false;

        while (!is_end && next_event(reader, &event)) {
                is_end = event.type == end;
                if (!is_end && node->kind == YAML_MAP)
                        read_pair(reader, &event, depth + 1, node);
                else if (!is_end)
                        read_item(reader, &event, depth + 1, node);
                yaml_event_delete(&event);
        }
        pop(reader, begin, node);
        if (node->kind == YAML_MAP)
                check_duplicates(reader, node);
}

static void read_scalar(Reader *reader, const yaml_event_t *event, YamlNode *ret)
{
        ret->is_told |=
                refuse_properties(reader, event, event->data.scalar.anchor, event->data.scalar.tag);
        ret->is_quoted = is_quoted(event);
        ret->text = take_text(reader, event);
}

/* A text that could not be read still is a node, so that its key is not missed. */
static void fill_text(Reader *reader, YamlNode *node)
{
        if (node->text || reader->is_dead)
                return;
        node->is_told = true;
        node->text = arena_text(&reader->tree->arena, "", 0);
        if (!node->text)
                tell_oom(reader);
}

static void begin_collection(Reader *reader, const yaml_event_t *event, YamlNode *ret)
{
        bool is_list = event->type == YAML_SEQUENCE_START_EVENT;

        ret->kind = is_list ? YAML_LIST : YAML_MAP;
        ret->is_told |= refuse_properties(
                reader, event,
                is_list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor,
                is_list ? event->data.sequence_start.tag : event->data.mapping_start.tag);
}

/* Reads what the event begins. The marks of an empty value are those of the place where it is
 * missed. */
static void read_node(Reader *reader, const yaml_event_t *event, unsigned depth, YamlNode *ret)
{
        ret->line = (unsigned)event->start_mark.line + 1;
        ret->column = (unsigned)event->start_mark.column + 1;
        if (event->type == YAML_SCALAR_EVENT) {
                read_scalar(reader, event, ret);
                fill_text(reader, ret);
                return;
        }
        if (event->type == YAML_ALIAS_EVENT) {
                tell_at(reader, &event->start_mark,
                        "an alias (*). HINT: Anchors and aliases are not read; write the values "
                        "out, or use defaults.");
                fill_text(reader, ret);
                return;
        }
        begin_collection(reader, event, ret);
        if (depth > YAML_DEPTH_MAX) {
                tell_at(reader, &event->start_mark,
                        "this is nested more than 8 deep. HINT: See pgcertd.yaml(5) for the "
                        "shape of a policy.");
                reader->is_dead = true;
                return;
        }
        read_collection(reader, depth, ret);
}

static void set_parents(YamlNode *node)
{
        for (size_t i = 0; i < node->n; i++) {
                node->children[i].parent = node;
                set_parents(&node->children[i]);
        }
}

static void read_document(Reader *reader, const yaml_event_t *event, YamlNode **ret)
{
        bool is_first = !*ret;

        if (event->type == YAML_DOCUMENT_START_EVENT && !is_first) {
                tell_at(reader, &event->start_mark,
                        "a second document. HINT: Remove the line with ---, or use conf.d.");
                reader->is_dead = true;
        } else if (event->type == YAML_DOCUMENT_START_EVENT &&
                   event->data.document_start.tag_directives.start !=
                           event->data.document_start.tag_directives.end) {
                tell_at(reader, &event->start_mark, "a %TAG line. HINT: Remove it.");
        } else if (event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT ||
                   event->type == YAML_SEQUENCE_START_EVENT ||
                   event->type == YAML_MAPPING_START_EVENT) {
                reader->tree = calloc(1, sizeof *reader->tree);
                if (!reader->tree) {
                        tell_oom(reader);
                        return;
                }
                *ret = &reader->tree->root;
                (*ret)->file = reader->file;
                read_node(reader, event, 1, *ret);
        }
}

static void read_stream(Reader *reader, YamlNode **ret)
{
        yaml_event_t event;
        bool is_end = false;

        while (!is_end && next_event(reader, &event)) {
                is_end = event.type == YAML_STREAM_END_EVENT;
                read_document(reader, &event, ret);
                yaml_event_delete(&event);
        }
        if (!reader->is_dead && !*ret) {
                yaml_mark_t start = {0};

                tell_at(reader, &start,
                        "there is nothing in this file. HINT: Begin with version: 1.");
        }
}

int yaml_parse(const char *file, const void *data, size_t size, YamlNode **ret, Errors *errors)
{
        Reader reader = {.file = file, .errors = errors};
        _cleanup_(yamlnode_freep) YamlNode *root = NULL;
        int r = yamlbytes_check(file, data, size, errors);
        size_t mark = yamlbytes_mark(data, size);

        *ret = NULL;
        if (r < 0)
                return r;
        if (!yaml_parser_initialize(&reader.parser)) {
                tell_oom(&reader);
                return reader.first;
        }
        yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)data + mark,
                                     size - mark);
        read_stream(&reader, &root);
        yaml_parser_delete(&reader.parser);
        free(reader.pending);
        if (root)
                set_parents(root);
        if (!reader.is_dead)
                *ret = TAKE_PTR(root);
        return reader.first;
}
