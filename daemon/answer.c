#include "daemon/answer.h"

#include "common/duration.h"
#include "common/events.h"
#include "common/log.h"
#include "daemon/answering.h"
#include "daemon/handing.h"
#include "daemon/news.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int answers_new(State *state, Answers **ret, Error *reterr)
{
        Answers *answers = calloc(1, sizeof *answers);

        if (!answers)
                return error_oom(reterr);
        answers->state = state;
        *ret = answers;
        return 0;
}

Answers *answers_free(Answers *answers)
{
        if (answers)
                waiting_free_all(&answers->first);
        free(answers);
        return NULL;
}

void answers_set_keeper(Answers *answers, Keeper *keeper)
{
        answers->keeper = keeper;
}

static int wait_for_pass(Answers *answers, ControlCall *call, AnswerKind kind, WorkMode mode,
                         uint64_t number)
{
        return waiting_add(&answers->first,
                           &(Waiting){.call = call, .kind = kind, .mode = mode, .number = number});
}

static void on_closed(void *userdata, ControlCall *call)
{
        Answers *answers = userdata;

        waiting_forget(&answers->first, call);
}

bool answering_is_json(const ControlCall *call)
{
        return control_call_flags(call) & CONTROL_JSON;
}

/* Writes a report and ends the call with the health. */
static void finish_report(Answers *answers, ControlCall *call,
                          void (*as_text)(const Report *, Text *),
                          void (*as_json)(const Report *, Text *))
{
        _cleanup_(text_done) Text text = {0};
        Report report;

        state_report(answers->state, &report);
        if (answering_is_json(call))
                as_json(&report, &text);
        else
                as_text(&report, &text);
        if (text_check(&text, NULL) < 0) {
                control_call_write(call, 2, "pgcertd is out of memory\n");
                control_call_finish(call, HEALTH_UNKNOWN);
                return;
        }
        control_call_write(call, 1, text_content(&text));
        control_call_finish(call, (int)report_health(&report));
}

int answering_refuse(ControlCall *call, const char *sentence)
{
        _cleanup_(text_done) Text text = {0};

        text_addf(&text, "pgcertctl: %s\n", sentence);
        control_call_write(call, 2, text_content(&text));
        control_call_finish(call, HEALTH_UNKNOWN);
        return 0;
}

/* What has nothing to tell but that it is done. */
void answering_done(ControlCall *call, const char *member, const char *sentence)
{
        _cleanup_(text_done) Text text = {0};
        Json json = {.text = &text};

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_boolean(&json, member, true);
        json_object_end(&json);
        text_add(&text, "\n");
        control_call_write(call, 1, answering_is_json(call) ? text_content(&text) : sentence);
        control_call_finish(call, 0);
}

static int on_status(Answers *answers, ControlCall *call)
{
        finish_report(answers, call, report_status, report_status_json);
        return 0;
}

static int on_check(Answers *answers, ControlCall *call)
{
        uint64_t number = keeper_request(answers->keeper, WORK_CHECK);

        return wait_for_pass(answers, call, ANSWER_CHECK, WORK_CHECK, number);
}

static int on_plan(Answers *answers, ControlCall *call)
{
        size_t n;
        char *const *arguments = control_call_arguments(call, &n);
        int64_t span;
        Error error;
        uint64_t number;

        if (n > 0 && duration_parse(arguments[0], &span, &error) < 0) {
                answering_refuse(call, error.text);
                return 0;
        }
        number = keeper_request(answers->keeper, WORK_LOOK);
        return wait_for_pass(answers, call, ANSWER_PLAN, WORK_LOOK, number);
}

static int on_reload(Answers *answers, ControlCall *call)
{
        Errors errors = {0};
        uint64_t number;
        /* The unit's own ExecReload= writes to the journal, where the events have each error. */
        bool is_told = log_is_journal() && control_call_uid(call) == geteuid();

        /* The pass is not waited for: workers that hang would let the unit's time run out, and the
         * policy be called refused. */
        if (keeper_reload(answers->keeper, &errors, &number) >= 0) {
                answering_done(call, "in_force", "the policy is in force\n");
                return 0;
        }
        for (size_t i = 0; i < errors.n && !is_told; i++) {
                char text[ERROR_TEXT_MAX + ERROR_FILE_MAX + 32];

                control_call_write(call, 2, error_format(&errors.items[i], text, sizeof text));
                control_call_write(call, 2, "\n");
        }
        news_policy_errors(&errors);
        errors_done(&errors);
        control_call_write(call, 2,
                           "pgcertctl: the policy was not loaded: the old one stays in force\n");
        control_call_finish(call, 1);
        return 0;
}

/* The names of the call are all in the policy in force. */
static bool knows_names(Answers *answers, ControlCall *call, char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                _cleanup_(text_done) Text text = {0};

                if (policy_find_certificate(answers->state->policy, names[i]))
                        continue;
                text_addf(&text,
                          "the policy has no certificate \"%.*s\" HINT: See pgcertctl status.",
                          POLICY_NAME_MAX, names[i]);
                answering_refuse(call, text_content(&text));
                return false;
        }
        return true;
}

static int on_renew(Answers *answers, ControlCall *call)
{
        const Policy *policy = answers->state->policy;
        unsigned flags = control_call_flags(call);
        bool rekey = flags & CONTROL_REKEY, all = flags & CONTROL_ALL;
        uint64_t number = 0;
        size_t n;
        char *const *names = control_call_arguments(call, &n);
        int r = 0;

        if (all ? n > 0 : n == 0)
                return answering_refuse(call, "renew takes the names of certificates, or --all");
        if (!knows_names(answers, call, names, n))
                return 0;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = keeper_request_renewal(answers->keeper, names[i], rekey, &number);
        for (size_t i = 0; all && i < policy->n_certificates && r >= 0; i++)
                r = keeper_request_renewal(answers->keeper, policy->certificates[i].name, rekey,
                                           &number);
        if (r < 0)
                return r;
        log_event(LOG_INFO, EVENT_REQUESTED, NULL, "user %u asked for a renewal of %s%s",
                  (unsigned)control_call_uid(call), all ? "all certificates" : names[0],
                  n > 1 ? " and others" : "");
        if (flags & CONTROL_NO_WAIT) {
                answering_done(call, "queued", "queued\n");
                return 0;
        }
        return wait_for_pass(answers, call, ANSWER_RENEW, WORK_ACT, number);
}

static void finish_renewal(Answers *answers, ControlCall *call)
{
        _cleanup_(text_done) Text text = {0};
        Report report;
        size_t n;
        char *const *names = control_call_arguments(call, &n);
        int status;

        state_report(answers->state, &report);
        status = answering_is_json(call) ? report_renewal_json(&report, names, n, &text)
                                         : report_renewal(&report, names, n, &text);
        control_call_write(call, 1, text_content(&text));
        control_call_finish(call, status);
}

static int on_adopt(Answers *answers, ControlCall *call)
{
        const Policy *policy = answers->state->policy;
        unsigned flags = control_call_flags(call);
        _cleanup_(text_done) Text unknown = {0};
        uint64_t number = 0;
        int r = 0;
        size_t n;
        char *const *names = control_call_arguments(call, &n);

        if (n == 0)
                return answering_refuse(call, "adopt takes the names of certificates and clusters");
        if (!handing_knows(policy, names, n, &unknown))
                return answering_refuse(call, text_content(&unknown));
        if (!(flags & CONTROL_YES))
                return wait_for_pass(answers, call, ANSWER_ADOPT, WORK_LOOK,
                                     keeper_request(answers->keeper, WORK_LOOK));
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (policy_find_certificate(policy, names[i]))
                        r = keeper_request_consent(answers->keeper, false, names[i], &number);
                if (r >= 0 && policy_find_cluster(policy, names[i]))
                        r = keeper_request_consent(answers->keeper, true, names[i], &number);
        }
        if (r < 0)
                return r;
        log_event(LOG_NOTICE, EVENT_REQUESTED, NULL, "user %u handed the files of %s%s over",
                  (unsigned)control_call_uid(call), names[0], n > 1 ? " and others" : "");
        if (flags & CONTROL_NO_WAIT) {
                control_call_write(call, 1, "queued\n");
                control_call_finish(call, 0);
                return 0;
        }
        return wait_for_pass(answers, call, ANSWER_ADOPT, WORK_ACT, number);
}

static void finish_adoption(Answers *answers, ControlCall *call)
{
        bool is_done = control_call_flags(call) & CONTROL_YES;
        _cleanup_(text_done) Text text = {0};
        int status = 0, one;
        Report report;
        size_t n;
        char *const *names = control_call_arguments(call, &n);

        state_report(answers->state, &report);
        if (!report.plan) {
                answering_refuse(call, "no pass could be made HINT: See the log of pgcertd.");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                one = is_done ? handing_outcome(&report, names[i], &text)
                              : handing_preview(&report, names[i], &text);
                status = one > status ? one : status;
        }
        if (!is_done && status == 1)
                text_add(&text, "Nothing was changed. To do it, add --yes.\n");
        control_call_write(call, 1, text_content(&text));
        control_call_finish(call, status);
}

/* The steps that are due, or all that are until a time. */
static void finish_plan(Answers *answers, ControlCall *call)
{
        _cleanup_(text_done) Text text = {0};
        size_t n;
        char *const *arguments = control_call_arguments(call, &n);
        int64_t span;
        Report report;

        if (n == 0 || duration_parse(arguments[0], &span, NULL) < 0) {
                finish_report(answers, call, report_plan, report_plan_json);
                return;
        }
        state_report(answers->state, &report);
        (answering_is_json(call) ? report_timeline_json : report_timeline)(
                &report, answers->state->host, usec_add(report.now_usec, span), &text);
        control_call_write(call, 1, text_content(&text));
        control_call_finish(call, report_health(&report));
}

static void finish(Answers *answers, const Waiting *waiting)
{
        switch (waiting->kind) {
        case ANSWER_CHECK:
                finish_report(answers, waiting->call, report_check, report_check_json);
                return;
        case ANSWER_PLAN:
                finish_plan(answers, waiting->call);
                return;
        case ANSWER_RENEW:
                finish_renewal(answers, waiting->call);
                return;
        case ANSWER_ADOPT:
                finish_adoption(answers, waiting->call);
                return;
        case ANSWER_ROTATE:
                answer_rotation(answers, waiting);
                return;
        }
}

/* The pass that was waited for did not come to an end. What the last one saw says nothing of what
 * was asked; a report still has its use, and says itself why nothing goes on. */
static void finish_without_pass(Answers *answers, const Waiting *waiting, const char *failure)
{
        _cleanup_(text_done) Text text = {0};
        int status = HEALTH_UNKNOWN;

        switch (waiting->kind) {
        case ANSWER_CHECK:
        case ANSWER_PLAN:
                if (answers->state->plan && answers->state->policy_error) {
                        finish(answers, waiting);
                        return;
                }
                text_addf(&text, "pgcertctl: nothing could be looked at: %s\n", failure);
                break;
        case ANSWER_RENEW:
        case ANSWER_ADOPT:
                text_addf(&text, "pgcertctl: nothing was renewed: %s\n", failure);
                status = 2; /* as of any renewal that failed */
                break;
        case ANSWER_ROTATE:
                text_addf(&text, "pgcertctl: nothing was done with the CA: %s\n", failure);
                status = 2;
                break;
        }
        control_call_write(waiting->call, 2, text_content(&text));
        control_call_finish(waiting->call, status);
}

void answers_pass_ended(void *userdata, uint64_t number, WorkMode mode, const char *failure)
{
        Answers *answers = userdata;
        Waiting **place = &answers->first;

        while (*place) {
                Waiting *waiting = *place;

                if (waiting->number > number || waiting->mode != mode ||
                    (!failure && answer_goes_on(answers, waiting))) {
                        place = &waiting->next;
                        continue;
                }
                *place = waiting->next;
                if (failure)
                        finish_without_pass(answers, waiting, failure);
                else
                        finish(answers, waiting);
                free(waiting);
        }
}

static const struct {
        const char *name;
        int (*run)(Answers *answers, ControlCall *call);
} commands[] = {
        {"status", on_status},     {"renew", on_renew},       {"check", on_check},
        {"plan", on_plan},         {"reload", on_reload},     {"adopt", on_adopt},
        {"rotate", answer_rotate}, {"bundle", answer_bundle},
};

static int on_request(void *userdata, ControlCall *call)
{
        Answers *answers = userdata;

        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (strcmp(commands[i].name, control_call_command(call)) == 0)
                        return commands[i].run(answers, call);
        return answering_refuse(call, "pgcertd does not know this command "
                                      "HINT: pgcertctl and pgcertd must be of one installation.");
}

const ControlHandler answers_handler = {.request = on_request, .closed = on_closed};
