#include "common/text.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void text_done(Text *text)
{
        free(text->data);
        *text = (Text){0};
}

/* Makes room for size more bytes and the NUL. */
static bool reserve(Text *text, size_t size)
{
        size_t wanted, allocated;
        char *data;

        if (text->failed)
                return false;
        /* A quarter, so that doubling cannot overflow below. */
        if (__builtin_add_overflow(text->size, size, &wanted) || wanted > SIZE_MAX / 4) {
                text->failed = true;
                return false;
        }
        if (wanted + 1 <= text->allocated)
                return true;
        allocated = text->allocated ? text->allocated : 64;
        while (allocated < wanted + 1)
                allocated *= 2;
        data = realloc(text->data, allocated);
        if (!data) {
                text->failed = true;
                return false;
        }
        text->data = data;
        text->allocated = allocated;
        return true;
}

void text_add_bytes(Text *text, const void *bytes, size_t size)
{
        if (!reserve(text, size))
                return;
        if (size > 0)
                memcpy(text->data + text->size, bytes, size);
        text->size += size;
        text->data[text->size] = '\0';
}

void text_add(Text *text, const char *string)
{
        text_add_bytes(text, string, strlen(string));
}

void text_addf(Text *text, const char *format, ...)
{
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(NULL, 0, format, arguments);
        va_end(arguments);
        if (n < 0 || !reserve(text, (size_t)n)) {
                text->failed = true;
                return;
        }
        va_start(arguments, format);
        vsnprintf(text->data + text->size, (size_t)n + 1, format, arguments);
        va_end(arguments);
        text->size += (size_t)n;
}

void text_add_hex(Text *text, const uint8_t *bytes, size_t size)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

                text_add_bytes(text, pair, sizeof pair);
        }
}

const char *text_content(const Text *text)
{
        return text->data ? text->data : "";
}

int text_check(const Text *text, Error *reterr)
{
        return text->failed ? error_oom(reterr) : 0;
}

int text_take(Text *text, char **ret, Error *reterr)
{
        text_add_bytes(text, "", 0); /* an empty text is a string as well, not NULL */
        if (text->failed) {
                text_done(text);
                return error_oom(reterr);
        }
        *ret = TAKE_PTR(text->data);
        *text = (Text){0};
        return 0;
}

/* Controls are escaped beyond what JSON asks for (DEL), since a status is also read on terminals.
 */
static void add_quoted(Text *text, const char *value)
{
        const unsigned char *p = (const unsigned char *)value, *end = p + strlen(value);

        text_add(text, "\"");
        while (p < end) {
                size_t n = utf8_length(p, (size_t)(end - p));

                if (n == 0) {
                        text_add(text, "\xEF\xBF\xBD");
                        n = 1;
                } else if (*p == '"' || *p == '\\') {
                        text_addf(text, "\\%c", *p);
                } else if (*p == '\n') {
                        text_add(text, "\\n");
                } else if (*p < 0x20 || *p == 0x7F) {
                        text_addf(text, "\\u%04x", *p);
                } else {
                        text_add_bytes(text, p, n);
                }
                p += n;
        }
        text_add(text, "\"");
}

static void begin(Json *json, const char *key)
{
        if (json->comma)
                text_add(json->text, ",");
        json->comma = true;
        if (key) {
                add_quoted(json->text, key);
                text_add(json->text, ":");
        }
}

void json_object(Json *json, const char *key)
{
        begin(json, key);
        text_add(json->text, "{");
        json->comma = false;
}

void json_object_end(Json *json)
{
        text_add(json->text, "}");
        json->comma = true;
}

void json_array(Json *json, const char *key)
{
        begin(json, key);
        text_add(json->text, "[");
        json->comma = false;
}

void json_array_end(Json *json)
{
        text_add(json->text, "]");
        json->comma = true;
}

void json_string(Json *json, const char *key, const char *value)
{
        if (!value) {
                json_null(json, key);
                return;
        }
        begin(json, key);
        add_quoted(json->text, value);
}

void json_integer(Json *json, const char *key, int64_t value)
{
        begin(json, key);
        text_addf(json->text, "%" PRId64, value);
}

void json_boolean(Json *json, const char *key, bool value)
{
        begin(json, key);
        text_add(json->text, value ? "true" : "false");
}

void json_null(Json *json, const char *key)
{
        begin(json, key);
        text_add(json->text, "null");
}

void json_hex(Json *json, const char *key, const uint8_t *bytes, size_t size)
{
        begin(json, key);
        text_add(json->text, "\"");
        text_add_hex(json->text, bytes, size);
        text_add(json->text, "\"");
}

void json_time(Json *json, const char *key, int64_t usec)
{
        char buffer[CLOCK_TEXT_MAX];

        json_string(json, key, clock_format(usec, buffer));
}
