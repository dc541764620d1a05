#include "common/arena.h"

#include <stdlib.h>
#include <string.h>

/* Chunks grow from one page, enough for most policies, to what wastes little of a large one. */
enum { CHUNK_MIN = 4096, CHUNK_MAX = 65536 };

struct ArenaChunk {
        ArenaChunk *before;
        size_t used, size;
        _Alignas(max_align_t) char data[];
};

static ArenaChunk *add_chunk(Arena *arena, size_t least)
{
        size_t size = arena->last ? 2 * arena->last->size : CHUNK_MIN;
        ArenaChunk *chunk;

        if (size > CHUNK_MAX)
                size = CHUNK_MAX;
        if (size < least + sizeof *chunk)
                size = least + sizeof *chunk;
        chunk = calloc(1, size);
        if (!chunk)
                return NULL;
        *chunk = (ArenaChunk){.before = arena->last, .size = size - sizeof *chunk};
        arena->last = chunk;
        return chunk;
}

static void *take(Arena *arena, size_t size, size_t alignment)
{
        ArenaChunk *chunk = arena->last;
        size_t begin = chunk ? (chunk->used + alignment - 1) & ~(alignment - 1) : 0;

        if (!chunk || begin > chunk->size || size > chunk->size - begin) {
                chunk = add_chunk(arena, size);
                begin = 0;
        }
        if (!chunk)
                return NULL;
        chunk->used = begin + size;
        return chunk->data + begin;
}

void *arena_get(Arena *arena, size_t size)
{
        return take(arena, size, sizeof(void *));
}

char *arena_text(Arena *arena, const char *text, size_t length)
{
        char *copy = take(arena, length + 1, 1);

        if (copy)
                memcpy(copy, text, length);
        return copy;
}

void arena_done(Arena *arena)
{
        while (arena->last) {
                ArenaChunk *before = arena->last->before;

                free(arena->last);
                arena->last = before;
        }
}
