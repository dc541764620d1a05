/*
 * A node of a YAML tree: a text, a list or a map, with the place where it was written. All scalars
 * are text here. A node that was refused is marked, so that whoever reads the tree does not
 * complain about it a second time.
 */
#pragma once

#include "common/arena.h"
#include "common/error.h"

enum {
        YAML_DEPTH_MAX = 8,    /* collections inside each other */
        YAML_EXCERPT_MAX = 68, /* bytes of a value quoted in an error */
        YAML_PATH_MAX = 384,   /* bytes of a node's path in an error */
};

typedef enum YamlKind { YAML_TEXT, YAML_LIST, YAML_MAP } YamlKind;

typedef struct YamlNode YamlNode;
struct YamlNode {
        YamlKind kind;
        bool is_quoted;     /* a text in quotes, or a block: never a boolean or null */
        bool is_key_quoted; /* the same for the key */
        bool is_told;       /* an error was told about it */
        bool has_lost_key;  /* of a map: a key was refused, so that one may seem to be missing */
        unsigned line;      /* counts from 1; a map's is that of its first key, or of its brace */
        unsigned column;    /* in characters, from 1 */
        unsigned key_line;
        unsigned key_column;
        char *key;  /* below a map, otherwise NULL */
        char *text; /* of a text, never NULL there */
        YamlNode *children;
        size_t n;
        YamlNode *parent; /* NULL at the root */
        const char *file; /* as given to yaml_parse(); owned by its caller */
};

/* A root, and the memory of all that is below it. */
typedef struct YamlTree {
        YamlNode root;
        Arena arena;
} YamlTree;

/* Frees a tree by its root. */
YamlNode *yamlnode_free(YamlNode *root);
DEFINE_CLEANUP(YamlNode *, yamlnode_free);

/* The value of a map's key; NULL where it is not written, or where map is NULL or no map. */
YamlNode *yamlnode_find(const YamlNode *map, const char *key);

/* Whether YAML 1.1 reads the text, when not quoted, as a boolean or as null. */
bool yamlnode_is_ambiguous(const char *text);

/* The keys from the root to the node, with dots between: certificates.server.lifetime. */
const char *yamlnode_path(const YamlNode *node, char buffer[YAML_PATH_MAX]);

/* A text fit to be quoted in an error: cut at a whole character, "..." after it. */
const char *yamlnode_excerpt(const char *text, char buffer[YAML_EXCERPT_MAX]);
