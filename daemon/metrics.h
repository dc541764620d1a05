/*
 * The metrics file RUNTIMEDIR/pgcertd.prom, for node_exporter's textfile collector: written after
 * every pass, so never older than `check_every`, and replaced by rename: a reader sees the old file
 * or the new one. It is not synced: what a crash takes is written again.
 */
#pragma once

#include "daemon/report.h"

#define METRICS_NAME "pgcertd.prom"

int metrics_write(const Report *report, const char *runtime_dir, Error *reterr);
