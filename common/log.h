/*
 * One event with fields, to the journal where JOURNAL_STREAM names our stderr (sd_journal_sendv),
 * otherwise as one line to stderr. Only programs log: library modules return an Error.
 *
 * What is told may quote names and words of others: on stderr nothing in it can end the line or
 * command a terminal. A sentence is cut at 4 KiB.
 *
 * Levels are those of syslog(3). An event has a message id from events.h ("" for a plain debug or
 * usage line) and any number of PGCERTD_* fields. No key, passphrase or CSR is ever a field.
 */
#pragma once

#include "common/error.h"

#include <syslog.h>

typedef struct LogField {
        const char *name; /* PGCERTD_..., upper case */
        const char *value;
} LogField;

enum { LOG_FIELDS_MAX = 16 };

/* Decides where to; identifier is the program's name. level is the least that is written
 * (LOG_INFO; LOG_DEBUG with PGCERTD_DEBUG=1 in the environment). */
void log_init(const char *identifier);

/* Whether events go to the journal, as those of a unit do. */
bool log_is_journal(void);

/* Writes one event. fields ends with a NULL name; it may be NULL. Fields with a NULL value are left
 * out. A newline in the sentence or a value is kept in the journal and written as a space on
 * stderr. On stderr the line is "identifier: sentence", without a syslog priority prefix. */
void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...)
        _printf_(4, 5);

#define log_plain(level, ...) log_event(level, NULL, NULL, __VA_ARGS__)
