#include "common/yamlbytes.h"

#include "common/utf8.h"

#include <errno.h>
#include <string.h>

static const char *judge(const unsigned char *p, size_t size, size_t *ret_length)
{
        *ret_length = utf8_length(p, size);
        if (*ret_length == 0)
                return "this is not UTF-8. HINT: Save the file as UTF-8.";
        if (*p == 0)
                return "a NUL byte. HINT: Save the file as UTF-8 text.";
        if ((*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r') || *p == 0x7F ||
            (p[0] == 0xC2 && p[1] < 0xA0 && p[1] != 0x85))
                return "a control character. HINT: Remove it.";
        return NULL;
}

size_t yamlbytes_mark(const void *data, size_t size)
{
        return size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

int yamlbytes_check(const char *file, const void *data, size_t size, Errors *errors)
{
        const unsigned char *p = data;
        unsigned line = 1, column = 1;
        size_t length;
        Error error;

        if (size > YAML_SIZE_MAX) {
                error_at(&error, EFBIG, file, 0, 0, "more than 8 MiB. HINT: Split the policy.");
                return errors_add(errors, &error);
        }
        if (size >= 2 && (memcmp(p, "\xFF\xFE", 2) == 0 || memcmp(p, "\xFE\xFF", 2) == 0)) {
                error_at(&error, EINVAL, file, 1, 1,
                         "this is UTF-16. HINT: Save the file as UTF-8.");
                return errors_add(errors, &error);
        }
        for (size_t i = yamlbytes_mark(p, size); i < size; i += length) {
                const char *what;

                /* Most of a policy: every program reads it at each of its starts. */
                for (; i < size && p[i] >= 0x20 && p[i] < 0x7F; i++)
                        column++;
                if (i == size)
                        break;
                what = judge(p + i, size - i, &length);
                if (what) {
                        error_at(&error, EINVAL, file, line, column, "%s", what);
                        return errors_add(errors, &error);
                }
                column = p[i] == '\n' ? 1 : column + 1;
                line += p[i] == '\n';
        }
        return 0;
}

bool yamlbytes_is_unfit(const unsigned char *p)
{
        if (*p >= 0x20 && *p < 0x7F)
                return false;
        if (*p < 0x20 || *p == 0x7F)
                return true;
        if (p[0] == 0xC2) /* C1, U+0080 to U+009F */
                return p[1] < 0xA0;
        if (p[0] == 0xE2 && p[1] == 0x80) /* U+2028 and U+2029 end lines, to U+202E directions */
                return p[2] >= 0xA8 && p[2] <= 0xAE;
        if (p[0] == 0xE2 && p[1] == 0x81) /* U+2066 to U+2069, directions */
                return p[2] >= 0xA6 && p[2] <= 0xA9;
        if (p[0] == 0xEF && p[1] == 0xBB) /* U+FEFF, a byte order mark */
                return p[2] == 0xBF;
        /* U+FFFE and U+FFFF are no characters. */
        return p[0] == 0xEF && p[1] == 0xBF && p[2] >= 0xBE;
}
