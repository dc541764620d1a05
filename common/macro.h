/*
 * The few macros that every file may use: cleanup attributes, ownership moves, array sizes.
 * Nothing here has to be learned before the domain: each is one line of plain C.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Runs func(&variable) when the variable leaves its scope. */
#define _cleanup_(func) __attribute__((cleanup(func)))

/* The arguments at position form and after are those of printf(3). */
#define _printf_(form, first) __attribute__((format(printf, form, first)))

#define _unused_ __attribute__((unused))

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Reads the pointer and leaves NULL behind: ownership moves to the reader. */
#define TAKE_PTR(pointer)                                                                          \
        ({                                                                                         \
                __typeof__(pointer) *_place = &(pointer);                                          \
                __typeof__(pointer) _value = *_place;                                              \
                *_place = NULL;                                                                    \
                _value;                                                                            \
        })

/* Reads the descriptor and leaves -1 behind: ownership moves to the reader. */
#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int *_place = &(fd);                                                               \
                int _value = *_place;                                                              \
                *_place = -1;                                                                      \
                _value;                                                                            \
        })

/* Defines name_p() for _cleanup_(), from a destructor that takes NULL. */
#define DEFINE_CLEANUP(type, func)                                                                 \
        _unused_ static inline void func##p(type *place)                                           \
        {                                                                                          \
                func(*place);                                                                      \
        }                                                                                          \
        struct func##_needs_a_semicolon

_unused_ static inline void freep(void *place)
{
        free(*(void **)place);
}

_unused_ static inline void closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}
