/*
 * One certificate of a plan: whether its set is published anew now, and what stands in the way.
 * Pure.
 */
#pragma once

#include "common/health.h"
#include "daemon/due.h"
#include "daemon/issuer.h"
#include "daemon/takeover.h"

/* What a set's row says (the states of status --json). */
typedef enum CertificateState {
        CERTIFICATE_OK,
        CERTIFICATE_DUE,     /* a step is due now */
        CERTIFICATE_OWED,    /* published, not yet proved on some cluster */
        CERTIFICATE_REFUSED, /* a PostgreSQL did not load it */
        CERTIFICATE_FOREIGN,
        CERTIFICATE_HELD, /* due, but held: broken policy, clock step, override, CA lost */
        CERTIFICATE_EXPIRED,
        CERTIFICATE_ERROR, /* the last try failed, or nobody can look */
        CERTIFICATE_STATES,
} CertificateState;

typedef struct DraftInput {
        DueInput due;
        Issuers issuers;
        const char *held;  /* NULL, or why no step may be done */
        const char *doubt; /* NULL, or why the clock is not believed: nothing is issued then */
        int64_t boot_usec;
} DraftInput;

typedef struct Draft {
        /* Given: what its clusters say of it. */
        const PolicyCluster *foreign; /* whose configuration file is not ours; NULL for none */
        const char *override;         /* who else makes a cluster's settings; NULL for nobody */
        int64_t served_until_usec;    /* the first end that a reader meets; USEC_INFINITY */
        bool has_reader;              /* a cluster that is there uses it */

        /* Judged. */
        Due due;
        bool is_foreign;
        bool is_adopting;   /* foreign, with consent, and taken over now */
        bool is_publishing; /* what is due is done now */
        bool is_waiting;    /* due, but in back-off until retry_boot_usec */
        int64_t retry_boot_usec;
        char *obstacle; /* why nothing is done for it; NULL where nothing stands in the way */
        CertificateState obstacle_state;
        Health obstacle_health;

        /* Given after the clusters were judged, for the row. */
        bool is_owed;
        bool is_refused;
        const char *blame; /* the sentence of the first such cluster; NULL */
} Draft;

void draft_done(Draft *draft);

/* Whether the set is published in that way in this plan. */
static inline bool draft_does(const Draft *draft, DueKind kind)
{
        return draft->is_publishing && draft->due.kind == kind;
}

/* Of the certificate at index: what was observed of its set, and its authority's index. */
const ObservedSet *draft_set(const DraftInput *input, size_t index);
size_t draft_authority(const DraftInput *input, size_t index);

/* Whether the set is somebody else's. A foreign configuration file counts before the first
 * publication alone: later it must not let the certificate expire. */
bool draft_is_foreign(const Draft *draft, const ObservedSet *set);

/* Whether the user has handed its foreign files over, and nobody would be shut out by that. */
bool draft_has_consent(const DueInput *input, size_t index);

/* What is due and what stands in the way, for the certificate at index. */
int draft_judge(const DraftInput *input, size_t index, Draft *draft, Error *reterr);

/* The word for a state, as text and JSON write it. */
const char *certificate_state_name(CertificateState state);
