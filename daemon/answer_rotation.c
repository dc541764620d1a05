#include "common/events.h"
#include "common/log.h"
#include "daemon/answering.h"
#include "daemon/rotation.h"

#include <unistd.h>

/* A rollover that moves on with every pass comes to rest long before: a limit for the worst case.
 */
enum { ROTATION_PASSES_MAX = 32 };

/* The authority that the call names, as an index; a call that names none is refused. */
static bool find_authority(Answers *answers, ControlCall *call, size_t *ret)
{
        const Policy *policy = answers->state->last_policy;
        _cleanup_(text_done) Text text = {0};
        const PolicyAuthority *authority;
        size_t n;
        char *const *names = control_call_arguments(call, &n);

        if (n != 1) {
                answering_refuse(call, "it takes the name of one authority");
                return false;
        }
        authority = policy ? policy_find_authority(policy, names[0]) : NULL;
        if (!authority) {
                text_addf(&text, "the policy has no authority \"%.*s\" HINT: See pgcertctl status.",
                          POLICY_NAME_MAX, names[0]);
                answering_refuse(call, text_content(&text));
                return false;
        }
        *ret = (size_t)(authority - policy->authorities);
        return true;
}

static void write_all(ControlCall *call, int status, const Text *text)
{
        control_call_write(call, status == HEALTH_UNKNOWN ? 2 : 1, text_content(text));
        control_call_finish(call, status);
}

int answer_bundle(Answers *answers, ControlCall *call)
{
        _cleanup_(text_done) Text text = {0};
        Report report;
        size_t index;
        int status;

        if (!find_authority(answers, call, &index))
                return 0;
        state_report(answers->state, &report);
        status = answering_is_json(call) ? rotation_bundle_json(&report, index, &text)
                                         : rotation_bundle(&report, index, &text);
        write_all(call, status, &text);
        return 0;
}

void answer_rotation(Answers *answers, const Waiting *waiting)
{
        bool is_emergency = control_call_flags(waiting->call) & CONTROL_EMERGENCY;
        _cleanup_(text_done) Text text = {0};
        Report report;
        size_t index;
        int status = 1;

        if (!find_authority(answers, waiting->call, &index))
                return;
        state_report(answers->state, &report);
        if (waiting->mode == WORK_LOOK)
                rotation_preview(&report, index, &text);
        else if (answering_is_json(waiting->call))
                status = rotation_outcome_json(&report, index, is_emergency, waiting->generation,
                                               &text);
        else
                status = rotation_outcome(&report, index, is_emergency, waiting->generation, &text);
        write_all(waiting->call, status, &text);
}

/* Whether the next pass, which begins at once, moves the rollover on. */
bool answer_goes_on(Answers *answers, Waiting *waiting)
{
        const PolicyAuthority *authority;
        Report report;
        size_t n;

        if (waiting->kind != ANSWER_ROTATE || waiting->mode != WORK_ACT ||
            ++waiting->passes > ROTATION_PASSES_MAX)
                return false;
        state_report(answers->state, &report);
        authority =
                policy_find_authority(report.policy, control_call_arguments(waiting->call, &n)[0]);
        return authority &&
               rotation_judge(&report, (size_t)(authority - report.policy->authorities),
                              control_call_flags(waiting->call) & CONTROL_EMERGENCY,
                              waiting->generation) == ROTATION_GOING;
}

int answer_rotate(Answers *answers, ControlCall *call)
{
        unsigned flags = control_call_flags(call);
        bool is_emergency = flags & CONTROL_EMERGENCY;
        Waiting waiting = {.call = call, .kind = ANSWER_ROTATE, .mode = WORK_ACT};
        Report report;
        size_t index;
        int r;

        if (!find_authority(answers, call, &index))
                return 0;
        state_report(answers->state, &report);
        waiting.generation = rotation_newest(&report, index);
        if (is_emergency && !(flags & CONTROL_YES)) {
                waiting.mode = WORK_LOOK;
                waiting.number = keeper_request(answers->keeper, WORK_LOOK);
                return waiting_add(&answers->first, &waiting);
        }
        if (rotation_is_under_way(&report, index, is_emergency)) {
                waiting.generation--;
                answer_rotation(answers, &waiting);
                return 0;
        }
        r = keeper_request_rotation(answers->keeper, report.policy->authorities[index].name,
                                    is_emergency, &waiting.number);
        if (r < 0)
                return r;
        log_event(is_emergency ? LOG_WARNING : LOG_NOTICE, EVENT_REQUESTED, NULL,
                  "user %u asked for a %s of the CA of %s", (unsigned)control_call_uid(call),
                  is_emergency ? "replacement" : "rollover",
                  report.policy->authorities[index].name);
        if (flags & CONTROL_NO_WAIT) {
                answering_done(call, "queued", "queued\n");
                return 0;
        }
        return waiting_add(&answers->first, &waiting);
}
