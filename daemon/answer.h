/*
 * The commands of pgcertctl, answered: from what the last pass left, or after the passes that a
 * request causes.
 */
#pragma once

#include "daemon/control.h"
#include "daemon/keeper.h"

typedef struct Answers Answers;

int answers_new(State *state, Answers **ret, Error *reterr);
Answers *answers_free(Answers *answers);
DEFINE_CLEANUP(Answers *, answers_free);

/* Who is asked for passes; before the first command. */
void answers_set_keeper(Answers *answers, Keeper *keeper);

/* For control_new() and keeper_new(): userdata is the Answers. */
extern const ControlHandler answers_handler;
void answers_pass_ended(void *userdata, uint64_t number, WorkMode mode, const char *failure);
