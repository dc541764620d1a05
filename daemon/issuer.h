/*
 * Which authorities can sign now, and whether the signer knows who issued what is published:
 * a CA is made only on a blank slate, and a signer that is behind what readers already hold (its
 * state was restored from before a rollover) issues nothing. Pure.
 */
#pragma once

#include "common/observation.h"

typedef enum IssuerState {
        ISSUER_READY,
        ISSUER_BLANK,   /* no CA yet, and one may be made */
        ISSUER_SILENT,  /* the signer did not answer */
        ISSUER_LOST,    /* leaves are published, but the signer has no CA at all */
        ISSUER_BARRED,  /* no CA is made while a set of it is foreign */
        ISSUER_ENDED,   /* expired, or no generation that signs */
        ISSUER_PENDING, /* its first generation is to be trusted before it signs */
        ISSUER_BEHIND,  /* a set names an issuer or anchor that the signer does not know: sets that
                           are there are judged one by one, nothing else is done */
} IssuerState;

typedef struct Issuer {
        IssuerState state;
        bool as_next;  /* of ISSUER_BLANK: readers trust a CA whose key nobody here has */
        char *problem; /* a sentence; NULL where it is blank or ready */
} Issuer;

typedef enum IssuerKeyKind {
        ISSUER_KEY_GENERATION,
        ISSUER_KEY_TRUST,
        ISSUER_KEY_RETIRED
} IssuerKeyKind;

/* A key identifier that the signer knows. */
typedef struct IssuerKey {
        uint8_t key_id[CERT_KEY_ID];
        uint8_t kind;        /* IssuerKeyKind; the first of several */
        int64_t latest_usec; /* the latest end of a leaf of it that was seen, on disk or served;
                                INT64_MIN for none */
} IssuerKey;

typedef struct Issuers {
        Issuer *items; /* in the order of the policy */
        size_t n;
        IssuerKey *keys; /* of all authorities, sorted, each once */
        size_t n_keys;
        bool *knows_bundle;  /* of each bundle of the observation, whether all its anchors are known
                              */
        const char *silence; /* NULL, or the problem of an authority that was not heard */
} Issuers;

/* is_foreign says of each certificate whether its set is somebody else's. The result borrows from
 * the observation. */
int issuers_look(const Policy *policy, const Observation *observation, const bool *is_foreign,
                 int64_t now_usec, Issuers *ret, Error *reterr);
void issuers_done(Issuers *issuers);

/* The latest end of a leaf with that issuer that was seen; INT64_MIN for none. */
int64_t issuers_latest(const Issuers *issuers, const uint8_t key_id[CERT_KEY_ID]);

/* Whether the signer answered for all authorities of the certificate's bundle. */
bool issuers_heard(const Issuers *issuers, const Policy *policy,
                   const PolicyCertificate *certificate);

/* Whether the signer knows who issued the set at index, and every anchor of its bundle. False with
 * a sentence where it does not (*ret_problem is NULL where memory ran out). True where an authority
 * of its bundle was not heard: issuers_heard() is asked before anything is issued. */
bool issuers_know_set(const Issuers *issuers, const Policy *policy, const Observation *observation,
                      size_t index, char **ret_problem);
