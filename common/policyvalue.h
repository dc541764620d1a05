/*
 * Readers of single values, for the tables of keys. Each puts what it read into the field at
 * key->offset of the object, whose type is said here.
 */
#pragma once

#include "common/policydraft.h"

/* The node's text where it is one and cannot be mistaken; otherwise it is refused and NULL. */
const char *policyvalue_text(PolicyDraft *draft, YamlNode *node);

/* Whether the node is of the kind; refused where not. */
bool policyvalue_is_list(PolicyDraft *draft, YamlNode *node);
bool policyvalue_is_map(PolicyDraft *draft, YamlNode *node);

/* Copies a text into a field; the old one is freed. */
void policyvalue_set(PolicyDraft *draft, char **field, const char *text);

void policyvalue_read_version(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                              void *object);
void policyvalue_read_span(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* int64_t */
void policyvalue_read_rekey(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                            void *object); /* int64_t; "always" is POLICYVALUE_ALWAYS */
void policyvalue_read_word(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* an enum, by key->words */
void policyvalue_read_key(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                          void *object); /* KeyType */
void policyvalue_read_text(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* char * */
void policyvalue_read_reference(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                void *object); /* nothing: resolved when all files are read */
void policyvalue_read_protocol(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                               void *object); /* char *, one of key->words */
void policyvalue_read_path(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* char * */
void policyvalue_read_configuration(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                    void *object); /* char * */
void policyvalue_read_role(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* char * */
void policyvalue_read_file(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* char * */
void policyvalue_read_mode(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                           void *object); /* mode_t */

/* What rekey: always is until the objects are complete. */
#define POLICYVALUE_ALWAYS INT64_MAX
