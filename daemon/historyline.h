/*
 * One line of the history, taken apart: a flat JSON object of strings, whole numbers and literals,
 * without white space, as pgcertd writes it. Anything else is no line of ours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTORY_FIELDS_MAX = 32 };

typedef struct HistoryField {
        const char *key, *value; /* without quotes, escapes as written; not terminated */
        size_t key_size, value_size;
        bool is_string;
} HistoryField;

/* Borrows from the text that was parsed. */
typedef struct HistoryLine {
        HistoryField fields[HISTORY_FIELDS_MAX];
        size_t n;
} HistoryLine;

/* False where the text is not exactly one such object. */
bool history_line_parse(const char *text, size_t size, HistoryLine *ret);

/* A string field, copied and terminated; false where it is missing, empty, holds an escape, or does
 * not fit. */
bool history_line_string(const HistoryLine *line, const char *key, char *buffer, size_t size);

/* A string field of exactly size bytes in hex. */
bool history_line_hex(const HistoryLine *line, const char *key, uint8_t *bytes, size_t size);

/* A whole number. */
bool history_line_integer(const HistoryLine *line, const char *key, int64_t *ret);
