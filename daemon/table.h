/*
 * Text for a terminal of 80 columns: paragraphs that wrap and a table that fits. Whatever goes
 * through here is made harmless first: control characters (a server's own words may hold any) and
 * bytes that are not UTF-8 come out as "?", line ends as spaces.
 */
#pragma once

#include "common/text.h"

enum { TABLE_WIDTH = 80, TABLE_COLUMNS = 5 };

/* The columns that a string takes; never fewer than a terminal needs. */
size_t table_width(const char *string);

/* Adds a paragraph: the first line indented by indent, the others by two more. A word that is
 * longer than a line is cut. "HINT:" begins a line. Ends with a newline. */
void table_add_paragraph(Text *text, size_t indent, const char *string);

/* Rows of TABLE_COLUMNS cells; the first row is the heading. */
typedef struct Table {
        char *(*rows)[TABLE_COLUMNS];
        size_t n;
        bool failed; /* memory ran out: told when it is formatted */
} Table;

void table_done(Table *table);
void table_add_row(Table *table, const char *const cells[TABLE_COLUMNS]);

/* Writes the rows, columns two spaces apart. Where they do not fit, cells of the first column are
 * cut in the middle ("very-long-na… (server)"); then the last column is cut at its end. */
void table_format(const Table *table, Text *text);
