/*
 * Writes a policy as YAML, complete with its defaults, so that reading it gives the same policy.
 */
#pragma once

#include "common/policymodel.h"
#include "common/text.h"

/* See policy_print(). */
void policyprint_write(const Policy *policy, Text *text);
