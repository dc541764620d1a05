/*
 * One pass's work: what it was given, its connections, and what it has made so far. It is handed
 * from the event loop to the thread of the pass and back: only one of them has it at a time, but
 * for work_cancel() and the telling of events.
 */
#pragma once

#include "daemon/peer.h"
#include "daemon/plan.h"
#include "daemon/record.h"

/* What happened, told as it happens, from the thread of the pass. */
typedef struct WorkEvent {
        int level;               /* of syslog(3) */
        const char *message_id;  /* of events.h */
        const char *certificate; /* names; NULL where none is meant */
        const char *cluster;
        const char *authority;
        const char *serial;
        const char *sentence;
} WorkEvent;

typedef enum WorkMode {
        WORK_ACT,
        WORK_CHECK, /* changes nothing; looks at the logins too */
        WORK_LOOK,  /* changes nothing, tries nothing: for a dry run */
        WORK_MODES,
} WorkMode;

typedef struct WorkInput {
        const Policy
                *policy; /* the work holds a reference of its own: it may be replaced meanwhile */
        WorkMode mode;
        PeerPlaces places;
        const char *host;
        const Observation *known;    /* of an earlier pass; NULL for none. It is copied */
        const Memory *memory;        /* it is copied, */
        const Policy *memory_policy; /* and carried over from the policy that it was made for */
        Record *record;              /* used by the pass alone until it has ended; NULL for none */
        void (*tell)(void *userdata, const WorkEvent *event);
        void *userdata;
} WorkInput;

typedef struct Work {
        WorkInput input;
        Peers peers;
        /* What the pass made; the caller takes it with TAKE_PTR(). Where failed, it may be missing.
         */
        Observation *observation;
        Memory *memory;
        Plan *plan; /* of what was found at the end: what is still due, and when to look again */
        bool did_steps; /* some step was done */
        size_t *old;    /* sets whose old generations are not needed any more, for pass_tidy() */
        size_t n_old;
        bool failed; /* error tells why; a step that failed is not this, but in memory and plan */
        Error error;
} Work;

/* input->known and ->memory are copied here; the other pointers must live until work_free(). To be
 * called, like work_free(), by the event loop's thread: references are not counted atomically. */
int work_new(const WorkInput *input, Work **ret, Error *reterr);

/* From any thread: ends a pass that runs, at once. */
void work_cancel(Work *work);

Work *work_free(Work *work);
DEFINE_CLEANUP(Work *, work_free);

/* For the modules of a pass: tells one event. */
void work_tell(const Work *work, const WorkEvent *event, const char *format, ...) _printf_(3, 4);

/* For the modules of a pass: the worker of the owner of the set at index. */
int work_worker(Work *work, size_t index, Peer **ret, Error *reterr);

/* For the modules of a pass: a set was published, a configuration file written. Where that put
 * right what somebody else had changed, it is told and remembered. */
void work_certificate_written(Work *work, size_t index);
void work_cluster_written(Work *work, size_t index);

/* For the modules of a pass: a failed try of a set, with its back-off; told once. */
void work_certificate_failed(Work *work, size_t index, const char *sentence);
