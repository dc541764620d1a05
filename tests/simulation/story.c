#include "tests/simulation/story.h"

#include "common/clock.h"

#include <stdarg.h>

void story_tell(Story *story, bool matters, int64_t at_usec, const char *format, ...)
{
        StoryRing *ring = matters ? &story->matters : &story->daily;
        StoryLine *line = &ring->lines[ring->n++ % STORY_LINES];
        char at[CLOCK_TEXT_MAX];
        va_list arguments;

        line->at_usec = at_usec;
        va_start(arguments, format);
        vsnprintf(line->text, sizeof line->text, format, arguments);
        va_end(arguments);
        if (story->aloud)
                fprintf(story->aloud, "%s %s\n", clock_format(at_usec, at), line->text);
}

/* The place of a ring's oldest line that is still there. */
static size_t oldest(const StoryRing *ring)
{
        return ring->n > STORY_LINES ? ring->n - STORY_LINES : 0;
}

void story_print(const Story *story, FILE *file)
{
        const StoryRing *a = &story->matters, *b = &story->daily;
        size_t i = oldest(a), j = oldest(b);
        char at[CLOCK_TEXT_MAX];

        while (i < a->n || j < b->n) {
                const StoryLine *x = &a->lines[i % STORY_LINES], *y = &b->lines[j % STORY_LINES];
                const StoryLine *next = j == b->n || (i < a->n && x->at_usec <= y->at_usec) ? x : y;

                if (next == x)
                        i++;
                else
                        j++;
                fprintf(file, "  %s %s\n", clock_format(next->at_usec, at), next->text);
        }
}
