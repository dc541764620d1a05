/*
 * A step of a plan: a verb that one program carries out, its object, and the reason in words.
 */
#pragma once

#include "common/error.h"
#include "common/policymodel.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum StepVerb {
        STEP_AUTHORITY, /* make the first CA: object is an authority */
        STEP_EMERGENCY, /* replace a stolen CA at once: an authority */
        STEP_PREPARE,   /* make the next generation of the CA: an authority */
        STEP_ANNOUNCE,  /* say that it is in every bundle: an authority */
        STEP_ACTIVATE,  /* have it sign: an authority */
        STEP_RETIRE,    /* trust a former generation no longer: an authority */
        STEP_ADOPT,     /* take a foreign set over, byte for byte: a certificate */
        STEP_ISSUE,     /* stage, issue and fill a new generation: a certificate */
        STEP_TRUST,     /* a new generation with the published leaf and another bundle: a
                           certificate */
        STEP_RETRY,     /* switch to the generation that was refused once more: a certificate */
        STEP_PUBLISH,   /* preflight and switch; links and service file: a certificate */
        STEP_CONFIGURE, /* write the configuration file: a cluster */
        STEP_LOAD,      /* have the postmaster load: a cluster */
        STEP_PROVE,     /* see the leaf served: a cluster */
        STEP_LOGIN,     /* the logins and refusals that `verify` asks for: a cluster */
        STEP_PRUNE,     /* remove old generations: a certificate */
        STEP_VERBS,
} StepVerb;

typedef struct Step {
        StepVerb verb;
        size_t object; /* index into the policy's authorities, certificates or clusters */
        bool rekey;    /* STEP_ISSUE: with a new key */
        char *reason;  /* in words: "renewal is due since 2026-01-31T12:00:00Z" */
        bool is_next;  /* STEP_AUTHORITY: made as the next CA, to be trusted before it signs */
        uint32_t generation; /* STEP_ANNOUNCE to STEP_RETIRE, STEP_EMERGENCY: of the CA */
} Step;

typedef struct Steps {
        Step *items;
        size_t n;
        size_t allocated;
} Steps;

/* Adds a step; the reason is copied. */
int steps_add(Steps *steps, StepVerb verb, size_t object, bool rekey, const char *reason,
              Error *reterr);
void steps_done(Steps *steps);

/* What a step of that verb is done to, the kind of its object. STEP_VERBS: to nothing; it counts as
 * a cluster's. */
PolicyKind step_kind(StepVerb verb);

/* The word for a verb, as the dry run prints it. */
const char *step_verb_name(StepVerb verb);
