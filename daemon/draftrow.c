#include "daemon/draftrow.h"

#include "common/clock.h"

#include <inttypes.h>
#include <string.h>

static const char *foreign_sentence(const DraftInput *input, const Draft *draft,
                                    const ObservedSet *set, Text *text)
{
        size_t cluster;

        if (set->problem)
                return set->problem;
        if (set->state == SET_ABSENT && draft->foreign) {
                cluster = (size_t)(draft->foreign - input->due.policy->clusters);
                if (input->due.observation->clusters[cluster].problem)
                        return input->due.observation->clusters[cluster].problem;
                text_addf(text, "the configuration file of cluster %s was not made by pgcertd",
                          draft->foreign->name);
                return text_content(text);
        }
        return "a file of the policy was not made by pgcertd";
}

static const char *expired_sentence(const Draft *draft, const ObservedSet *set,
                                    const Attempt *attempt, int64_t now_usec, Text *text)
{
        char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];

        text_addf(text, "the leaf expired at %s, and it is %s",
                  clock_format(set->leaf.not_after_usec, at), clock_format(now_usec, now));
        if (draft->obstacle)
                text_addf(text, ": %s", draft->obstacle);
        else if (attempt->failures > 0 && attempt->error)
                text_addf(text, ": %s", attempt->error);
        return text_content(text);
}

static const char *refused_sentence(const Draft *draft, const ObservedSet *set,
                                    const Attempt *attempt, Text *text)
{
        if (draft->blame)
                return draft->blame;
        if (attempt->failures > 0 && attempt->error)
                return attempt->error;
        text_addf(text, "PostgreSQL refused generation %" PRIu32 ", which was put back",
                  set->refused);
        return text_content(text);
}

/* The sentence of what a waiting set waits out. */
static const char *waiting_sentence(const DraftInput *input, size_t index)
{
        const Attempt *own = &input->due.memory->certificates[index].attempt;
        const Attempt *authority =
                &input->due.memory->authorities[draft_authority(input, index)].attempt;

        if (attempt_is_waiting(own, input->boot_usec) && own->error)
                return own->error;
        return authority->error ? authority->error : "the last try failed";
}

/* The state, by precedence: what matters most to a reader comes first. Returns the sentence. */
static const char *find_state(const DraftInput *input, size_t index, const Draft *draft,
                              DraftRow *row, Text *text)
{
        const ObservedSet *set = draft_set(input, index);
        const Attempt *attempt = &input->due.memory->certificates[index].attempt;

        row->health = HEALTH_WARNING;
        if (set->state == SET_UNKNOWN) {
                row->health = HEALTH_CRITICAL;
                row->state = CERTIFICATE_ERROR;
                return set->problem ? set->problem : "nobody could look";
        }
        if (draft->is_foreign) {
                row->state = CERTIFICATE_FOREIGN;
                if (draft->obstacle) {
                        row->health = draft->obstacle_health;
                        return draft->obstacle;
                }
                if (draft->is_waiting)
                        return waiting_sentence(input, index);
                return foreign_sentence(input, draft, set, text);
        }
        if (!draft_does(draft, DUE_ISSUE) && observed_set_has_leaf(set) &&
            health_is_expired(set->leaf.not_after_usec, input->due.now_usec)) {
                row->health = HEALTH_CRITICAL;
                row->state = CERTIFICATE_EXPIRED;
                return expired_sentence(draft, set, attempt, input->due.now_usec, text);
        }
        if (draft->obstacle) {
                row->health = draft->obstacle_health;
                row->state = draft->obstacle_state;
                return draft->obstacle;
        }
        if (draft->is_refused || (observed_set_has_leaf(set) && set->refused > set->generation)) {
                row->state = CERTIFICATE_REFUSED;
                return refused_sentence(draft, set, attempt, text);
        }
        if (draft->is_owed) {
                row->state = CERTIFICATE_OWED;
                return draft->blame;
        }
        if (draft->is_waiting) {
                row->state = CERTIFICATE_ERROR;
                return waiting_sentence(input, index);
        }
        row->state = draft->is_publishing ? CERTIFICATE_DUE : CERTIFICATE_OK;
        row->health = draft->is_publishing && set->state != SET_OURS ? HEALTH_WARNING : HEALTH_OK;
        return NULL;
}

int draftrow_make(const DraftInput *input, size_t index, const Draft *draft, DraftRow *ret,
                  Error *reterr)
{
        const ObservedSet *set = draft_set(input, index);
        Text text = {0};
        const char *sentence;
        int r = 0;

        *ret = (DraftRow){0};
        sentence = find_state(input, index, draft, ret, &text);
        if (sentence) {
                ret->error = strdup(sentence);
                r = ret->error ? text_check(&text, reterr) : error_oom(reterr);
        }
        /* How long somebody else's files last is not known. */
        if (set->state != SET_FOREIGN && draft->served_until_usec != USEC_INFINITY &&
            health_is_at_risk(&input->due.policy->certificates[index], draft->served_until_usec,
                              input->due.now_usec))
                ret->health = HEALTH_CRITICAL;
        /* Not valid yet is as bad as expired, where nothing is about to mend it. */
        if (draft->obstacle && observed_set_has_leaf(set) &&
            set->leaf.not_before_usec > input->due.now_usec)
                ret->health = HEALTH_CRITICAL;
        text_done(&text);
        return r;
}
