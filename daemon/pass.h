/*
 * One pass: observe all owners, plan, do the steps, observe again. It runs in a thread of its own
 * beside the event loop, blocks as long as its deadlines allow, and shares nothing with it: it
 * works on what it was given and hands back what it made. Only pass_cancel() may be called
 * meanwhile.
 *
 * It decides nothing: steps and their order are the plan's.
 */
#pragma once

#include "daemon/peer.h"
#include "daemon/plan.h"
#include "daemon/record.h"

/* What happened, told as it happens, from the thread of the pass. */
typedef struct PassEvent {
        int level;               /* of syslog(3) */
        const char *message_id;  /* of events.h */
        const char *certificate; /* names; NULL where none is meant */
        const char *cluster;
        const char *authority;
        const char *serial;
        const char *sentence;
} PassEvent;

typedef enum PassMode {
        PASS_ACT,
        PASS_CHECK, /* changes nothing; looks at the logins too */
        PASS_LOOK,  /* changes nothing, tries nothing: for a dry run */
} PassMode;

typedef struct PassInput {
        const Policy *policy; /* the caller holds a reference until the pass has ended */
        PassMode mode;
        PeerPlaces places;
        const char *host;
        const char *held;            /* see PlanInput */
        const Observation *known;    /* of an earlier pass; NULL for none. It is copied */
        const Memory *memory;        /* it is copied, */
        const Policy *memory_policy; /* and carried over from the policy that it was made for */
        Record *record;              /* used by the pass alone until it has ended; NULL for none */
        void (*tell)(void *userdata, const PassEvent *event);
        void *userdata;
} PassInput;

typedef struct Pass {
        PassInput input;
        Peers peers;
        /* What the pass made; the caller takes it with TAKE_PTR(). Where failed, it may be missing.
         */
        Observation *observation;
        Memory *memory;
        Plan *plan; /* of what was found at the end: what is still due, and when to look again */
        bool did_steps; /* some step was done */
        bool failed; /* error tells why; a step that failed is not this, but in memory and plan */
        Error error;
} Pass;

/* input->known and ->memory are copied here; the other pointers must live until pass_free(). */
int pass_new(const PassInput *input, Pass **ret, Error *reterr);

/* Runs the pass in this thread. */
void pass_run(Pass *pass);

/* From any thread: ends a pass that runs, at once. */
void pass_cancel(Pass *pass);

Pass *pass_free(Pass *pass);
DEFINE_CLEANUP(Pass *, pass_free);

/* For the modules of a pass: tells one event. */
void pass_tell(const Pass *pass, const PassEvent *event, const char *format, ...) _printf_(3, 4);

/* For the modules of a pass: a failed try of a set, with its back-off; told once. */
void pass_certificate_failed(Pass *pass, size_t index, const char *sentence);
