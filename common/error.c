#include "common/error.h"

#include "common/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

_printf_(3, 0) static void fill(Error *error, int code, const char *format, va_list arguments)
{
        int n = vsnprintf(error->text, sizeof error->text, format, arguments);

        if (n >= (int)sizeof error->text)
                utf8_trim(error->text);
        error->code = code;
}

int error_set(Error *reterr, int code, const char *format, ...)
{
        int saved = errno;
        va_list arguments;

        assert(code > 0);
        if (reterr) {
                *reterr = (Error){0};
                va_start(arguments, format);
                fill(reterr, code, format, arguments);
                va_end(arguments);
        }
        errno = saved;
        return -code;
}

int error_at(Error *reterr, int code, const char *file, unsigned line, unsigned column,
             const char *format, ...)
{
        int saved = errno;
        va_list arguments;

        assert(code > 0);
        if (reterr) {
                *reterr = (Error){.line = line, .column = column};
                snprintf(reterr->file, sizeof reterr->file, "%s", file);
                va_start(arguments, format);
                fill(reterr, code, format, arguments);
                va_end(arguments);
        }
        errno = saved;
        return -code;
}

int error_oom(Error *reterr)
{
        return error_set(reterr, ENOMEM, "out of memory");
}

int error_prefix(Error *reterr, const char *format, ...)
{
        char prefix[ERROR_TEXT_MAX], text[ERROR_TEXT_MAX];
        va_list arguments;

        if (!reterr)
                return -EIO;
        va_start(arguments, format);
        vsnprintf(prefix, sizeof prefix, format, arguments);
        va_end(arguments);
        memcpy(text, reterr->text, sizeof text); /* snprintf() must not read where it writes */
        if (snprintf(reterr->text, sizeof reterr->text, "%s: %s", prefix, text) >=
            (int)sizeof reterr->text)
                utf8_trim(reterr->text);
        return reterr->code > 0 ? -reterr->code : -EIO;
}

const char *error_hint(const Error *error, int *ret_length)
{
        const char *hint = strstr(error->text, " HINT: ");

        *ret_length = hint ? (int)(hint - error->text) : (int)strlen(error->text);
        return hint ? hint + 1 : NULL;
}

const char *error_format(const Error *error, char *buffer, size_t size)
{
        if (error->file[0] && error->line)
                snprintf(buffer, size, "%s:%u:%u: %s", error->file, error->line, error->column,
                         error->text);
        else if (error->file[0])
                snprintf(buffer, size, "%s: %s", error->file, error->text);
        else
                snprintf(buffer, size, "%s", error->text);
        return buffer;
}

int errors_add(Errors *errors, const Error *error)
{
        Error *items;

        /* What cannot be kept is counted, so that a reading with errors never counts as good. */
        if (errors->n >= ERRORS_MAX) {
                errors->omitted++;
                return -error->code;
        }
        items = reallocarray(errors->items, errors->n + 1, sizeof *items);
        if (!items) {
                errors->omitted++;
                return -error->code;
        }
        errors->items = items;
        errors->items[errors->n++] = *error;
        return -error->code;
}

void errors_done(Errors *errors)
{
        free(errors->items);
        *errors = (Errors){0};
}
