/*
 * What happened in a simulated life, shortened: the last events that matter, for whoever has to
 * find out why a case failed. What repeats itself (renewals) has a shorter memory of its own.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>
#include <stdio.h>

enum { STORY_LINES = 40, STORY_LINE_MAX = 200 };

typedef struct StoryLine {
        int64_t at_usec;
        char text[STORY_LINE_MAX];
} StoryLine;

typedef struct StoryRing {
        StoryLine lines[STORY_LINES];
        size_t n; /* told so far; the last STORY_LINES are there */
} StoryRing;

typedef struct Story {
        StoryRing matters, daily;
        FILE *aloud; /* where all is told at once; NULL for nowhere */
} Story;

void story_tell(Story *story, bool matters, int64_t at_usec, const char *format, ...)
        _printf_(4, 5);

/* Both together, by time. */
void story_print(const Story *story, FILE *file);
