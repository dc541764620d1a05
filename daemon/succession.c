#include "daemon/succession.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/events.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <syslog.h>

/* Making an RSA key of 4096 bits takes seconds, on a small machine more. */
#define SUCCESSION_TIMEOUT_USEC (60 * USEC_PER_SEC)

/* What is said of a step that was done. */
typedef struct Told {
        const char *name; /* of the authority */
        int64_t distribute_usec;
        const char *subject; /* of the generation */
        const char *until;   /* its end */
        const Step *step;
        bool is_imported; /* the CA was somebody else's before */
} Told;

/* How a verb goes over the wire, and how it is told. */
typedef struct Act {
        WireVerb verb;
        AuthorityPhase phase; /* which generation it was about; AUTHORITY_PHASES: the step's */
        int level;
        const char *message_id;
        const char *record; /* the event's name in the history */
        const char *failure;
        void (*tell)(const Work *work, const WorkEvent *event, const Told *told);
} Act;

static void tell_created(const Work *work, const WorkEvent *event, const Told *told)
{
        work_tell(work, event, "the CA of %s was %s: %s, valid until %s", told->name,
                  told->is_imported ? "taken over" : "made", told->subject, told->until);
}

static void tell_replaced(const Work *work, const WorkEvent *event, const Told *told)
{
        work_tell(work, event,
                  "%s: generation %" PRIu32 " was called stolen and signs no more; %s signs, valid "
                  "until %s. Copy the trust bundle to other machines now: pgcertctl bundle %s",
                  told->name, told->step->generation, told->subject, told->until, told->name);
}

static void tell_prepared(const Work *work, const WorkEvent *event, const Told *told)
{
        work_tell(work, event,
                  "%s: the next CA was made: %s, valid until %s (%s). It goes into every trust "
                  "bundle before it signs",
                  told->name, told->subject, told->until, told->step->reason);
}

static void tell_announced(const Work *work, const WorkEvent *event, const Told *told)
{
        char span[DURATION_TEXT_MAX];

        work_tell(
                work, event,
                "%s: %s is in every trust bundle here. Copies on other machines have %s from now: "
                "pgcertctl bundle %s",
                told->name, told->subject, duration_format(told->distribute_usec, span),
                told->name);
}

static void tell_activated(const Work *work, const WorkEvent *event, const Told *told)
{
        work_tell(work, event, "%s: %s signs from now on, valid until %s (%s)", told->name,
                  told->subject, told->until, told->step->reason);
}

static void tell_retired(const Work *work, const WorkEvent *event, const Told *told)
{
        work_tell(work, event,
                  "%s: %s is trusted no longer and its key is wiped (%s). Each trust bundle drops "
                  "it at its next change",
                  told->name, told->subject, told->step->reason);
}

static const Act acts[] = {
        [STEP_AUTHORITY] = {WIRE_AUTHORITY, AUTHORITY_PHASES, LOG_NOTICE, EVENT_CA_CREATED,
                            "ca-created", "no CA could be made", tell_created},
        [STEP_EMERGENCY] = {WIRE_EMERGENCY, AUTHORITY_CURRENT, LOG_WARNING, EVENT_CA_REPLACED,
                            "ca-replaced", "the stolen CA could not be replaced", tell_replaced},
        [STEP_PREPARE] = {WIRE_PREPARE, AUTHORITY_NEXT, LOG_NOTICE, EVENT_CA_PREPARED,
                          "ca-prepared", "the next CA could not be prepared", tell_prepared},
        [STEP_ANNOUNCE] = {WIRE_ANNOUNCE, AUTHORITY_PHASES, LOG_NOTICE, EVENT_CA_ANNOUNCED,
                           "ca-announced", "the next CA could not be announced", tell_announced},
        [STEP_ACTIVATE] = {WIRE_ACTIVATE, AUTHORITY_PHASES, LOG_NOTICE, EVENT_CA_ACTIVATED,
                           "ca-activated", "the next CA could not be activated", tell_activated},
        [STEP_RETIRE] = {WIRE_RETIRE, AUTHORITY_PHASES, LOG_NOTICE, EVENT_CA_RETIRED, "ca-retired",
                         "the former CA could not be retired", tell_retired},
};

bool succession_has(StepVerb verb)
{
        return verb < ELEMENTSOF(acts);
}

static int ask(Work *work, const Step *step, Error *reterr)
{
        const Policy *policy = work->input.policy;
        ObservedAuthority *authority = &work->observation->authorities[step->object];
        WireVerb verb = acts[step->verb].verb;
        ObservedAuthority answer = {0};
        Peer *peer;
        int r = peers_signer(&work->peers, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, verb, policy->tag);
        wire_put_text(peer->message, policy->authorities[step->object].name);
        if (verb == WIRE_AUTHORITY) {
                wire_put_u8(peer->message, step->is_next ? 2 : 1);
                wire_put_u8(peer->message, 0); /* ends of leaves: there are none */
        } else if (verb != WIRE_PREPARE) {
                wire_put_u32(peer->message, step->generation);
        }
        r = peer_call(peer, verb, SUCCESSION_TIMEOUT_USEC, reterr);
        if (r >= 0)
                r = authority_get(peer->message, &answer, reterr);
        if (r >= 0)
                r = wire_end(peer->message, reterr);
        if (r < 0) {
                authority_done(&answer);
                return r;
        }
        authority_done(authority);
        *authority = answer;
        return 0;
}

/* The generation that a step is about; NULL where there is none, as of a retired one. */
static const ObservedGeneration *find(const Work *work, const Step *step)
{
        const ObservedAuthority *authority = &work->observation->authorities[step->object];
        AuthorityPhase phase = acts[step->verb].phase;

        if (phase != AUTHORITY_PHASES)
                return authority_find(authority, phase);
        if (step->verb == STEP_AUTHORITY)
                return authority->n_generations > 0 ? &authority->generations[0] : NULL;
        return authority_find_number(authority, step->generation);
}

static void done(Work *work, const Step *step, const char *former)
{
        const PolicyAuthority *policy = &work->input.policy->authorities[step->object];
        const ObservedGeneration *generation = find(work, step);
        const Act *act = &acts[step->verb];
        char until[CLOCK_TEXT_MAX] = "then";
        Told told = {.name = policy->name,
                     .distribute_usec = policy->distribute_usec,
                     .subject = generation ? generation->subject : former,
                     .until = until,
                     .step = step,
                     .is_imported = generation && generation->is_imported};

        attempt_succeeded(&work->memory->authorities[step->object].attempt);
        work->did_steps = true;
        if (generation)
                clock_format(generation->facts.not_after_usec, until);
        if (work->input.record)
                record_authority(work->input.record, act->record, policy->name,
                                 generation ? generation->number : step->generation, told.subject,
                                 step->reason, clock_realtime(), NULL);
        act->tell(work,
                  &(WorkEvent){.level = act->level,
                               .message_id = act->message_id,
                               .authority = policy->name},
                  &told);
}

static void failed(Work *work, const Step *step, const Error *error)
{
        const PolicyAuthority *policy = &work->input.policy->authorities[step->object];

        attempt_failed(&work->memory->authorities[step->object].attempt, work->input.policy,
                       clock_boottime(), 0, error->text);
        work_tell(work,
                  &(WorkEvent){
                          .level = LOG_ERR, .message_id = EVENT_FAILED, .authority = policy->name},
                  "%s: %s: %s", policy->name, acts[step->verb].failure, error->text);
}

static int run_step(Work *work, const Step *step, Error *reterr)
{
        const ObservedGeneration *generation = find(work, step);
        _cleanup_(freep) char *former = generation ? strdup(generation->subject) : NULL;
        int r = ask(work, step, reterr);

        if (r >= 0)
                done(work, step, former ? former : "a former CA");
        return r;
}

int succession_run(Work *work, const Plan *plan, Error *reterr)
{
        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];
                Error error;

                if (!succession_has(step->verb))
                        continue;
                if (peers_is_cancelled(&work->peers))
                        return error_set(reterr, ECANCELED, "pgcertd is ending");
                if (run_step(work, step, &error) < 0)
                        failed(work, step, &error);
        }
        return 0;
}

void succession_settle(Work *work)
{
        for (size_t i = 0; i < work->memory->n_authorities; i++)
                work->memory->authorities[i].is_rotate_requested =
                        work->memory->authorities[i].is_emergency_confirmed = false;
}
