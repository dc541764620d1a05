/*
 * Readers of values with several parts: lists, subjects, service files. See policyvalue.h.
 */
#pragma once

#include "common/policydraft.h"

/* Into the whole object: a PolicyCertificate's names, a PolicyAuthority's trust, a
 * PolicyCertificate's service. */
void policylist_read_names(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object);
void policylist_read_trust(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object);
void policylist_read_service(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                             void *object);

/* Into a PolicySubject at key->offset. */
void policylist_read_subject(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                             void *object);

/* Checks that all items are texts; they are resolved when all files are read. */
void policylist_read_references(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                void *object);

/* Appends an attribute; -ENOMEM is told. */
int policylist_add_attribute(PolicyDraft *draft, PolicySubject *subject, const char *type,
                             const char *value);
