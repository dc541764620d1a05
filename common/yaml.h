/*
 * YAML bytes to a tree of nodes that know their file, line and column. A small part of YAML is
 * enough for a policy, and what can surprise is refused: anchors, aliases, tags, further documents,
 * duplicate keys, keys that are not text, control characters (also escaped ones), other encodings
 * than UTF-8, deep nesting. The only module that knows libyaml; it uses its events, because its
 * document loader accepts most of the above in silence.
 */
#pragma once

#include "common/error.h"
#include "common/yamlnode.h"

/* Parses one document. Every error is added to errors; *ret is then still the tree of what could be
 * read, NULL where nothing or not all could be. Returns 0 or the code of the first error; -EFBIG
 * over YAML_SIZE_MAX. file must outlive the tree. */
int yaml_parse(const char *file, const void *data, size_t size, YamlNode **ret, Errors *errors);
