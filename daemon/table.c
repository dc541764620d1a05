#include "daemon/table.h"

#include <string.h>

enum { GAP = 2, FIRST_MIN = 12, HANGING = 2 };

#define ELLIPSIS "\xE2\x80\xA6"

/* One character (RFC 3629) of a string, as it is shown. */
typedef struct Glyph {
        size_t size;   /* bytes taken from the string */
        size_t width;  /* columns: 1, or 2 where a terminal may take two */
        bool is_plain; /* shown as it is; otherwise as "?" */
        bool is_space;
} Glyph;

/* Decodes the character at the start; its size is 0 where it is not UTF-8. */
static uint32_t decode(const unsigned char *string, size_t *ret_size)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        unsigned char c = string[0];
        size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        uint32_t value = n == 1 ? c : n == 0 ? 0 : c & (0x7Fu >> n);

        for (size_t i = 1; i < n; i++) {
                if ((string[i] & 0xC0) != 0x80)
                        n = 0;
                else
                        value = value << 6 | (string[i] & 0x3F);
        }
        if (n > 0 && (value < least[n] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)))
                n = 0;
        *ret_size = n;
        return value;
}

/* Controls of C0 and C1, marks that change the direction of writing, line separators. */
static bool is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x61C || (c >= 0x200B && c <= 0x200F) ||
               (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/* Nearly all that is shown. */
static bool is_ascii(char c)
{
        return c >= 0x20 && c < 0x7F;
}

static Glyph glyph(const char *string)
{
        size_t size;
        uint32_t c;
        bool is_space;

        if (is_ascii(*string))
                return (Glyph){.size = 1, .width = 1, .is_plain = true, .is_space = *string == ' '};
        c = decode((const unsigned char *)string, &size);
        is_space = size == 1 && (c == ' ' || c == '\n' || c == '\t' || c == '\r');

        if (size == 0 || (is_control(c) && !is_space))
                return (Glyph){.size = size ? size : 1, .width = 1};
        /* Without a locale's tables: what lies beyond the scripts of one column counts as two. */
        return (Glyph){
                .size = size,
                .width = c >= 0x2E80 || (c >= 0x1100 && c < 0x1200) ? 2 : 1,
                .is_plain = true,
                .is_space = is_space,
        };
}

size_t table_width(const char *string)
{
        size_t width = 0;

        for (Glyph g; *string; string += g.size) {
                g = glyph(string);
                width += g.width;
        }
        return width;
}

static void add_glyph(Text *text, const char *string, Glyph g)
{
        if (g.is_space)
                text_add(text, " ");
        else if (g.is_plain)
                text_add_bytes(text, string, g.size);
        else
                text_add(text, "?");
}

/* Adds the characters at the start that need no look, at most max; returns how many. */
static size_t add_ascii(Text *text, const char *string, size_t max)
{
        size_t n = 0;

        while (n < max && is_ascii(string[n]))
                n++;
        if (n > 0)
                text_add_bytes(text, string, n);
        return n;
}

/* Adds the characters that fit in width columns; returns the columns used. */
static size_t add_cut(Text *text, const char *string, size_t width)
{
        size_t used = add_ascii(text, string, width);

        string += used;
        for (Glyph g; *string; string += g.size) {
                g = glyph(string);
                if (used + g.width > width)
                        break;
                add_glyph(text, string, g);
                used += g.width;
        }
        return used;
}

static void add_spaces(Text *text, size_t n)
{
        while (n-- > 0)
                text_add(text, " ");
}

/* The bytes and columns of the word at the start, at most max columns. */
static size_t word_size(const char *string, size_t max, size_t *ret_width)
{
        size_t size = 0;

        *ret_width = 0;
        for (Glyph g; string[size]; size += g.size) {
                g = glyph(string + size);
                if (g.is_space || *ret_width + g.width > max)
                        break;
                *ret_width += g.width;
        }
        return size;
}

void table_add_paragraph(Text *text, size_t indent, const char *string)
{
        size_t column = indent, width, size;
        bool is_first = true; /* on its line */

        add_spaces(text, indent);
        while (*string) {
                if (glyph(string).is_space) {
                        string++;
                        continue;
                }
                size = word_size(string, TABLE_WIDTH - indent - HANGING, &width);
                if (!is_first && (column + 1 + width > TABLE_WIDTH ||
                                  (size == 5 && strncmp(string, "HINT:", size) == 0))) {
                        text_add(text, "\n");
                        add_spaces(text, indent + HANGING);
                        column = indent + HANGING;
                        is_first = true;
                }
                if (!is_first) {
                        text_add(text, " ");
                        column++;
                }
                column += add_cut(text, string, width);
                is_first = false;
                string += size;
        }
        text_add(text, "\n");
}

void table_done(Table *table)
{
        for (size_t i = 0; i < table->n; i++)
                for (size_t j = 0; j < TABLE_COLUMNS; j++)
                        free(table->rows[i][j]);
        free(table->rows);
        *table = (Table){0};
}

void table_add_row(Table *table, const char *const cells[TABLE_COLUMNS])
{
        char *(*rows)[TABLE_COLUMNS] = reallocarray(table->rows, table->n + 1, sizeof *rows);

        if (!rows) {
                table->failed = true;
                return;
        }
        table->rows = rows;
        for (size_t j = 0; j < TABLE_COLUMNS; j++) {
                rows[table->n][j] = strdup(cells[j]);
                table->failed |= !rows[table->n][j];
        }
        table->n++;
}

/* The width of each column: what its cells want, less what does not fit. */
static void fit(const Table *table, size_t widths[TABLE_COLUMNS])
{
        size_t total = GAP * (TABLE_COLUMNS - 1), over, least;

        for (size_t j = 0; j < TABLE_COLUMNS; j++) {
                widths[j] = 0;
                for (size_t i = 0; i < table->n; i++) {
                        size_t width = table_width(table->rows[i][j]);

                        if (width > widths[j])
                                widths[j] = width;
                }
                total += widths[j];
        }
        over = total > TABLE_WIDTH ? total - TABLE_WIDTH : 0;
        least = widths[0] < FIRST_MIN ? widths[0] : FIRST_MIN;
        if (widths[0] - least >= over) {
                widths[0] -= over;
                return;
        }
        over -= widths[0] - least;
        widths[0] = least;
        widths[TABLE_COLUMNS - 1] -=
                over < widths[TABLE_COLUMNS - 1] ? over : widths[TABLE_COLUMNS - 1];
}

/* A cell of the first column: its last word (what kind of reader it is) stays whole if it can. */
static size_t add_first(Text *text, const char *cell, size_t width)
{
        const char *tail = strrchr(cell, ' ');
        size_t tail_width = tail ? table_width(tail) : 0, used;

        if (table_width(cell) <= width)
                return add_cut(text, cell, width);
        if (tail_width + 2 > width) {
                tail = NULL;
                tail_width = 0;
        }
        used = add_cut(text, cell, width - tail_width - 1);
        text_add(text, ELLIPSIS);
        if (tail)
                used += add_cut(text, tail, tail_width);
        return used + 1;
}

void table_format(const Table *table, Text *text)
{
        size_t widths[TABLE_COLUMNS];

        if (table->failed) {
                text->failed = true;
                return;
        }
        fit(table, widths);
        for (size_t i = 0; i < table->n; i++) {
                size_t used = add_first(text, table->rows[i][0], widths[0]);

                for (size_t j = 1; j < TABLE_COLUMNS; j++) {
                        add_spaces(text, widths[j - 1] - used + GAP);
                        used = add_cut(text, table->rows[i][j], widths[j]);
                }
                text_add(text, "\n");
        }
}
