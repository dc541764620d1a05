/*
 * Whether a small settings file says nothing else than the one that we would write: then putting
 * ours in its place changes nothing for its reader, and nothing of its maker's is lost.
 */
#pragma once

#include "common/fdio.h"
#include "common/text.h"

#include <stdbool.h>

enum { LIKENESS_LINES_MAX = 1024 };

/* True where each line of the file that is no comment is one of wanted, whatever the white space,
 * the quotes, the case of the name and the spelling of true (PostgreSQL's guc-file.l; libpq's
 * service files are a part of that). Otherwise the number of the first other line. */
bool likeness_find(const FileBytes *file, const Text *wanted, unsigned *ret_line);
