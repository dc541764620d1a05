/*
 * Calls of pgcertctl that wait for the end of a pass: which pass, and what is answered then.
 */
#pragma once

#include "daemon/control.h"
#include "daemon/work.h"

typedef enum AnswerKind {
        ANSWER_CHECK,
        ANSWER_PLAN,
        ANSWER_RENEW,
        ANSWER_ADOPT,
        ANSWER_ROTATE,
} AnswerKind;

/* A call that waits for the first pass of that mode from number on. */
typedef struct Waiting {
        struct Waiting *next;
        ControlCall *call;
        AnswerKind kind;
        WorkMode mode;
        uint64_t number;
        uint32_t generation; /* ANSWER_ROTATE: the newest one of the CA when it was asked for */
        unsigned passes;     /* that it has waited for */
} Waiting;

/* Adds one to the list; what is given is copied. -ENOMEM. */
int waiting_add(Waiting **first, const Waiting *waiting);

/* Takes the call's entry out and frees it, where there is one. */
void waiting_forget(Waiting **first, const ControlCall *call);

void waiting_free_all(Waiting **first);
