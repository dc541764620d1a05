#include "daemon/rollover.h"

#include "common/clock.h"

#include <stdlib.h>

void rollover_done(Rollover *rollover)
{
        free(rollover->reason);
        free(rollover->waits_for);
        free(rollover->error);
        *rollover = (Rollover){0};
}

/* How bad it is that the next generation does not sign yet. */
static Health judge_lateness(const Prospect *prospect)
{
        int64_t now = prospect->input->now_usec;

        if (now >= prospect->last_usec)
                return HEALTH_CRITICAL;
        return now >= usec_add(prospect->end_usec, -prospect->evidence->renew_most_usec)
                       ? HEALTH_WARNING
                       : HEALTH_OK;
}

static void describe_lateness(const Prospect *prospect, const ProspectStep *step,
                              Health *ret_health, Text *error)
{
        char at[CLOCK_TEXT_MAX];

        if (step->verb < STEP_PREPARE || step->verb > STEP_ACTIVATE)
                return;
        *ret_health = judge_lateness(prospect);
        if (*ret_health == HEALTH_OK)
                return;
        text_addf(error, "the rollover of authority %s is late: its CA ends at %s",
                  prospect->policy->name, clock_format(prospect->end_usec, at));
        if (step->waits_for.size > 0)
                text_addf(error, ", and without evidence that they hold the next one are: %s",
                          text_content(&step->waits_for));
}

static void describe_emergency(const Prospect *prospect, const ProspectStep *step,
                               Health *ret_health, Text *error)
{
        *ret_health = HEALTH_WARNING;
        text_addf(error, "%s was stolen and is being replaced",
                  prospect->emergency->stolen->subject);
        if (step->waits_for.size > 0)
                text_addf(error, ", waiting for: %s", text_content(&step->waits_for));
        if (prospect->emergency->stuck.n == 0)
                return;
        text_add(error, "; stuck, and not waited for: ");
        evidence_describe(&prospect->emergency->stuck, error);
}

/* The row's sentence, the worst first. */
static void judge(const Prospect *prospect, const ProspectStep *step, Health *ret_health,
                  Text *error)
{
        const ProspectInput *input = prospect->input;
        const Attempt *attempt = &prospect->memory->attempt;

        *ret_health = HEALTH_OK;
        if (step->is_due && input->held) {
                *ret_health = HEALTH_CRITICAL;
                text_add(error, input->held);
        } else if (step->is_due && input->doubt) {
                *ret_health = HEALTH_WARNING;
                text_add(error, input->doubt);
        } else if (step->verb != STEP_VERBS && attempt->failures > 0 && attempt->error) {
                *ret_health = health_worse(HEALTH_WARNING, step->verb == STEP_RETIRE
                                                                   ? HEALTH_WARNING
                                                                   : judge_lateness(prospect));
                text_add(error, attempt->error);
        } else if (prospect->emergency) {
                describe_emergency(prospect, step, ret_health, error);
        } else {
                describe_lateness(prospect, step, ret_health, error);
        }
}

/* Whether the signer can be asked for anything. */
static bool is_movable(const Issuer *issuer)
{
        switch (issuer->state) {
        case ISSUER_READY:
        case ISSUER_ENDED:
        case ISSUER_PENDING:
                return true;
        case ISSUER_BLANK:
        case ISSUER_SILENT:
        case ISSUER_LOST:
        case ISSUER_BARRED:
        case ISSUER_BEHIND:
                break;
        }
        return false;
}

static int take(Text *text, char **ret, Error *reterr)
{
        return text->size > 0 ? text_take(text, ret, reterr) : 0;
}

static int fill(const Prospect *prospect, ProspectStep *step, Rollover *ret, Error *reterr)
{
        const ProspectInput *input = prospect->input;
        const Attempt *attempt = &prospect->memory->attempt;
        Text error = {0};
        int r;

        judge(prospect, step, &ret->health, &error);
        ret->verb = step->verb;
        ret->generation = step->generation ? step->generation->number : 0;
        ret->at_usec = step->verb == STEP_VERBS ? USEC_INFINITY : step->at_usec;
        ret->is_due = step->is_due && !input->held && !input->doubt;
        if (ret->is_due && attempt_is_waiting(attempt, input->boot_usec) &&
            !prospect->memory->is_rotate_requested && !prospect->memory->is_emergency_confirmed) {
                ret->is_due = false;
                ret->is_waiting = true;
                ret->retry_boot_usec = attempt->retry_boot_usec;
        }
        r = take(&step->reason, &ret->reason, reterr);
        if (r >= 0)
                r = take(&step->waits_for, &ret->waits_for, reterr);
        if (r >= 0)
                r = take(&error, &ret->error, reterr);
        text_done(&error);
        return r;
}

int rollover_find(const ProspectInput *input, size_t index, Rollover *ret, Error *reterr)
{
        _cleanup_(prospect_step_done) ProspectStep step = {.verb = STEP_VERBS};
        Prospect prospect;

        *ret = (Rollover){.verb = STEP_VERBS, .at_usec = USEC_INFINITY, .wake_usec = USEC_INFINITY};
        if (!is_movable(&input->issuers->items[index]))
                return 0;
        prospect_init(input, index, &prospect);
        prospect_find(&prospect, &step, &ret->wake_usec);
        return fill(&prospect, &step, ret, reterr);
}

bool rollover_may_rotate(const Policy *policy, const Observation *observation, size_t index,
                         Text *why)
{
        const ObservedAuthority *authority = &observation->authorities[index];
        const ObservedGeneration *next = authority_find(authority, AUTHORITY_NEXT);
        const char *name = policy->authorities[index].name;
        char at[CLOCK_TEXT_MAX];

        if (!authority->known)
                text_add(why,
                         authority->problem ? authority->problem : "the signer did not answer");
        else if (next && next->announced_usec != 0)
                text_addf(why,
                          "a rollover of authority %s is under way: %s was announced at %s, and "
                          "signs once distribute is over",
                          name, next->subject, clock_format(next->announced_usec, at));
        else if (next)
                text_addf(why,
                          "a rollover of authority %s is under way: %s was made at %s, and is on "
                          "its way into every trust bundle",
                          name, next->subject, clock_format(next->prepared_usec, at));
        else if (!authority_current(authority))
                text_addf(why, "authority %s has no CA yet that another one could follow", name);
        else
                return true;
        return false;
}
