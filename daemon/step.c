#include "daemon/step.h"

#include <assert.h>
#include <string.h>

int steps_add(Steps *steps, StepVerb verb, size_t object, bool rekey, const char *reason,
              Error *reterr)
{
        char *copy;

        if (steps->n == steps->allocated) {
                size_t allocated = steps->allocated ? steps->allocated * 2 : 16;
                Step *items = reallocarray(steps->items, allocated, sizeof *items);

                if (!items)
                        return error_oom(reterr);
                steps->items = items;
                steps->allocated = allocated;
        }
        copy = strdup(reason);
        if (!copy)
                return error_oom(reterr);
        steps->items[steps->n++] =
                (Step){.verb = verb, .object = object, .rekey = rekey, .reason = copy};
        return 0;
}

void steps_done(Steps *steps)
{
        for (size_t i = 0; i < steps->n; i++)
                free(steps->items[i].reason);
        free(steps->items);
        *steps = (Steps){0};
}

PolicyKind step_kind(StepVerb verb)
{
        switch (verb) {
        case STEP_AUTHORITY:
        case STEP_EMERGENCY:
        case STEP_PREPARE:
        case STEP_ANNOUNCE:
        case STEP_ACTIVATE:
        case STEP_RETIRE:
                return POLICY_AUTHORITIES;
        case STEP_ADOPT:
        case STEP_ISSUE:
        case STEP_TRUST:
        case STEP_RETRY:
        case STEP_PUBLISH:
        case STEP_PRUNE:
                return POLICY_CERTIFICATES;
        case STEP_CONFIGURE:
        case STEP_LOAD:
        case STEP_PROVE:
        case STEP_LOGIN:
        case STEP_VERBS:
                break;
        }
        return POLICY_CLUSTERS;
}

const char *step_verb_name(StepVerb verb)
{
        static const char *const names[STEP_VERBS] = {
                [STEP_AUTHORITY] = "authority", [STEP_EMERGENCY] = "emergency",
                [STEP_PREPARE] = "prepare",     [STEP_ANNOUNCE] = "announce",
                [STEP_ACTIVATE] = "activate",   [STEP_RETIRE] = "retire",
                [STEP_TRUST] = "trust",         [STEP_ADOPT] = "adopt",
                [STEP_ISSUE] = "issue",         [STEP_RETRY] = "retry",
                [STEP_PUBLISH] = "publish",     [STEP_CONFIGURE] = "configure",
                [STEP_LOAD] = "load",           [STEP_PROVE] = "prove",
                [STEP_LOGIN] = "login",         [STEP_PRUNE] = "prune",
        };

        assert(verb < STEP_VERBS);
        return names[verb];
}
