/*
 * YAML bytes to a tree of nodes that know their file, line and column. A small part of YAML is
 * enough for a policy, and what can surprise is refused: anchors, aliases, tags, further documents,
 * duplicate keys, keys that are not text, control characters (also escaped ones), other encodings
 * than UTF-8, deep nesting. The only module that knows libyaml; it uses its events, because its
 * document loader accepts most of the above in silence.
 *
 * All scalars are text here. A node that was refused is marked, so that whoever reads the tree does
 * not complain about it a second time.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

enum {
        YAML_SIZE_MAX = 8 << 20, /* bytes of a file */
        YAML_DEPTH_MAX = 8,      /* collections inside each other */
        YAML_EXCERPT_MAX = 68,   /* bytes of a value quoted in an error */
        YAML_PATH_MAX = 384,     /* bytes of a node's path in an error */
};

typedef enum YamlKind { YAML_TEXT, YAML_LIST, YAML_MAP } YamlKind;

typedef struct YamlNode YamlNode;
struct YamlNode {
        YamlKind kind;
        bool is_quoted;     /* a text in quotes, or a block: never a boolean or null */
        bool is_key_quoted; /* the same for the key */
        bool is_told;       /* an error was told about it */
        unsigned line;      /* counts from 1; a map's is that of its first key, or of its brace */
        unsigned column;
        unsigned key_line;
        unsigned key_column;
        char *key;  /* below a map, otherwise NULL */
        char *text; /* of a text, never NULL there */
        YamlNode *children;
        size_t n;
        YamlNode *parent; /* NULL at the root */
        const char *file; /* as given; owned by the caller */
};

/* Parses one document. Every error is added to errors; *ret is then still the tree of what could be
 * read, NULL where there is none (or where the rest could not be read). Returns 0 or the code of
 * the first error. file must outlive the tree. */
int yaml_parse(const char *file, const void *data, size_t size, YamlNode **ret, Errors *errors);
/* Not yaml_free(): libyaml exports that name for itself. */
YamlNode *yaml_node_free(YamlNode *node);
DEFINE_CLEANUP(YamlNode *, yaml_node_free);

/* The value of a map's key; NULL where it is not written. */
YamlNode *yaml_find(const YamlNode *map, const char *key);

/* Whether YAML 1.1 reads the text, when not quoted, as a boolean or as null. */
bool yaml_is_ambiguous(const char *text);

/* The keys from the root to the node, with dots between: certificates.server.lifetime. */
const char *yaml_path(const YamlNode *node, char buffer[YAML_PATH_MAX]);

/* A text fit to be quoted in an error: cut at a whole character, "..." after it. */
const char *yaml_excerpt(const char *text, char buffer[YAML_EXCERPT_MAX]);
