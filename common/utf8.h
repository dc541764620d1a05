/*
 * Characters of UTF-8 (RFC 3629): where one ends, and how to cut a text without cutting one. Texts
 * from peers, servers and files need not be UTF-8 at all; nothing here assumes it.
 */
#pragma once

#include <stddef.h>

/* The bytes, 1 to 4, of the character at the start of size bytes; 0 where there is no whole and
 * well-formed one: overlong forms, surrogates and what is past U+10FFFF are none. */
size_t utf8_length(const void *bytes, size_t size);

/* How many bytes of the text to keep so that at most max are, and no character is kept in part. */
size_t utf8_cut(const char *text, size_t max);

/* Drops a part of a character from the end of a text that its buffer has cut already. */
void utf8_trim(char *text);
