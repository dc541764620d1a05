/*
 * What the signer tells of an authority: the generations of its CA with their certificates, which
 * are public, and where each stands in the rollover; and its form on the wire. The keys stay with
 * the signer. A part of an observation (see observation.h).
 *
 * A generation is made as NEXT and put into every trust bundle; once that was announced for as long
 * as the policy's `distribute`, it is activated and signs as CURRENT; the one before is RETIRING
 * and stays trusted until its last leaf has ended. The stamps are of the signer's own clock.
 */
#pragma once

#include "common/cert.h"
#include "common/message.h"

typedef enum AuthorityPhase {
        AUTHORITY_NEXT,     /* made, to be trusted everywhere before it signs */
        AUTHORITY_CURRENT,  /* signs */
        AUTHORITY_RETIRING, /* has signed; trusted until its last leaf has ended */
        AUTHORITY_PHASES,
} AuthorityPhase;

/* One generation of a CA that is not retired. */
typedef struct ObservedGeneration {
        uint32_t number;
        uint8_t phase;      /* AuthorityPhase */
        bool is_stolen;     /* its key is not trusted any more: an emergency was confirmed */
        bool is_imported;   /* somebody else's CA, taken over with its key */
        bool is_incomplete; /* it signed leaves that its ledger does not know: it stays until its
                               own end */
        uint8_t key_type;   /* 1 + KeyType of its key, as the signer reads it; 0 for none of ours */
        CertFacts facts;
        char *subject; /* as one line */
        uint8_t *der;
        size_t der_size;
        /* Its cross-certificate: the same name and key, signed by the generation that was current
         * when it was made, and ending with that one. cross is NULL for none. */
        uint8_t *cross;
        size_t cross_size;
        CertFacts cross_facts;
        int64_t prepared_usec;  /* when it was made; 0 where that is not known (imported) */
        int64_t announced_usec; /* when it was in every bundle; 0 for not yet */
        int64_t activated_usec; /* since when it signs; 0 for not yet */
        int64_t last_leaf_usec; /* the latest notAfter of its leaves, by the ledger; INT64_MIN for
                                   none. Told of a generation that is RETIRING, else INT64_MIN */
} ObservedGeneration;

/* A foreign anchor, from `trust:`. */
typedef struct ObservedAnchor {
        CertFacts facts;
        char *subject;
        uint8_t *der;
        size_t der_size;
} ObservedAnchor;

enum {
        OBSERVED_GENERATIONS_MAX = 16,
        OBSERVED_TRUST_MAX = 16,
        OBSERVED_RETIRED_MAX = 64,
};

typedef struct ObservedAuthority {
        bool known;                      /* the signer answered */
        ObservedGeneration *generations; /* by number; none: a blank slate */
        size_t n_generations;
        ObservedAnchor *trust;
        size_t n_trust;
        /* Anchors that no bundle needs any more: generations that were retired or discarded, and
         * `trust:` that was taken out of the policy. The newest, by subjectKeyIdentifier. */
        uint8_t (*retired)[CERT_KEY_ID];
        size_t n_retired;
        char *problem; /* NULL, or why the signer did not answer */
} ObservedAuthority;

void authority_done(ObservedAuthority *authority);
/* ret is overwritten; what it gets is the caller's, also on failure. */
int authority_copy(const ObservedAuthority *from, ObservedAuthority *ret, Error *reterr);

/* The generation of a phase, the newest of several; NULL where there is none. */
const ObservedGeneration *authority_find(const ObservedAuthority *authority, AuthorityPhase phase);
const ObservedGeneration *authority_current(const ObservedAuthority *authority);

/* The generation with that subjectKeyIdentifier; NULL where there is none. */
const ObservedGeneration *authority_find_key(const ObservedAuthority *authority,
                                             const uint8_t key_id[CERT_KEY_ID]);

/* The generation with that number; NULL where there is none, as of a retired one. */
const ObservedGeneration *authority_find_number(const ObservedAuthority *authority,
                                                uint32_t number);

/* Whether an anchor with that subjectKeyIdentifier was retired. */
bool authority_is_retired(const ObservedAuthority *authority, const uint8_t key_id[CERT_KEY_ID]);

/* The wire's form. authority_get() leaves judging the message to wire_end(). */
void authority_put(Message *message, const ObservedAuthority *authority);
int authority_get(Message *message, ObservedAuthority *ret, Error *reterr);
void authority_put_facts(Message *message, const CertFacts *facts);
void authority_get_facts(Message *message, CertFacts *ret);
