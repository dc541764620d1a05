/*
 * Which value of each ssl_ setting is in force, and who says so: asked of the running server
 * (pg_settings with sourcefile and sourceline), or of `postgres -C` while it is down. An override
 * by ALTER SYSTEM, a later line or the command line silently wins over our configuration file.
 */
#pragma once

#include "common/policy.h"
#include "daemon/worker/postmaster.h"

typedef struct SettingsResult {
        bool known;     /* false: could not be asked; not an error */
        char *override; /* NULL, or a sentence: which setting, by whom, with file and line */
        char *advice;   /* NULL, or a sentence: the policy has no `configuration`, and the user has
                           not   yet set what names our files; holds nothing up */
        bool included;  /* our configuration file is what the server reads; true where unknown */
} SettingsResult;

void settings_result_done(SettingsResult *result);

/* postmaster is NULL while it is down. Settings whose source is `default`, or our own file, are no
 * override; one with the value that we want is none either. */
int settings_check(const PolicyCluster *cluster, const Postmaster *postmaster,
                   int64_t deadline_usec, SettingsResult *ret, Error *reterr);
