/*
 * Memory for many small things that end together: a policy's texts, a tree of nodes. Taking some is
 * moving a pointer, and giving all back is a few calls, so that a large policy neither costs time
 * piece by piece nor leaves a heap full of holes in a service that then sleeps.
 */
#pragma once

#include <stddef.h>

typedef struct ArenaChunk ArenaChunk;

/* All zeros is an empty one. */
typedef struct Arena {
        ArenaChunk *last;
} Arena;

/* Zeroed bytes, aligned for pointers and integers, until arena_done(); NULL where memory runs out.
 */
void *arena_get(Arena *arena, size_t size);

/* A copy of that many bytes of a text, and a NUL. */
char *arena_text(Arena *arena, const char *text, size_t length);

void arena_done(Arena *arena);
