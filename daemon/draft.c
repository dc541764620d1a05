#include "daemon/draft.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

void draft_done(Draft *draft)
{
        due_done(&draft->due);
        free(draft->obstacle);
        *draft = (Draft){0};
}

const ObservedSet *draft_set(const DraftInput *input, size_t index)
{
        return &input->due.observation->sets[index];
}

size_t draft_authority(const DraftInput *input, size_t index)
{
        const Policy *policy = input->due.policy;

        return (size_t)(policy->certificates[index].authority - policy->authorities);
}

bool draft_is_foreign(const Draft *draft, const ObservedSet *set)
{
        return takeover_is_foreign(set) || (set->state == SET_ABSENT && draft->foreign);
}

static int obstruct(Draft *draft, CertificateState state, Health health, const char *sentence,
                    Error *reterr)
{
        draft->obstacle = strdup(sentence);
        draft->obstacle_state = state;
        draft->obstacle_health = health;
        return draft->obstacle ? 0 : error_oom(reterr);
}

/* What keeps a leaf from being issued. */
static int find_unsigned(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const Issuer *issuer = &input->issuers.items[draft_authority(input, index)];

        switch (issuer->state) {
        case ISSUER_READY:
        case ISSUER_BLANK:
                break;
        case ISSUER_LOST:
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_CRITICAL, issuer->problem, reterr);
        case ISSUER_BEHIND:
                /* One that is there and known was judged by itself. */
                if (observed_set_has_leaf(draft_set(input, index)))
                        break;
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, issuer->problem, reterr);
        case ISSUER_PENDING:
        case ISSUER_BARRED:
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, issuer->problem, reterr);
        case ISSUER_SILENT:
        case ISSUER_ENDED:
                return obstruct(draft, CERTIFICATE_ERROR, HEALTH_WARNING, issuer->problem, reterr);
        }
        return 0;
}

/* A bundle is written whole: without an authority that was not heard it would lose its anchors. */
static int find_unheard(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        if (!issuers_heard(&input->issuers, input->due.policy,
                           &input->due.policy->certificates[index]))
                return obstruct(draft, CERTIFICATE_ERROR, HEALTH_WARNING, input->issuers.silence,
                                reterr);
        return 0;
}

/* Troubles that are told even while nothing is due: sooner or later something will be. */
static int find_standing(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const Issuer *issuer = &input->issuers.items[draft_authority(input, index)];
        _cleanup_(freep) char *problem = NULL;

        if (issuer->state == ISSUER_LOST)
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_CRITICAL, issuer->problem, reterr);
        if (issuers_know_set(&input->issuers, input->due.policy, input->due.observation, index,
                             &problem))
                return 0;
        return problem ? obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, problem, reterr)
                       : error_oom(reterr);
}

/* Somebody edits what we publish. What a restart of PostgreSQL or a client would not load is worse
 * than a service file. */
static int find_left(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const ObservedSet *set = draft_set(input, index);
        const Repair *repair = &input->due.memory->certificates[index].repair;
        bool is_service = draft->due.kind == DUE_PUBLISH && !(set->defects & SET_LINKS);
        _cleanup_(text_done) Text text = {0};
        char at[CLOCK_TEXT_MAX];

        text_addf(&text,
                  "%s: it was repaired at %s, and somebody changed it again: it is left as it is "
                  "HINT: Find who edits these files, a script or a configuration management, then: "
                  "pgcertctl renew %s.",
                  draft->due.reason, clock_format(repair->done_usec, at),
                  input->due.policy->certificates[index].name);
        if (text_check(&text, reterr) < 0)
                return -ENOMEM;
        return obstruct(draft, CERTIFICATE_ERROR, is_service ? HEALTH_WARNING : HEALTH_CRITICAL,
                        text_content(&text), reterr);
}

/* A renewal that was asked for while the servers are to be moved first. */
static int find_servers(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        _cleanup_(text_done) Text text = {0};

        if (!input->due.memory->certificates[index].is_requested ||
            (draft_set(input, index)->defects & SET_ADOPTED))
                return 0;
        text_add(&text, "it is renewed once these were proved with the new CA: ");
        if (!due_waits_for_servers(&input->due, index, &text))
                return 0;
        if (text_check(&text, reterr) < 0)
                return -ENOMEM;
        return obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, text_content(&text), reterr);
}

static int find_obstacle(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        int r;

        if (draft->due.kind != DUE_NOTHING && input->held)
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_CRITICAL, input->held, reterr);
        r = find_standing(input, index, draft, reterr);
        if (r < 0 || draft->obstacle)
                return r;
        if (input->doubt && (draft->due.kind == DUE_ISSUE || draft->due.kind == DUE_RETRY))
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, input->doubt, reterr);
        r = find_servers(input, index, draft, reterr);
        if (r < 0 || draft->obstacle)
                return r;
        if (draft->due.is_left)
                return find_left(input, index, draft, reterr);
        if (draft->due.kind == DUE_ISSUE)
                r = find_unsigned(input, index, draft, reterr);
        if (r >= 0 && !draft->obstacle &&
            (draft->due.kind == DUE_ISSUE || draft->due.kind == DUE_TRUST))
                r = find_unheard(input, index, draft, reterr);
        if (r < 0 || draft->obstacle)
                return r;
        if (draft->due.kind != DUE_NOTHING && draft->override)
                return obstruct(draft, CERTIFICATE_HELD, HEALTH_WARNING, draft->override, reterr);
        return 0;
}

/* The failure that a due set waits out: its own, or that of the CA to be made; NULL for none. A
 * request overrides every back-off. */
static const Attempt *find_wait(const DraftInput *input, size_t index, const Draft *draft)
{
        const Memory *memory = input->due.memory;
        size_t a = draft_authority(input, index);

        if (memory->certificates[index].is_requested)
                return NULL;
        if (attempt_is_waiting(&memory->certificates[index].attempt, input->boot_usec))
                return &memory->certificates[index].attempt;
        if (draft->due.kind == DUE_ISSUE && input->issuers.items[a].state == ISSUER_BLANK &&
            attempt_is_waiting(&memory->authorities[a].attempt, input->boot_usec))
                return &memory->authorities[a].attempt;
        return NULL;
}

bool draft_has_consent(const DueInput *input, size_t index)
{
        Text why = {0};
        bool is_ready =
                input->memory->certificates[index].has_consent &&
                takeover_judge(input->policy, input->observation, index, &why) == TAKEOVER_READY;

        text_done(&why);
        return is_ready;
}

/* The copy comes first, as a pass's only step for the set: what is due after it is seen then. An
 * override stops it as it stops a rotation, before anything changes. */
static int judge_foreign(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const Attempt *wait;

        if (!draft_has_consent(&input->due, index))
                return 0;
        if (input->held || draft->override)
                return obstruct(draft, CERTIFICATE_FOREIGN,
                                input->held ? HEALTH_CRITICAL : HEALTH_WARNING,
                                input->held ? input->held : draft->override, reterr);
        wait = find_wait(input, index, draft);
        draft->is_waiting = wait != NULL;
        if (wait)
                draft->retry_boot_usec = wait->retry_boot_usec;
        draft->is_adopting = !wait;
        return 0;
}

/* Links and the service file bear no dates: what a restart of a reader needs is mended while the
 * clock is doubted, and the renewal that hides it waits. */
static int mend_meanwhile(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const ObservedSet *set = draft_set(input, index);
        char *reason;

        if (!input->doubt || draft->due.kind == DUE_NOTHING || set->state != SET_OURS ||
            !(set->defects & (SET_LINKS | SET_SERVICE)))
                return 0;
        reason = strdup(set->defects & SET_LINKS ? "a name that readers use is missing"
                                                 : "the service file is not as the policy wants");
        if (!reason)
                return error_oom(reterr);
        free(draft->due.reason);
        draft->due =
                (Due){.kind = DUE_PUBLISH,
                      .reason = reason,
                      .is_left = repair_is_recent(&input->due.memory->certificates[index].repair,
                                                  input->due.now_usec)};
        return 0;
}

int draft_judge(const DraftInput *input, size_t index, Draft *draft, Error *reterr)
{
        const ObservedSet *set = draft_set(input, index);
        const Attempt *wait;
        int r;

        draft->is_foreign = draft_is_foreign(draft, set);
        if (set->state == SET_UNKNOWN)
                return 0;
        if (draft->is_foreign)
                return judge_foreign(input, index, draft, reterr);
        r = due_find(&input->due, index, &draft->due, reterr);
        if (r >= 0)
                r = mend_meanwhile(input, index, draft, reterr);
        if (r < 0)
                return r;
        r = find_obstacle(input, index, draft, reterr);
        if (r < 0 || draft->obstacle || draft->due.kind == DUE_NOTHING)
                return r;
        wait = find_wait(input, index, draft);
        if (wait) {
                draft->is_waiting = true;
                draft->retry_boot_usec = wait->retry_boot_usec;
                return 0;
        }
        draft->is_publishing = true;
        return 0;
}

const char *certificate_state_name(CertificateState state)
{
        static const char *const names[CERTIFICATE_STATES] = {
                [CERTIFICATE_OK] = "ok",           [CERTIFICATE_DUE] = "due",
                [CERTIFICATE_OWED] = "owed",       [CERTIFICATE_REFUSED] = "refused",
                [CERTIFICATE_FOREIGN] = "foreign", [CERTIFICATE_HELD] = "held",
                [CERTIFICATE_EXPIRED] = "expired", [CERTIFICATE_ERROR] = "error",
        };

        assert(state < CERTIFICATE_STATES);
        return names[state];
}
