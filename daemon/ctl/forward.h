/*
 * `pgcertctl probe` asks no pgcertd: it becomes the worker's own probe, run as the calling user, so
 * that pgcertctl links no libssl itself.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>

/* Whether the first word that is no option is `probe`. */
bool forward_is_probe(int argc, char *argv[]);

/* Becomes the probe with all arguments but that word. Returns only where that fails. */
int forward_probe(int argc, char *argv[], Error *reterr);
