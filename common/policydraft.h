/*
 * A policy that is being read: the tree it comes from, the objects made so far, and the errors with
 * their places. And the form of the tables of keys that drive the reading.
 */
#pragma once

#include "common/policymodel.h"
#include "common/yamlnode.h"

enum { POLICYDRAFT_RECENT = 512 };

typedef struct PolicyDraft {
        Policy *policy;
        Errors *errors;
        YamlNode **roots; /* the files' trees, NULL where one could not be read */
        size_t n_roots;
        YamlNode **nodes[POLICY_KINDS]; /* of the objects, in the order of the policy's arrays */
        YamlNode *defaults;             /* NULL where not written */
        bool is_incomplete;             /* objects are missing: what refers to them may be right */
        char *recent[POLICYDRAFT_RECENT]; /* texts taken last, each at the place of its hash */
} PolicyDraft;

typedef struct PolicyKey PolicyKey;
typedef struct PolicySection PolicySection;

/* Reads one value into the object that the section is about. What is wrong is refused at the node;
 * the field is then left as it is. */
typedef void PolicyRead(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object);

struct PolicyKey {
        const char *name;
        PolicyRead *read;
        size_t offset; /* of the field in the object */
        bool is_required;
        int64_t minimum; /* of a span */
        int64_t maximum;
        int64_t fallback;             /* of a span that is not written; 0: found later */
        const char *const *words;     /* in the order of the enum; NULL at their end */
        const PolicySection *section; /* of the keys below this one */
};

struct PolicySection {
        const PolicyKey *keys;
        size_t n;
};

/* Adds an error at the node, with its path, and marks the node; silent where it is marked. Returns
 * -EINVAL. */
int policydraft_refuse(PolicyDraft *draft, YamlNode *node, const char *format, ...) _printf_(3, 4);

/* The same at the key's place. */
int policydraft_refuse_key(PolicyDraft *draft, YamlNode *node, const char *format, ...)
        _printf_(3, 4);

/* Adds an error at the map, with the path of a key that is not there; silent where the
 * map has lost one. */
int policydraft_refuse_missing(PolicyDraft *draft, YamlNode *map, const char *key,
                               const char *format, ...) _printf_(4, 5);

/* Adds a warning at the node. */
void policydraft_warn(PolicyDraft *draft, const YamlNode *node, const char *format, ...)
        _printf_(3, 4);

/* Adds the error that memory ran out; returns -ENOMEM. */
int policydraft_oom(PolicyDraft *draft);

/* Zeroed memory of the policy; NULL, told, where it runs out. */
void *policydraft_get(PolicyDraft *draft, size_t size);

/* A copy of a text in the policy, never to be changed: one that is used again and again (an owner,
 * a file's name, a role that is the certificate's name) is mostly the same copy. */
char *policydraft_text(PolicyDraft *draft, const char *text);

/* The node of an object. */
YamlNode *policydraft_node(const PolicyDraft *draft, PolicyKind kind, size_t i);

/* Whether the key is not written, or written and not refused. */
bool policydraft_is_fit(const YamlNode *map, const char *key);

/* "a, b, c" into a buffer; returns it. */
enum { POLICYDRAFT_WORDS_MAX = 400 };
const char *policydraft_words(const char *const *words, size_t n,
                              char buffer[POLICYDRAFT_WORDS_MAX]);
