#include "daemon/historyline.h"

#include <string.h>

typedef struct Cursor {
        const char *at, *end;
} Cursor;

static bool take(Cursor *cursor, char c)
{
        if (cursor->at == cursor->end || *cursor->at != c)
                return false;
        cursor->at++;
        return true;
}

/* A quoted string; its bytes stay as they are written. */
static bool take_string(Cursor *cursor, const char **ret, size_t *ret_size)
{
        if (!take(cursor, '"'))
                return false;
        *ret = cursor->at;
        while (cursor->at < cursor->end && *cursor->at != '"') {
                if ((unsigned char)*cursor->at < 0x20)
                        return false;
                if (*cursor->at == '\\' && ++cursor->at == cursor->end)
                        return false;
                cursor->at++;
        }
        *ret_size = (size_t)(cursor->at - *ret);
        return take(cursor, '"');
}

/* A number or a literal: whatever stands up to the next separator, in their alphabet. */
static bool take_plain(Cursor *cursor, const char **ret, size_t *ret_size)
{
        *ret = cursor->at;
        while (cursor->at < cursor->end &&
               ((*cursor->at >= 'a' && *cursor->at <= 'z') ||
                (*cursor->at >= '0' && *cursor->at <= '9') || *cursor->at == '-'))
                cursor->at++;
        *ret_size = (size_t)(cursor->at - *ret);
        return *ret_size > 0;
}

static bool take_field(Cursor *cursor, HistoryField *field)
{
        if (!take_string(cursor, &field->key, &field->key_size) || !take(cursor, ':'))
                return false;
        field->is_string = cursor->at < cursor->end && *cursor->at == '"';
        return field->is_string ? take_string(cursor, &field->value, &field->value_size)
                                : take_plain(cursor, &field->value, &field->value_size);
}

bool history_line_parse(const char *text, size_t size, HistoryLine *ret)
{
        Cursor cursor = {text, text + size};

        ret->n = 0;
        if (!take(&cursor, '{'))
                return false;
        do {
                if (ret->n == HISTORY_FIELDS_MAX || !take_field(&cursor, &ret->fields[ret->n++]))
                        return false;
        } while (take(&cursor, ','));
        return take(&cursor, '}') && cursor.at == cursor.end;
}

static const HistoryField *find(const HistoryLine *line, const char *key, bool is_string)
{
        for (size_t i = 0; i < line->n; i++) {
                const HistoryField *field = &line->fields[i];

                if (field->is_string == is_string && field->key_size == strlen(key) &&
                    memcmp(field->key, key, field->key_size) == 0)
                        return field;
        }
        return NULL;
}

bool history_line_string(const HistoryLine *line, const char *key, char *buffer, size_t size)
{
        const HistoryField *field = find(line, key, true);

        if (!field || field->value_size == 0 || field->value_size >= size ||
            memchr(field->value, '\\', field->value_size) ||
            memchr(field->value, '\0', field->value_size))
                return false;
        memcpy(buffer, field->value, field->value_size);
        buffer[field->value_size] = '\0';
        return true;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool history_line_hex(const HistoryLine *line, const char *key, uint8_t *bytes, size_t size)
{
        const HistoryField *field = find(line, key, true);

        if (!field || field->value_size != 2 * size)
                return false;
        for (size_t i = 0; i < size; i++) {
                int high = hex_digit(field->value[2 * i]), low = hex_digit(field->value[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                bytes[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

bool history_line_integer(const HistoryLine *line, const char *key, int64_t *ret)
{
        const HistoryField *field = find(line, key, false);
        bool is_negative = field && field->value[0] == '-';
        int64_t value = 0;

        if (!field || field->value_size == (size_t)is_negative)
                return false;
        for (size_t i = is_negative; i < field->value_size; i++) {
                int digit = field->value[i] - '0';

                if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return false;
        }
        *ret = is_negative ? -value : value;
        return true;
}
