/*
 * A growing string, and JSON written onto it. A failed allocation is remembered in the string and
 * told once, by text_take() or text_check(), so that a long report needs no check at every line.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

typedef struct Text {
        char *data; /* NUL-terminated where not NULL */
        size_t size;
        size_t allocated;
        bool failed; /* an allocation failed: the content is not whole */
} Text;

void text_done(Text *text);

/* Growing */
void text_add(Text *text, const char *string);
void text_add_bytes(Text *text, const void *bytes, size_t size);
void text_addf(Text *text, const char *format, ...) _printf_(2, 3);
void text_add_hex(Text *text, const uint8_t *bytes, size_t size); /* lower case, no colons */

/* The content; "" where nothing was added. Stays owned by the text. */
const char *text_content(const Text *text);

/* 0, or -ENOMEM where an allocation failed on the way. */
int text_check(const Text *text, Error *reterr);

/* Moves the string out; the caller frees it. */
int text_take(Text *text, char **ret, Error *reterr);

/* JSON (RFC 8259). Commas are put by the writer. key is NULL inside an array and at the top. A byte
 * that is not part of UTF-8 is written as U+FFFD. */
typedef struct Json {
        Text *text;
        bool comma; /* the next value needs one before it */
} Json;

void json_object(Json *json, const char *key);
void json_object_end(Json *json);
void json_array(Json *json, const char *key);
void json_array_end(Json *json);
void json_string(Json *json, const char *key, const char *value); /* NULL is written as null */
void json_integer(Json *json, const char *key, int64_t value);
void json_boolean(Json *json, const char *key, bool value);
void json_null(Json *json, const char *key);
void json_hex(Json *json, const char *key, const uint8_t *bytes, size_t size);
void json_time(Json *json, const char *key, int64_t usec); /* RFC 3339, UTC, whole seconds */
