/*
 * What the answers to pgcertctl have in common, for the files answer*.c alone.
 */
#pragma once

#include "daemon/keeper.h"
#include "daemon/waiting.h"

typedef struct Answers {
        State *state;
        Keeper *keeper;
        Waiting *first;
} Answers;

bool answering_is_json(const ControlCall *call);

/* Ends the call with a sentence why it is not done. Returns 0. */
int answering_refuse(ControlCall *call, const char *sentence);

/* Ends a call that has nothing to tell but that it is done. */
void answering_done(ControlCall *call, const char *member, const char *sentence);

/* `rotate` and `bundle`. */
int answer_rotate(Answers *answers, ControlCall *call);
int answer_bundle(Answers *answers, ControlCall *call);

/* What `rotate` is told in the end. */
void answer_rotation(Answers *answers, const Waiting *waiting);

/* After a pass: whether the next one, which begins at once, moves the rollover on that the call
 * waits for. */
bool answer_goes_on(Answers *answers, Waiting *waiting);
