#include "daemon/putback.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define BACK_TIMEOUT_USEC (30 * USEC_PER_SEC)
enum { REASON_MAX = 400 }; /* what the worker takes */

static size_t set_of(const Work *work, size_t cluster)
{
        return (size_t)(work->input.policy->clusters[cluster].certificate -
                        work->input.policy->certificates);
}

static bool has_step(const Plan *plan, StepVerb verb, size_t object)
{
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].verb == verb && plan->steps[i].object == object)
                        return true;
        return false;
}

static const char *reason_of(const Work *work, size_t cluster)
{
        const char *error = work->memory->clusters[cluster].attempt.error;

        return error ? error : "PostgreSQL did not load it";
}

static void tell(Work *work, size_t cluster, int level, const char *sentence)
{
        const PolicyCluster *policy = &work->input.policy->clusters[cluster];

        work_tell(work,
                  &(WorkEvent){.level = level,
                               .message_id = EVENT_REFUSED,
                               .cluster = policy->name,
                               .certificate = policy->certificate->name},
                  "%s: %s", policy->name, sentence);
}

/* The first turn-on was refused: without our file the server starts as it did before. */
static void turn_off(Work *work, size_t cluster, const Issuance *issuances)
{
        const CertFacts *leaf = delivery_leaf(work, cluster, issuances);
        Error error;
        int r = delivery_configure(work, cluster, false, &error);

        if (r >= 0)
                r = delivery_load(work, cluster, leaf, &error);
        if (r >= 0)
                tell(work, cluster, LOG_WARNING,
                     "the configuration was removed again: PostgreSQL works as before");
        else
                tell(work, cluster, LOG_ERR, error.text);
}

/* Asks the worker for the old set. */
static int ask_back(Work *work, size_t cluster, uint32_t *ret_generation, Error *reterr)
{
        const PolicyCertificate *certificate = work->input.policy->clusters[cluster].certificate;
        const Served *served = &work->observation->clusters[cluster].served;
        char reason[REASON_MAX];
        Peer *peer;
        int r = work_worker(work, (size_t)(certificate - work->input.policy->certificates), &peer,
                            reterr);

        if (r < 0)
                return r;
        snprintf(reason, sizeof reason, "%s", reason_of(work, cluster));
        wire_request(peer->message, WIRE_BACK, work->input.policy->tag);
        wire_put_text(peer->message, certificate->name);
        wire_put_raw(peer->message, served->leaf.sha256, CERT_FINGERPRINT);
        wire_put_text(peer->message, reason);
        r = peer_call(peer, WIRE_BACK, BACK_TIMEOUT_USEC, reterr);
        if (r < 0)
                return r;
        *ret_generation = wire_get_u32(peer->message);
        return wire_end(peer->message, reterr);
}

/* Every cluster of the set loads the old files, the ones that took the new files too. */
static void load_all(Work *work, size_t set, const CertFacts *leaf)
{
        for (size_t i = 0; i < work->input.policy->n_clusters; i++) {
                Error error;

                if (set_of(work, i) != set ||
                    work->observation->clusters[i].state != CLUSTER_RUNNING)
                        continue;
                if (delivery_load(work, i, leaf, &error) < 0)
                        tell(work, i, LOG_ERR, error.text);
                else if (work->observation->clusters[i].served.outcome != HANDSHAKE_NOT_TRIED)
                        delivery_prove(work, i, leaf);
        }
}

/* A sentence without its hint. */
static size_t length_of(const char *sentence)
{
        const char *hint = strstr(sentence, " HINT: ");

        return hint ? (size_t)(hint - sentence) : strlen(sentence);
}

/* PostgreSQL runs on what it has in memory and no restart would find again: whoever asks what is
 * wrong is told that too, before the hint. */
static void keep_stuck(Work *work, size_t cluster, const char *reason, const char *why)
{
        char **error = &work->memory->clusters[cluster].attempt.error;
        size_t n = length_of(reason);
        char *sentence;
        Text text = {0};

        text_add_bytes(&text, reason, n);
        text_add(&text, "; nothing is put back: ");
        text_add_bytes(&text, why, length_of(why));
        text_add(&text, reason + n);
        if (text_take(&text, &sentence, NULL) < 0)
                return; /* what is there tells the most of it */
        free(*error);
        *error = sentence;
}

static void put_back(Work *work, size_t cluster, const Issuance *issuances)
{
        size_t set = set_of(work, cluster);
        CertFacts leaf = work->observation->clusters[cluster].served.leaf;
        char sentence[OBSERVED_PROBLEM_MAX + ERROR_TEXT_MAX], reason[OBSERVED_PROBLEM_MAX];
        uint32_t generation = 0;
        Error error;

        /* Proving the old set overwrites it. */
        snprintf(reason, sizeof reason, "%s", reason_of(work, cluster));
        if (ask_back(work, cluster, &generation, &error) < 0) {
                snprintf(sentence, sizeof sentence, "nothing is put back: %s", error.text);
                tell(work, cluster, LOG_ERR, sentence);
                keep_stuck(work, cluster, reason, error.text);
                return;
        }
        snprintf(sentence, sizeof sentence, "generation %u is put back", generation);
        tell(work, cluster, LOG_WARNING, sentence);
        load_all(work, set, &leaf);
        /* The set waits longer each time it is refused. */
        work->memory->certificates[set].attempt.failures = issuances[set].failures;
        work_certificate_failed(work, set, reason);
}

int putback_run(Work *work, const Plan *plan, const Issuance *issuances, Error *reterr)
{
        const Policy *policy = work->input.policy;
        _cleanup_(freep) bool *is_back = calloc(policy->n_certificates + 1, sizeof *is_back);

        if (!is_back)
                return error_oom(reterr);
        for (size_t i = 0; i < policy->n_clusters; i++) {
                if (!work->memory->clusters[i].is_refused || !has_step(plan, STEP_PROVE, i))
                        continue;
                if (has_step(plan, STEP_CONFIGURE, i) &&
                    work->observation->clusters[i].configuration == CONFIGURATION_ABSENT) {
                        turn_off(work, i, issuances);
                } else if (!is_back[set_of(work, i)]) {
                        is_back[set_of(work, i)] = true;
                        put_back(work, i, issuances);
                }
        }
        return 0;
}
