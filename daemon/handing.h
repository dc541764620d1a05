/*
 * What `pgcertctl adopt` says of one name: what handing its foreign files over would mean, and how
 * it went. A name may be a certificate's, a cluster's, or both. Pure.
 */
#pragma once

#include "daemon/report.h"

/* Whether each is a name of the policy; otherwise a sentence. */
bool handing_knows(const Policy *policy, char *const *names, size_t n, Text *unknown);

/* Lines and the exit status: 0 nothing of it is foreign, 1 it would be taken over, 2 it would not,
 * and why. */
int handing_preview(const Report *report, const char *name, Text *text);

/* Lines and the exit status: 0 ours, and proven where it is served; 1 ours, the proof owed; 2 not
 * taken over, or refused. */
int handing_outcome(const Report *report, const char *name, Text *text);
