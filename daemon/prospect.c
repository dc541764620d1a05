#include "daemon/prospect.h"

#include "common/clock.h"
#include "common/duration.h"
#include "daemon/bundle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How long before its end a CA is followed by the next one: as written, else a third of its own
 * lifetime (the policy's may have been changed since), but so early that no leaf outlives it. */
static int64_t renew_before(const Policy *policy, size_t index, const Evidence *evidence,
                            const ObservedGeneration *current)
{
        const PolicyAuthority *authority = &policy->authorities[index];
        int64_t lifetime = current->facts.not_after_usec - current->facts.not_before_usec -
                           policy->backdate_usec;
        int64_t needed = evidence->longest_usec + authority->distribute_usec +
                         policy->backdate_usec + policy->check_every_usec;

        if (authority->has_renew_before)
                return authority->renew_before_usec;
        return lifetime / 3 > needed ? lifetime / 3 : needed;
}

void prospect_init(const ProspectInput *input, size_t index, Prospect *ret)
{
        const Policy *policy = input->policy;
        const ObservedAuthority *authority = &input->observation->authorities[index];
        const Evidence *evidence = &input->evidence[index];
        int64_t distribute = policy->authorities[index].distribute_usec, end, prepared;

        *ret = (Prospect){.input = input,
                          .policy = &policy->authorities[index],
                          .authority = authority,
                          .memory = &input->memory->authorities[index],
                          .evidence = evidence,
                          .current = authority_current(authority),
                          .next = evidence->next};
        if (input->emergencies && input->emergencies[index].stolen)
                ret->emergency = &input->emergencies[index];
        end = ret->current ? ret->current->facts.not_after_usec : evidence->alien_end_usec;
        prepared = ret->next ? usec_add(ret->next->prepared_usec, distribute) : INT64_MIN;
        ret->end_usec = end;
        ret->latest_usec = usec_add(end, -evidence->renew_most_usec);
        if (ret->latest_usec < prepared)
                ret->latest_usec = prepared;
        /* A leaf that is not ours gets no new one before its end: waiting costs nothing but that.
         */
        ret->last_usec =
                usec_add(end, -policy->backdate_usec -
                                      (ret->current ? distribute : policy->check_every_usec));
}

void prospect_step_done(ProspectStep *step)
{
        text_done(&step->reason);
        text_done(&step->waits_for);
}

/* Whether a value stands in a subject's line as it is: others are escaped there, which is the
 * signer's business. */
static bool is_plain(const char *value)
{
        return strspn(value,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_") ==
               strlen(value);
}

void prospect_add_subject(const PolicySubject *subject, const ObservedGeneration *generation,
                          Text *text)
{
        for (size_t i = 0; i < subject->n; i++) {
                text_addf(text, "%s%s=%s", i > 0 ? ", " : "", subject->items[i].type,
                          subject->items[i].value);
                if (strcmp(subject->items[i].type, "CN") != 0)
                        continue;
                text_addf(text, " G%" PRIu32 " ", generation->number);
                text_add_hex(text, generation->facts.key_id, 4);
        }
}

/* Whether the CA has the policy's subject, its generation added to the CN. What cannot be compared
 * counts as the same. */
static bool has_subject(const PolicyAuthority *authority, const ObservedGeneration *generation)
{
        const PolicySubject *subject = &authority->subject;
        _cleanup_(text_done) Text line = {0};

        for (size_t i = 0; i < subject->n; i++)
                if (!is_plain(subject->items[i].value))
                        return true;
        prospect_add_subject(subject, generation, &line);
        return subject->n == 0 || text_check(&line, NULL) < 0 ||
               strcmp(text_content(&line), generation->subject) == 0;
}

/* Why the next generation is made at once, whatever the time; false for no such reason. */
static bool find_cause(const Prospect *prospect, Text *reason)
{
        const ObservedGeneration *current = prospect->current;

        if (prospect->memory->is_rotate_requested)
                text_add(reason, "a rollover was asked for");
        else if (current->is_imported)
                text_addf(reason, "%s was taken over: a CA of pgcertd's own is made to follow it",
                          current->subject);
        else if (!has_subject(prospect->policy, current))
                text_addf(reason, "the policy wants another subject than that of %s",
                          current->subject);
        else if (current->key_type != 0 && current->key_type != 1 + prospect->policy->key)
                text_addf(reason, "the policy wants a key of type %s for the CA",
                          key_type_name(prospect->policy->key));
        else
                return false;
        return true;
}

static void find_prepare(const Prospect *prospect, ProspectStep *step)
{
        const ProspectInput *input = prospect->input;
        size_t index = (size_t)(prospect->policy - input->policy->authorities);
        int64_t span = renew_before(input->policy, index, prospect->evidence, prospect->current);
        char at[CLOCK_TEXT_MAX], before[DURATION_TEXT_MAX];

        step->verb = STEP_PREPARE;
        step->generation = prospect->current;
        step->at_usec = usec_add(prospect->end_usec, -span);
        step->is_due = input->now_usec >= step->at_usec;
        if (step->is_due) {
                text_addf(&step->reason,
                          "%s ends at %s and renew_before is %s: the next one is made",
                          prospect->current->subject, clock_format(prospect->end_usec, at),
                          duration_format(span, before));
                return;
        }
        if (!find_cause(prospect, &step->reason))
                return;
        step->at_usec = input->now_usec;
        step->is_due = true;
        /* Readers that nobody has handed over yet would be left behind, and it has time. */
        if (prospect->current->is_imported && prospect->evidence->foreign.n > 0 &&
            !prospect->memory->is_rotate_requested) {
                step->is_due = false;
                evidence_describe(&prospect->evidence->foreign, &step->waits_for);
        }
}

/* The readers that a latest moment leaves behind, after what the reason says already; nothing where
 * there are none. */
static void add_missing(const Prospect *prospect, Text *reason)
{
        if (prospect->evidence->missing.n == 0)
                return;
        text_add(reason, "; without evidence that they hold the next one: ");
        evidence_describe(&prospect->evidence->missing, reason);
}

static void find_waived(const Prospect *prospect, ProspectStep *step)
{
        char at[CLOCK_TEXT_MAX], span[DURATION_TEXT_MAX];
        const char *what =
                prospect->current ? prospect->current->subject : "the first foreign leaf";

        clock_format(prospect->end_usec, at);
        step->is_due = true;
        if (prospect->input->now_usec < prospect->last_usec)
                text_addf(&step->reason, "%s ends at %s: this is the latest moment", what, at);
        else
                text_addf(&step->reason,
                          "%s ends at %s: this is the last call, and copies of the trust bundle "
                          "that are older than it lack %s, whatever distribute %s says",
                          what, at, prospect->next->subject,
                          duration_format(prospect->policy->distribute_usec, span));
        add_missing(prospect, &step->reason);
}

static void find_activate(const Prospect *prospect, ProspectStep *step)
{
        const ObservedGeneration *next = prospect->next;
        int64_t now = prospect->input->now_usec;
        char at[CLOCK_TEXT_MAX], span[DURATION_TEXT_MAX];

        step->verb = STEP_ACTIVATE;
        step->generation = next;
        step->at_usec = usec_add(next->announced_usec, prospect->policy->distribute_usec);
        if (prospect->latest_usec < step->at_usec)
                step->at_usec = prospect->latest_usec;
        if (prospect->last_usec < step->at_usec)
                step->at_usec = prospect->last_usec;
        evidence_describe(next->announced_usec != 0 && now < prospect->latest_usec
                                  ? &prospect->evidence->unproved
                                  : &prospect->evidence->missing,
                          &step->waits_for);
        if (now >= prospect->last_usec || now >= prospect->latest_usec) {
                find_waived(prospect, step);
        } else if (now >= step->at_usec && prospect->evidence->unproved.n == 0) {
                step->is_due = true;
                text_addf(&step->reason,
                          "announced at %s, distribute %s is over, and every server has it",
                          clock_format(next->announced_usec, at),
                          duration_format(prospect->policy->distribute_usec, span));
        }
}

static void find_announce(const Prospect *prospect, ProspectStep *step)
{
        step->verb = STEP_ANNOUNCE;
        step->generation = prospect->next;
        step->at_usec = prospect->input->now_usec;
        step->is_due = prospect->evidence->without.n == 0;
        if (step->is_due)
                text_addf(&step->reason, "every set holds %s", prospect->next->subject);
        else
                evidence_describe(&prospect->evidence->without, &step->waits_for);
}

/* What brings the next generation on, or begins it. */
static void find_succession(const Prospect *prospect, ProspectStep *step)
{
        int64_t now = prospect->input->now_usec;

        if (!prospect->next && prospect->current)
                find_prepare(prospect, step);
        else if (prospect->next && (prospect->next->announced_usec != 0 ||
                                    now >= prospect->latest_usec || now >= prospect->last_usec))
                find_activate(prospect, step);
        else if (prospect->next)
                find_announce(prospect, step);
}

/* Why a former generation is trusted until then. */
typedef enum RetireReason {
        RETIRE_LAST_LEAF, /* its last leaf ends */
        RETIRE_END,       /* it ends itself: it may have leaves that nobody knows */
        RETIRE_CROSS,     /* its cross-certificate ends: it leads readers of the one before to the
                             one that signs, where the two came soon after each other */
        RETIRE_DROPPED,   /* `adopt` does not name it any more */
} RetireReason;

/* When a former generation is no longer trusted: no leaf of it is of use then. */
static int64_t retire_at(const Prospect *prospect, const ObservedGeneration *generation,
                         RetireReason *ret_reason)
{
        int64_t end = generation->facts.not_after_usec, at = generation->last_leaf_usec;
        int64_t seen = issuers_latest(prospect->input->issuers, generation->facts.key_id);

        *ret_reason = RETIRE_LAST_LEAF;
        if (generation->is_imported && !prospect->policy->adopt_certificate) {
                *ret_reason = RETIRE_DROPPED;
                at = INT64_MIN;
        } else if (generation->is_imported || generation->is_incomplete) {
                *ret_reason = RETIRE_END;
                at = end;
        }
        if (at < seen)
                at = seen;
        if (at >= end) {
                *ret_reason = RETIRE_END;
                at = end;
        }
        at = usec_add(at, prospect->input->policy->backdate_usec);
        if (!generation->cross || generation->cross_facts.not_after_usec <= at)
                return at;
        *ret_reason = RETIRE_CROSS;
        return generation->cross_facts.not_after_usec;
}

static void describe_retire(const ObservedGeneration *generation, RetireReason reason, Text *text)
{
        char at[CLOCK_TEXT_MAX];

        switch (reason) {
        case RETIRE_LAST_LEAF:
                text_addf(text, "the last leaf of %s has ended", generation->subject);
                break;
        case RETIRE_END:
                text_addf(text, "%s ended at %s", generation->subject,
                          clock_format(generation->facts.not_after_usec, at));
                break;
        case RETIRE_CROSS:
                text_addf(text,
                          "the last leaf of %s has ended, and the CA that certified it ended at %s",
                          generation->subject,
                          clock_format(generation->cross_facts.not_after_usec, at));
                break;
        case RETIRE_DROPPED:
                text_addf(text, "`adopt` names %s no longer, and no leaf of it is left",
                          generation->subject);
                break;
        }
}

/* A stolen one goes as soon as nobody needs it. */
static bool find_stolen_retire(const Prospect *prospect, const ObservedGeneration *generation,
                               ProspectStep *step)
{
        const Emergency *emergency = prospect->emergency;
        int64_t now = prospect->input->now_usec;
        int64_t end =
                usec_add(generation->facts.not_after_usec, prospect->input->policy->backdate_usec);

        if (!emergency || !bundle_is_stolen(generation))
                return false;
        /* Once it is retired nobody remembers that it was stolen: a set that still trusts it, and
         * could not be published now, would go on trusting it until its renewal. */
        *step = (ProspectStep){.verb = STEP_RETIRE,
                               .generation = generation,
                               .at_usec = emergency->n_keepers > 0 && now < end ? end : now,
                               .is_due = now >= end ||
                                         (emergency->servers.n == 0 && emergency->holders.n == 0 &&
                                          emergency->n_keepers == 0)};
        if (step->is_due)
                text_addf(&step->reason, "the key of %s was stolen, and nobody needs it here",
                          generation->subject);
        evidence_describe(&emergency->servers, &step->waits_for);
        if (emergency->servers.n > 0 && emergency->holders.n > 0)
                text_add(&step->waits_for, ", ");
        evidence_describe(&emergency->holders, &step->waits_for);
        return true;
}

static void find_retire(const Prospect *prospect, const ObservedGeneration *generation,
                        ProspectStep *step)
{
        RetireReason reason;

        if (find_stolen_retire(prospect, generation, step))
                return;
        *step = (ProspectStep){.verb = STEP_RETIRE,
                               .generation = generation,
                               .at_usec = retire_at(prospect, generation, &reason)};
        step->is_due = prospect->input->now_usec >= step->at_usec;
        if (step->is_due)
                describe_retire(generation, reason, &step->reason);
}

/* Whether a retirement comes before another step. What is due comes first, and of two that are due
 * what the next CA waits for: a set that is published now then gets it in the same go. */
static bool comes_before(const ProspectStep *retire, const ProspectStep *other)
{
        if (other->verb == STEP_VERBS)
                return true;
        if (retire->is_due != other->is_due)
                return retire->is_due;
        if (retire->is_due)
                return other->verb == STEP_RETIRE && retire->at_usec < other->at_usec;
        return retire->at_usec < other->at_usec;
}

static void find_next(const Prospect *prospect, ProspectStep *step, int64_t *ret_wake)
{
        int64_t now = prospect->input->now_usec;
        const int64_t instants[] = {prospect->next ? prospect->latest_usec : USEC_INFINITY,
                                    prospect->next ? prospect->last_usec : USEC_INFINITY};

        find_succession(prospect, step);
        *ret_wake = step->at_usec > now ? step->at_usec : USEC_INFINITY;
        for (size_t i = 0; i < ELEMENTSOF(instants); i++)
                if (instants[i] > now && instants[i] < *ret_wake)
                        *ret_wake = instants[i];
        for (size_t g = 0; g < prospect->authority->n_generations; g++) {
                ProspectStep retire = {.verb = STEP_VERBS};

                if (prospect->authority->generations[g].phase != AUTHORITY_RETIRING)
                        continue;
                find_retire(prospect, &prospect->authority->generations[g], &retire);
                if (retire.at_usec > now && retire.at_usec < *ret_wake)
                        *ret_wake = retire.at_usec;
                if (comes_before(&retire, step)) {
                        ProspectStep other = *step;

                        *step = retire;
                        retire = other;
                }
                prospect_step_done(&retire);
        }
}

/* Whose key was stolen, as the user said, or as the signer has noted without coming further. */
static bool find_theft(const Prospect *prospect, ProspectStep *step)
{
        if (!prospect->current ||
            !(prospect->memory->is_emergency_confirmed || prospect->current->is_stolen))
                return false;
        *step = (ProspectStep){.verb = STEP_EMERGENCY,
                               .generation = prospect->current,
                               .at_usec = prospect->input->now_usec,
                               .is_due = true};
        text_addf(&step->reason, "the key of %s was stolen: a fresh CA takes its place",
                  prospect->current->subject);
        return true;
}

void prospect_find(const Prospect *prospect, ProspectStep *ret, int64_t *ret_wake_usec)
{
        *ret = (ProspectStep){.verb = STEP_VERBS, .at_usec = USEC_INFINITY};
        *ret_wake_usec = USEC_INFINITY;
        if (!find_theft(prospect, ret))
                find_next(prospect, ret, ret_wake_usec);
}
