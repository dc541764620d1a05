/*
 * The wanted state: one policy, read from YAML, complete with its defaults, checked and immutable.
 * Every program reads it by itself. pgcertd.yaml(5) is the reference of the keys.
 */
#pragma once

#include "common/error.h"
#include "common/policymodel.h"
#include "common/text.h"

#include <stdint.h>

/* Reads the file and conf.d/ beside it (*.yaml, C order), completes and checks. On failure errors
 * holds every error of the files, in their order. Works as any user; looks up owners and groups in
 * the user database. */
int policy_load(const char *file, Policy **ret, Errors *errors);

/* The same for bytes, named file in errors, without conf.d; for tests and fuzzing. */
int policy_parse(const char *file, const void *data, size_t size, Policy **ret, Errors *errors);

/* The tag of the files as they are now, without judging them: 64-bit FNV-1a over each file's name
 * (below the directory of the first) and bytes with their lengths. */
int policy_tag(const char *file, uint64_t *ret, Error *reterr);

Policy *policy_ref(Policy *policy);
Policy *policy_unref(Policy *policy);
DEFINE_CLEANUP(Policy *, policy_unref);

/* By name, in logarithmic time; NULL where there is none. */
const PolicyAuthority *policy_find_authority(const Policy *policy, const char *name);
const PolicyCertificate *policy_find_certificate(const Policy *policy, const char *name);
const PolicyCluster *policy_find_cluster(const Policy *policy, const char *name);

/* How long pgcertd may be down (microseconds) so that no reader ever meets a certificate that it
 * cannot verify, a CA rollover included; 0 where there is no such time. */
int64_t policy_outage(const Policy *policy);

/* Writes the policy with its defaults as YAML that policy_parse() reads back to the same. */
void policy_print(const Policy *policy, Text *text);
