/*
 * What pgcertd holds between passes: the policy in force, and what the last pass left. The report
 * is always of one policy: the one that the last pass was made with.
 */
#pragma once

#include "daemon/pass.h"
#include "daemon/report.h"

enum { STATE_HOST_MAX = 256 };

typedef struct State {
        PeerPlaces places;
        char host[STATE_HOST_MAX];
        Policy *policy; /* in force: what the next pass is made with */
        /* Of the last pass. */
        Policy *last_policy;
        Observation *observation;
        Memory *memory; /* for last_policy; never NULL once a policy was loaded */
        Plan *plan;
        int64_t pass_usec; /* when it ended, realtime; 0 for none yet */
        /* Why the policy on disk is not in force, and since when; NULL where it is. */
        char *policy_error;
        int64_t policy_error_since_usec;
        Record *record;
} State;

/* places' strings must outlive the state. */
void state_init(State *state, const PeerPlaces *places);
void state_done(State *state);

/* Reads the policy; it is in force from the next pass on. Where it is broken the old one stays, and
 * errors has all that is wrong. 1 where another policy than before is in force. */
int state_load(State *state, Errors *errors);

/* Reads it again where the files are not what is in force. What state_load() returns, or 0. */
int state_refresh(State *state, Errors *errors);

/* A pass of that mode over the state. */
int state_pass_new(State *state, WorkMode mode, void (*tell)(void *, const WorkEvent *),
                   void *userdata, Work **ret, Error *reterr);

/* Takes what a pass left that has ended well. policy is the one that it was made with. */
void state_take(State *state, Work *pass);

/* Plans again from what was seen last, with every step held; for when the policy is broken. */
int state_hold(State *state, const char *held, Error *reterr);

void state_report(const State *state, Report *ret);
