/*
 * Reads a group of keys by its table: known keys by their readers, unknown ones refused with the
 * nearest known one, missing ones told at the group.
 */
#pragma once

#include "common/policydraft.h"

/* Puts the fallbacks of the section's spans into the object, those of its groups too. */
void policysection_begin(const PolicySection *section, void *object);

/* Reads the keys of the map into the object. What is wrong is refused at its place. */
void policysection_read(PolicyDraft *draft, const PolicySection *section, YamlNode *map,
                        void *object);

/* A PolicyRead: key->section, into the same object. */
void policysection_read_group(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                              void *object);
