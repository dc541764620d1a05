/*
 * The tables of a policy's keys: names, kinds, ranges and defaults. pgcertd.yaml(5) and the JSON
 * Schema say the same; a test holds them together.
 */
#pragma once

#include "common/policydraft.h"

extern const PolicySection policykey_defaults;
extern const PolicySection policykey_authority;
extern const PolicySection policykey_certificate;
extern const PolicySection policykey_cluster;

/* Of the file itself; the groups of objects are read by policyread.c. */
extern const char *const policykey_top[];
enum { POLICYKEY_TOP_N = 7 };

/* The spans at the top, into a Policy. */
extern const PolicySection policykey_spans;

/* The usual names of a set's files, by use. */
extern const char *const policykey_files[2][POLICY_FILES];
