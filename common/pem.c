#include "common/pem.h"

#include <string.h>

enum { PEM_LINE_BYTES = 48 };

static void add_line(Text *text, const uint8_t *bytes, size_t n)
{
        static const char alphabet[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
        char line[PEM_LINE_BYTES / 3 * 4 + 1], *at = line;

        for (size_t i = 0; i < n; i += 3) {
                uint32_t group = (uint32_t)bytes[i] << 16;

                if (i + 1 < n)
                        group |= (uint32_t)bytes[i + 1] << 8;
                if (i + 2 < n)
                        group |= bytes[i + 2];
                *at++ = alphabet[group >> 18];
                *at++ = alphabet[group >> 12 & 63];
                *at++ = i + 1 < n ? alphabet[group >> 6 & 63] : alphabet[64];
                *at++ = i + 2 < n ? alphabet[group & 63] : alphabet[64];
        }
        *at++ = '\n';
        text_add_bytes(text, line, (size_t)(at - line));
}

void pem_add_certificate(Text *text, const uint8_t *der, size_t size)
{
        text_add(text, "-----BEGIN CERTIFICATE-----\n");
        for (size_t at = 0; at < size; at += PEM_LINE_BYTES)
                add_line(text, der + at, size - at < PEM_LINE_BYTES ? size - at : PEM_LINE_BYTES);
        text_add(text, "-----END CERTIFICATE-----\n");
}
