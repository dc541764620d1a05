/*
 * Whether a file's bytes are UTF-8 text (RFC 3629) at all, with the place of what is not: libyaml
 * would tell an offset only, and guesses other encodings.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { YAML_SIZE_MAX = 8 << 20 /* bytes of a file */ };

/* Adds an error for the first byte that is not text of a policy: not UTF-8, a control character
 * other than a tab or a line's end, a NUL. -EFBIG over YAML_SIZE_MAX. 0 where all is fit. */
int yamlbytes_check(const char *file, const void *data, size_t size, Errors *errors);

/* The length of the byte order mark at the beginning, 0 where there is none. Editors write one;
 * libyaml, once it is told the encoding, takes it for text. */
size_t yamlbytes_mark(const void *data, size_t size);

/* Whether a value's text, UTF-8 and NUL-terminated, begins with a character that no value may have:
 * a control character (an escape in quotes makes any), or one that is as bad: a separator that some
 * readers take for a line's end, a change of direction that shows other text than there is, or what
 * YAML cannot write but by an escape. */
bool yamlbytes_is_unfit(const unsigned char *p);
