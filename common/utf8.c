#include "common/utf8.h"

#include <stdbool.h>
#include <string.h>

static bool is_continuation(unsigned char byte)
{
        return (byte & 0xC0) == 0x80;
}

/* How many bytes a character has by its first one; 0 where none begins with it. */
static size_t promised_length(unsigned char lead)
{
        return lead < 0x80   ? 1
               : lead < 0xC2 ? 0
               : lead < 0xE0 ? 2
               : lead < 0xF0 ? 3
               : lead < 0xF5 ? 4
                             : 0;
}

size_t utf8_length(const void *bytes, size_t size)
{
        const unsigned char *p = bytes;
        size_t n = size > 0 ? promised_length(p[0]) : 0;

        if (n == 0 || n > size)
                return 0;
        for (size_t i = 1; i < n; i++)
                if (!is_continuation(p[i]))
                        return 0;
        /* The second byte alone tells an overlong form, a surrogate and what is past U+10FFFF
         * (RFC 3629 section 4). */
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
            (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
                return 0;
        return n;
}

size_t utf8_cut(const char *text, size_t max)
{
        size_t size = strnlen(text, max + 1), kept = max;

        if (size <= max)
                return size;
        /* Three steps back at the most: what has more of them is no UTF-8, and is cut anywhere. */
        for (unsigned i = 0; i < 3 && kept > 0 && is_continuation((unsigned char)text[kept]); i++)
                kept--;
        return is_continuation((unsigned char)text[kept]) ? max : kept;
}

void utf8_trim(char *text)
{
        size_t size = strlen(text), back = 0;

        while (back < 3 && back < size && is_continuation((unsigned char)text[size - 1 - back]))
                back++;
        if (back < size && promised_length((unsigned char)text[size - 1 - back]) > back + 1)
                text[size - 1 - back] = '\0';
}
