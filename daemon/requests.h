/*
 * What was asked of pgcertd and no pass has begun with yet: passes of a mode, and renewals. Many
 * that ask for the same share one pass.
 */
#pragma once

#include "daemon/work.h"

/* A renewal, a consent or a rollover that was asked for. By name, since the policy may change
 * before the pass begins. */
typedef struct RequestedRenewal {
        char *name; /* of a certificate, a cluster, or an authority */
        bool rekey;
        bool is_consent;   /* foreign files of that name are handed over */
        bool is_cluster;   /* a consent alone: no certificate gets a new leaf */
        bool is_rotation;  /* of the CA of the authority of that name */
        bool is_emergency; /* whose key was stolen */
} RequestedRenewal;

/* Zero is one of nothing. */
typedef struct Requests {
        bool is_wanted[WORK_MODES];
        RequestedRenewal *renewals;
        size_t n_renewals;
} Requests;

void requests_done(Requests *requests);

void requests_add(Requests *requests, WorkMode mode);
bool requests_is_empty(const Requests *requests);

/* Wants an acting pass that issues a new leaf. The name is copied. -ENOMEM. */
int requests_add_renewal(Requests *requests, const RequestedRenewal *renewal);

/* The mode of the next pass, no longer wanted: one that acts goes before one that looks, whose
 * answer is then of what was done. WORK_ACT where nothing was asked for. */
WorkMode requests_take_mode(Requests *requests);

/* Writes the renewals into the memory of the pass that begins, and forgets them. A name that its
 * policy does not have any more is passed over. */
void requests_take_renewals(Requests *requests, const Policy *policy, Memory *memory);

/* Forgets the renewals: no pass can be made. */
void requests_drop_renewals(Requests *requests);
