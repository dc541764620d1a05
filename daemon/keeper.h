/*
 * When to run a pass: at the start, on a deadline, every check_every, after a failure's back-off,
 * on SIGHUP, on a request, when the clock was set, and when the policy's files are not what is in
 * force. It keeps time and nothing else; between deadlines nothing wakes it.
 *
 * A pass runs in a thread of its own, one at a time, so that requests are heard meanwhile.
 */
#pragma once

#include "daemon/state.h"

#include <systemd/sd-event.h>

typedef struct Keeper Keeper;

/* Called in the event loop when a pass has ended, or could not be made: number counts both from 1,
 * so that whoever waits for one is never left waiting. failure is NULL where the pass ran to its
 * end, else the sentence why it did not, valid during the call. */
typedef void (*KeeperEnded)(void *userdata, uint64_t number, WorkMode mode, const char *failure);

/* event, state and userdata must outlive the keeper. SIGHUP, SIGTERM and SIGINT must be blocked. */
int keeper_new(sd_event *event, State *state, KeeperEnded ended, void *userdata, Keeper **ret,
               Error *reterr);

/* Ends a pass that runs, at once. */
Keeper *keeper_free(Keeper *keeper);
DEFINE_CLEANUP(Keeper *, keeper_free);

/* Asks for a pass that begins from now on: one that runs already does not count, for it may have
 * looked before what the caller wants seen. The pass asked for is the first one of that mode whose
 * number is the returned one or a later one. */
uint64_t keeper_request(Keeper *keeper, WorkMode mode);

/* The same, with a new leaf for the certificate of that name in the policy in force. -ENOMEM. */
int keeper_request_renewal(Keeper *keeper, const char *certificate, bool rekey,
                           uint64_t *ret_number);

/* The same, with the user's consent to take over the foreign files of the certificate of that name,
 * or the configuration file of the cluster; a certificate gets a new leaf, too. */
int keeper_request_consent(Keeper *keeper, bool is_cluster, const char *name, uint64_t *ret_number);

/* The same, with a rollover of the CA of the authority of that name, at once where its key was
 * stolen. */
int keeper_request_rotation(Keeper *keeper, const char *authority, bool is_emergency,
                            uint64_t *ret_number);

/* Reads the policy now. On failure the old one stays, and errors has all that is wrong. Otherwise a
 * pass with it is asked for, as by keeper_request(WORK_ACT). */
int keeper_reload(Keeper *keeper, Errors *errors, uint64_t *ret_number);
