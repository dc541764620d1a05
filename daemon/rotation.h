/*
 * What `pgcertctl rotate` and `pgcertctl bundle` say of an authority: what an emergency would
 * break, how far a rollover that was asked for has come, and the anchors that its readers are to
 * hold. Pure.
 */
#pragma once

#include "daemon/report.h"

typedef enum RotationState {
        ROTATION_GOING,  /* a pass that is due will move it on */
        ROTATION_DONE,   /* the next CA is in every trust bundle; or the stolen one in none */
        ROTATION_WAITS,  /* somebody is in the way */
        ROTATION_FAILED, /* there is no next CA */
} RotationState;

/* The number of the newest generation of the authority at index; 0 for none. */
uint32_t rotation_newest(const Report *report, size_t index);

/* Whether a rollover, or the replacement of a stolen CA, goes on already, so that asking for it
 * once more changes nothing. */
bool rotation_is_under_way(const Report *report, size_t index, bool is_emergency);

/* How it stands with what was asked for when `before` was the newest generation. */
RotationState rotation_judge(const Report *report, size_t index, bool is_emergency,
                             uint32_t before);

/* That in words, or as an object; the exit status: 0 done or under way, 1 waiting, 2 failed. */
int rotation_outcome(const Report *report, size_t index, bool is_emergency, uint32_t before,
                     Text *text);
int rotation_outcome_json(const Report *report, size_t index, bool is_emergency, uint32_t before,
                          Text *text);

/* What an emergency would break, for the user to confirm. */
void rotation_preview(const Report *report, size_t index, Text *text);

/* The anchors as PEM; 3, with a sentence in the text, where they are not known yet. */
int rotation_bundle(const Report *report, size_t index, Text *text);
int rotation_bundle_json(const Report *report, size_t index, Text *text);
