/*
 * An error: a code for the program, a sentence for the human, and the place in a file where there
 * is one. It lives in fixed storage, so that running out of memory can be reported too.
 *
 * A function that can fail takes `Error *reterr` last; it may be NULL. The sentence is made where
 * the error is born, lower case, without a full stop, and may end in " HINT: Sentence." Callers
 * prefix it at the boundary of a module and never match on its text.
 */
#pragma once

#include "common/macro.h"

#include <stdarg.h>
#include <stdbool.h>

enum { ERROR_TEXT_MAX = 1024, ERROR_FILE_MAX = 256 };

typedef struct Error {
        int code;      /* positive errno value; 0 where nothing failed */
        unsigned line; /* counts from 1; 0 where the error has no place in a file */
        unsigned column;
        char file[ERROR_FILE_MAX];
        char text[ERROR_TEXT_MAX];
} Error;

/* All errors of one reading. At most ERRORS_MAX are kept, the others are counted. */
enum { ERRORS_MAX = 200 };

typedef struct Errors {
        Error *items;
        size_t n;
        size_t omitted;
} Errors;

/* Makes an error from a positive errno value. Returns -code, so that a caller can write
 * `return error_set(...)`. A text that is too long is cut at a whole UTF-8 character. errno is left
 * alone, so %m works; arguments must not point into reterr. */
int error_set(Error *reterr, int code, const char *format, ...) _printf_(3, 4);
int error_at(Error *reterr, int code, const char *file, unsigned line, unsigned column,
             const char *format, ...) _printf_(6, 7);

/* Says that memory ran out; returns -ENOMEM. */
int error_oom(Error *reterr);

/* Puts "text: " in front of the sentence; returns -code of the error. Where reterr is NULL there is
 * no code to return, and it is -EIO: who needs the code returns its own. */
int error_prefix(Error *reterr, const char *format, ...) _printf_(2, 3);

/* The sentence as people are shown it: its length without the hint, and "HINT: Sentence.", NULL for
 * none. Both are in the error. */
const char *error_hint(const Error *error, int *ret_length);

/* Writes "file:line:col: sentence", or the sentence alone; returns buffer. */
const char *error_format(const Error *error, char *buffer, size_t size);

/* Adds an error to a list; errors is never NULL. Always returns -code. */
int errors_add(Errors *errors, const Error *error);
void errors_done(Errors *errors);
