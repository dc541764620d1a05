/*
 * Which authorities can sign now, and whether the signer knows who issued what is published:
 * a CA is made only on a blank slate, and a signer that is behind
 * what readers already hold issues nothing. Pure.
 */
#pragma once

#include "common/observation.h"

typedef enum IssuerState {
        ISSUER_READY,
        ISSUER_BLANK,  /* no CA yet, and one may be made */
        ISSUER_SILENT, /* the signer did not answer */
        ISSUER_LOST,   /* leaves are published, but the signer has no CA at all */
        ISSUER_BARRED, /* no CA is made while a set of it is foreign */
        ISSUER_ENDED,  /* expired, or no generation that signs */
} IssuerState;

typedef struct Issuer {
        IssuerState state;
        char *problem; /* a sentence; NULL where it is blank, or ready with nothing to tell */
} Issuer;

/* Which authority owns a key identifier. */
typedef struct IssuerKey {
        uint8_t key_id[CERT_KEY_ID];
        size_t authority;
} IssuerKey;

typedef struct Issuers {
        Issuer *items; /* in the order of the policy */
        size_t n;
        IssuerKey *keys; /* of all generations of all authorities, sorted */
        size_t n_keys;
        const char *silence; /* NULL, or the problem of an authority that was not heard */
} Issuers;

/* is_foreign says of each certificate whether its set is somebody else's. The result borrows from
 * the observation. */
int issuers_look(const Policy *policy, const Observation *observation, const bool *is_foreign,
                 int64_t now_usec, Issuers *ret, Error *reterr);
void issuers_done(Issuers *issuers);

/* From when on the CA has to be replaced, realtime; USEC_INFINITY where there is none. */
int64_t issuer_renew_at(const Policy *policy, const Observation *observation, size_t index);

/* Whether the signer answered for all authorities of the certificate's bundle. */
bool issuers_heard(const Issuers *issuers, const Policy *policy,
                   const PolicyCertificate *certificate);

/* Whether the signer knows who issued the set at index, and every anchor of its bundle. False with
 * a sentence where it does not (*ret_problem is NULL where memory ran out). True where an authority
 * of its bundle was not heard: issuers_heard() is asked before anything is issued. */
bool issuers_know_set(const Issuers *issuers, const Policy *policy, const Observation *observation,
                      size_t index, char **ret_problem);
