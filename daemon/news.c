#include "daemon/news.h"

#include "common/clock.h"
#include "common/events.h"
#include "common/log.h"
#include "common/text.h"
#include "daemon/notify.h"

#include <string.h>

/* What is told of one change, beyond which only the count is: an owner may have thousands of sets.
 */
enum { NEWS_MAX = 20 };

void news_event(void *userdata, const WorkEvent *event)
{
        LogField fields[] = {
                {"PGCERTD_CERTIFICATE", event->certificate},
                {"PGCERTD_CLUSTER", event->cluster},
                {"PGCERTD_AUTHORITY", event->authority},
                {"PGCERTD_SERIAL", event->serial},
                {NULL, NULL},
        };

        log_event(event->level, event->message_id, fields, "%s", event->sentence);
}

static bool is_trouble(CertificateState state)
{
        switch (state) {
        case CERTIFICATE_FOREIGN:
        case CERTIFICATE_HELD:
        case CERTIFICATE_EXPIRED:
        case CERTIFICATE_ERROR:
                return true;
        case CERTIFICATE_OK:
        case CERTIFICATE_DUE:
        case CERTIFICATE_OWED:
        case CERTIFICATE_REFUSED:
        case CERTIFICATE_STATES:
                return false;
        }
        return false;
}

static bool is_same(const char *a, const char *b)
{
        return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* What a pass has told already as it happened (owed, refused, a failed try) is not told again. */
static void certificate_news(const State *state, size_t index, const PlanCertificate *before)
{
        const PlanCertificate *now = &state->plan->certificates[index];
        const char *name = state->last_policy->certificates[index].name;
        LogField fields[] = {{"PGCERTD_CERTIFICATE", name}, {NULL, NULL}};
        bool was_trouble = before && is_trouble(before->state);
        const char *error = now->error ? now->error : certificate_state_name(now->state);

        /* The clock itself was told. */
        if (now->state == CERTIFICATE_HELD && state->memory->clock.is_doubted)
                return;
        if (is_trouble(now->state) &&
            !is_same(error, state->memory->certificates[index].attempt.error))
                log_event(now->health == HEALTH_CRITICAL ? LOG_ERR : LOG_WARNING,
                          now->state == CERTIFICATE_FOREIGN ? EVENT_FOREIGN : EVENT_FAILED, fields,
                          "%s: %s", name, error);
        else if (was_trouble && !is_trouble(now->state))
                log_event(LOG_NOTICE, EVENT_RECOVERED, fields, "%s: %s again", name,
                          certificate_state_name(now->state));
}

/* What a look alone found, and no step tells: who overrides our settings, a proof that a cluster
 * owes because it is down or gone. Where the row of its certificate says the same, that was told.
 */
static void cluster_news(const State *state, size_t index)
{
        const PlanCluster *now = &state->plan->clusters[index];
        const PolicyCluster *cluster = &state->last_policy->clusters[index];
        const PlanCertificate *certificate =
                &state->plan->certificates[cluster->certificate - state->last_policy->certificates];
        LogField fields[] = {{"PGCERTD_CLUSTER", cluster->name}, {NULL, NULL}};
        int level = now->health == HEALTH_CRITICAL ? LOG_ERR : LOG_WARNING;

        if (!now->error)
                log_event(LOG_NOTICE, EVENT_RECOVERED, fields, "%s: %s again", cluster->name,
                          cluster_proof_name(now->proof));
        else if (is_trouble(certificate->state) && is_same(now->error, certificate->error))
                return;
        else if (now->proof == PROOF_OWED && !state->observation->clusters[index].override)
                log_event(level, EVENT_OWED, fields, "%s: the proof is owed: %s", cluster->name,
                          now->error);
        else
                log_event(level, EVENT_FAILED, fields, "%s: %s", cluster->name, now->error);
}

void news_compare(const State *state, const Plan *before)
{
        size_t told = 0, omitted = 0;
        Error error;

        for (size_t i = 0; i < state->plan->n_certificates; i++) {
                const PlanCertificate *now = &state->plan->certificates[i];
                const PlanCertificate *then =
                        before && i < before->n_certificates ? &before->certificates[i] : NULL;

                if (then ? then->state == now->state && is_same(then->error, now->error)
                         : !is_trouble(now->state))
                        continue;
                if (told++ < NEWS_MAX)
                        certificate_news(state, i, then);
                else
                        omitted++;
        }
        for (size_t i = 0; i < state->plan->n_clusters; i++) {
                const PlanCluster *now = &state->plan->clusters[i];
                const PlanCluster *then =
                        before && i < before->n_clusters ? &before->clusters[i] : NULL;
                const char *was = then && !then->is_told ? then->error : NULL;

                /* A proof that was made since was told. */
                if (now->is_told || is_same(was, now->error) ||
                    (!now->error && now->proof != then->proof))
                        continue;
                if (told++ < NEWS_MAX)
                        cluster_news(state, i);
                else
                        omitted++;
        }
        for (size_t i = 0; i < state->plan->n_authorities; i++) {
                const char *now = state->plan->authorities[i].error;
                const char *then =
                        before && i < before->n_authorities ? before->authorities[i].error : NULL;
                const char *name = state->last_policy->authorities[i].name;
                LogField fields[] = {{"PGCERTD_AUTHORITY", name}, {NULL, NULL}};

                if (now && !is_same(now, then))
                        log_event(LOG_WARNING, EVENT_FAILED, fields, "%s: %s", name, now);
        }
        if (state->record && record_take_error(state->record, &error))
                log_plain(LOG_WARNING, "the history is not whole: %s", error.text);
        if (omitted > 0)
                log_plain(LOG_WARNING,
                          "and %zu more certificates or clusters changed their state "
                          "HINT: See pgcertctl status.",
                          omitted);
}

/* Whether this is the first time that the step is near; then it is remembered as told. */
static bool is_new_notice(const PlanAuthority *planned, MemoryAuthority *memory)
{
        uint32_t *told;

        if (planned->next_verb != STEP_ACTIVATE && planned->next_verb != STEP_RETIRE)
                return false;
        told = planned->next_verb == STEP_ACTIVATE ? &memory->noticed_activation
                                                   : &memory->noticed_retirement;
        if (*told == planned->next_generation)
                return false;
        *told = planned->next_generation;
        return true;
}

/* Of a stolen CA all was told when it was replaced. */
static bool is_stolen(const ObservedAuthority *observed, uint32_t number)
{
        const ObservedGeneration *generation = authority_find_number(observed, number);

        return generation && generation->is_stolen;
}

static void tell_notice(const PolicyAuthority *policy, const ObservedAuthority *observed,
                        const PlanAuthority *planned)
{
        const ObservedGeneration *generation =
                authority_find_number(observed, planned->next_generation);
        LogField fields[] = {{"PGCERTD_AUTHORITY", policy->name}, {NULL, NULL}};
        const char *subject = generation ? generation->subject : "a CA";
        const char *missing = planned->waits_for;
        char at[CLOCK_TEXT_MAX];

        log_event(
                missing ? LOG_WARNING : LOG_NOTICE, EVENT_CA_NOTICE, fields,
                planned->next_verb == STEP_ACTIVATE
                        ? "%s: %s is going to sign from %s on; copies of the trust bundle on other "
                          "machines must have it by then%s%s"
                        : "%s: %s is going to be trusted no longer from %s on%s%s",
                policy->name, subject, clock_format(planned->next_usec, at),
                missing ? ". Without evidence that they are ready: " : "", missing ? missing : "");
}

void news_notices(State *state)
{
        int64_t now = clock_realtime();

        for (size_t i = 0; i < state->plan->n_authorities; i++) {
                const PlanAuthority *planned = &state->plan->authorities[i];
                const PolicyAuthority *policy = &state->last_policy->authorities[i];
                const ObservedAuthority *observed = &state->observation->authorities[i];

                if (!is_stolen(observed, planned->next_generation) &&
                    planned->next_usec <= usec_add(now, policy->notice_usec) &&
                    is_new_notice(planned, &state->memory->authorities[i]))
                        tell_notice(policy, observed, planned);
        }
}

void news_clock(const ClockStep *before, const ClockStep *now)
{
        _cleanup_(text_done) Text text = {0};

        if (now->is_doubted && now->doubted_boot_usec != before->doubted_boot_usec) {
                clockstep_describe(now, &text);
                log_event(LOG_ERR, EVENT_CLOCK_STEPPED, NULL, "%s", text_content(&text));
        } else if (before->is_doubted && !now->is_doubted) {
                log_event(LOG_NOTICE, EVENT_CLOCK_STEPPED, NULL,
                          "the clock stepped and is believed: %s", clockstep_end_name(now->end));
        }
}

void news_status(const State *state)
{
        _cleanup_(text_done) Text text = {0};
        char when[CLOCK_TEXT_MAX];
        Report report;

        state_report(state, &report);
        text_addf(&text, "%s: %zu certificates", health_name(report_health(&report)),
                  state->last_policy ? state->last_policy->n_certificates : 0);
        if (state->policy_error)
                text_add(&text, "; the policy on disk is broken: see pgcertd --check");
        else if (state->plan && state->plan->next_what_usec != USEC_INFINITY)
                text_addf(&text, "; next: %s at %s", state->plan->next_what,
                          clock_format(state->plan->next_what_usec, when));
        notify_status(text_content(&text));
}

void news_policy_errors(const Errors *errors)
{
        for (size_t i = 0; i < errors->n; i++) {
                char text[ERROR_TEXT_MAX + ERROR_FILE_MAX + 32];

                log_event(LOG_ERR, EVENT_POLICY_BROKEN, NULL, "%s",
                          error_format(&errors->items[i], text, sizeof text));
        }
        if (errors->omitted > 0)
                log_event(LOG_ERR, EVENT_POLICY_BROKEN, NULL, "and %zu more", errors->omitted);
}
