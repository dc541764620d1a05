/*
 * The signer of a simulated life: generations of CAs in memory instead of files, made and signed by
 * the real mint; when they may be activated and retired, the real signer's own rules say (turn.h).
 * Where the simulator is to break a rule, it breaks it here or in what the plan is shown.
 */
#pragma once

#include "common/observation.h"
#include "tests/simulation/papers.h"

/* Rules that a run may be told to break, to see that it is noticed. */
typedef enum Break {
        BREAK_NOTHING,
        BREAK_NO_CROSS,         /* no chain carries a cross-certificate */
        BREAK_EARLY,            /* activated as soon as announced */
        BREAK_FROM_PREPARE,     /* `distribute` counts from prepare */
        BREAK_RETIRE_EARLY,     /* retired at activation + distribute */
        BREAK_NOT_CLAMPED,      /* leaves outlive their CA */
        BREAK_NEXT_MISSING,     /* no bundle holds the next CA */
        BREAK_DUE_FOR_EVER,     /* a clamped leaf is renewed though it would end no later */
        BREAK_LATEST_TOO_EARLY, /* evidence is waived as soon as the next CA is made */
        BREAK_NO_EVIDENCE,      /* what is on disk is taken for served, too, when it is announced */
        BREAKS,
} Break;

typedef struct CaSigner CaSigner;

CaSigner *casigner_new(Papers *papers, Break broken);

/* Has the real signer's functions do it from now on, with its files below the directory; nothing
 * was made yet, and no rule is broken. */
void casigner_use_files(CaSigner *signer, const char *directory);
CaSigner *casigner_free(CaSigner *signer);
DEFINE_CLEANUP(CaSigner *, casigner_free);

/* What is told of the authority at index; ret is the caller's. */
void casigner_observe(CaSigner *signer, const Policy *policy, size_t index, ObservedAuthority *ret);

/* The steps; each is idempotent. -EAGAIN before its time. */
int casigner_make(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                  Error *reterr);
int casigner_prepare(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                     Error *reterr);
int casigner_announce(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                      int64_t now_usec, Error *reterr);
int casigner_activate(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                      int64_t now_usec, Error *reterr);
int casigner_retire(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                    int64_t now_usec, Error *reterr);
int casigner_emergency(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                       int64_t now_usec, Error *reterr);

/* A leaf for the certificate at index of the policy; key chooses one of a few. */
int casigner_issue(CaSigner *signer, const Policy *policy, size_t index, unsigned key,
                   int64_t now_usec, Paper **ret, Error *reterr);

/* Whether a leaf ends with the CA that signs now, so that another one would end no later. */
bool casigner_is_clamped(CaSigner *signer, const Policy *policy, size_t index,
                         const CertFacts *leaf);

/* The paper with these facts: of a generation or a cross-certificate. */
const Paper *casigner_paper(const CaSigner *signer, const CertFacts *facts);

/* The names of all generations that were ever made, each once: -EEXIST where two are the same. */
int casigner_check_names(const CaSigner *signer, Error *reterr);

/* Where a rule is broken that is one of time: what is done too early, done now; and when it would
 * be next, USEC_INFINITY for never. */
bool casigner_break(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                    int64_t *ret_next_usec);
