/*
 * PostgreSQL's own words why it refused a reload, where its log can be read: a failed reload leaves
 * no trace in any view. Only for a sentence to a human; nothing is decided by it, and a log in
 * another language, in syslog or in JSON alone simply says nothing.
 */
#pragma once

#include "daemon/worker/postmaster.h"

#include <stdbool.h>

/* The reason of the last refused reload with a hint, from the end of the postmaster's standard
 * error where that is a file, or of the log that its collector writes (current_logfiles). False
 * where the last reload was not refused, or nothing can be read. */
bool serverlog_refusal(const char *data_directory, const Postmaster *postmaster, char *buffer,
                       size_t size);
