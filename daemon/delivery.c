#include "daemon/delivery.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/usable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define LOAD_TIMEOUT_USEC (30 * USEC_PER_SEC)
/* What an answer may take beyond the deadline that the worker was given. */
#define ANSWER_USEC (10 * USEC_PER_SEC)

/* The worker's outcomes on the wire, in its own order (daemon/worker/cluster.h, login.h). */
typedef enum ProofOutcome {
        OUTCOME_PROVEN,
        OUTCOME_REFUSED,
        OUTCOME_OWED,
        OUTCOME_UNVERIFIABLE,
        OUTCOMES,
} ProofOutcome;

static const PolicyCluster *cluster_of(const Work *work, size_t index)
{
        return &work->input.policy->clusters[index];
}

static size_t set_of(const Work *work, size_t cluster)
{
        return (size_t)(cluster_of(work, cluster)->certificate - work->input.policy->certificates);
}

const CertFacts *delivery_leaf(const Work *work, size_t cluster, const Issuance *issuances)
{
        size_t set = set_of(work, cluster);

        if (issuances[set].state == ISSUANCE_PUBLISHED)
                return &issuances[set].leaf;
        return &work->observation->sets[set].leaf;
}

/* Whether a step for the cluster makes sense after what happened to its set. */
static bool is_ready(const Work *work, size_t cluster, const Issuance *issuances)
{
        const Issuance *issuance = &issuances[set_of(work, cluster)];

        return issuance->state == ISSUANCE_PUBLISHED ||
               (issuance->state == ISSUANCE_NONE && !issuance->is_new);
}

static int worker_of(Work *work, size_t cluster, Peer **ret, Error *reterr)
{
        return work_worker(work, set_of(work, cluster), ret, reterr);
}

/* A failed try of a cluster: told once, retried with back-off. */
static void failed(Work *work, size_t cluster, const char *message_id, const char *verb,
                   const char *sentence)
{
        const PolicyCluster *policy = cluster_of(work, cluster);
        const CertFacts *leaf = &work->observation->sets[set_of(work, cluster)].leaf;
        int64_t left = usec_add(leaf->not_after_usec, -clock_realtime());

        if (left > policy->certificate->renew_before_usec)
                left = policy->certificate->renew_before_usec;
        attempt_failed(&work->memory->clusters[cluster].attempt, work->input.policy,
                       clock_boottime(), left, sentence);
        work_tell(work,
                  &(WorkEvent){.level = LOG_WARNING,
                               .message_id = message_id,
                               .cluster = policy->name,
                               .certificate = policy->certificate->name},
                  "%s: %s: %s", policy->name, verb, sentence);
}

int delivery_configure(Work *work, size_t cluster, bool wanted, Error *reterr)
{
        Peer *peer;
        int r = worker_of(work, cluster, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_CONFIGURE, work->input.policy->tag);
        wire_put_text(peer->message, cluster_of(work, cluster)->name);
        /* 2: with the user's consent, also over a foreign file that sets the same. */
        wire_put_u8(peer->message,
                    wanted ? (work->memory->clusters[cluster].has_consent ? 2 : 1) : 0);
        /* What we take away ourselves is nobody's damage. */
        if (!wanted)
                work->memory->clusters[cluster].repair = (Repair){0};
        return peer_call(peer, WIRE_CONFIGURE, LOAD_TIMEOUT_USEC, reterr);
}

int delivery_load(Work *work, size_t cluster, const CertFacts *leaf, Error *reterr)
{
        MemoryCluster *memory = &work->memory->clusters[cluster];
        Peer *peer;
        int r = worker_of(work, cluster, &peer, reterr);

        memory->tried_pid = work->observation->clusters[cluster].pid;
        memory->tried_started_sec = work->observation->clusters[cluster].started_sec;
        memcpy(memory->tried, leaf->sha256, sizeof memory->tried);
        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_LOAD, work->input.policy->tag);
        wire_put_text(peer->message, cluster_of(work, cluster)->name);
        r = peer_call(peer, WIRE_LOAD, LOAD_TIMEOUT_USEC, reterr);
        if (r < 0)
                return r;
        memory->loaded_pid = wire_get_i64(peer->message);
        memory->loaded_started_sec = wire_get_i64(peer->message);
        memcpy(memory->loaded, leaf->sha256, sizeof memory->loaded);
        return wire_end(peer->message, reterr);
}

/* min(timeout, renew_before / 4): a proof that takes longer would eat into the next renewal. */
static int64_t prove_timeout(const PolicyCluster *cluster)
{
        int64_t quarter = cluster->certificate->renew_before_usec / 4;

        return cluster->timeout_usec < quarter ? cluster->timeout_usec : quarter;
}

static int prove(Work *work, size_t cluster, const CertFacts *leaf, ProofOutcome *ret,
                 char sentence[OBSERVED_PROBLEM_MAX], Error *reterr)
{
        int64_t timeout = prove_timeout(cluster_of(work, cluster));
        Served served;
        uint8_t outcome;
        Peer *peer;
        int r = worker_of(work, cluster, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_PROVE, work->input.policy->tag);
        wire_put_text(peer->message, cluster_of(work, cluster)->name);
        wire_put_raw(peer->message, leaf->sha256, sizeof leaf->sha256);
        wire_put_i64(peer->message, timeout);
        r = peer_call(peer, WIRE_PROVE, timeout + ANSWER_USEC, reterr);
        if (r < 0)
                return r;
        outcome = wire_get_u8(peer->message);
        observation_get_served(peer->message, &served);
        snprintf(sentence, OBSERVED_PROBLEM_MAX, "%s",
                 wire_get_text(peer->message, ERROR_TEXT_MAX));
        r = wire_end(peer->message, reterr);
        if (r < 0)
                return r;
        if (outcome >= OUTCOMES)
                return error_set(reterr, EBADMSG, "a worker told an outcome that does not exist");
        /* What is taken for proven is what was seen. */
        if (outcome == OUTCOME_PROVEN &&
            memcmp(served.leaf.sha256, leaf->sha256, sizeof leaf->sha256) != 0)
                return error_set(reterr, EBADMSG, "a worker called another leaf proven");
        *ret = (ProofOutcome)outcome;
        work->observation->clusters[cluster].served = served;
        return 0;
}

void delivery_proven(Work *work, size_t cluster, const CertFacts *leaf)
{
        const PolicyCluster *policy = cluster_of(work, cluster);
        MemoryCluster *memory = &work->memory->clusters[cluster];
        char until[CLOCK_TEXT_MAX];

        attempt_succeeded(&memory->attempt);
        memory->is_refused = false;
        memory->has_proven = true;
        memcpy(memory->proven, leaf->sha256, sizeof memory->proven);
        memory->proven_usec = clock_realtime();
        if (work->input.record)
                record_proven(work->input.record, policy->name, leaf->sha256, memory->proven_usec,
                              NULL);
        work_tell(work,
                  &(WorkEvent){.level = LOG_INFO,
                               .message_id = EVENT_PROVEN,
                               .cluster = policy->name,
                               .certificate = policy->certificate->name,
                               .serial = leaf->serial},
                  "%s: PostgreSQL serves %s, serial %s, valid until %s", policy->name,
                  policy->certificate->name, leaf->serial,
                  clock_format(leaf->not_after_usec, until));
}

bool delivery_prove(Work *work, size_t cluster, const CertFacts *leaf)
{
        MemoryCluster *memory = &work->memory->clusters[cluster];
        char sentence[OBSERVED_PROBLEM_MAX];
        ProofOutcome outcome = OUTCOME_OWED;
        Error error;

        /* A refusal puts back; one of an earlier proof must not, where this one shows nothing. */
        memory->is_refused = false;
        if (prove(work, cluster, leaf, &outcome, sentence, &error) < 0) {
                failed(work, cluster, EVENT_FAILED, "no proof could be made", error.text);
                return false;
        }
        switch (outcome) {
        case OUTCOME_PROVEN:
                delivery_proven(work, cluster, leaf);
                return true;
        case OUTCOME_UNVERIFIABLE:
                attempt_succeeded(&memory->attempt);
                return true;
        case OUTCOME_REFUSED:
                memory->is_refused = true;
                failed(work, cluster, EVENT_REFUSED, "PostgreSQL did not load the new certificate",
                       sentence);
                break;
        case OUTCOME_OWED:
                failed(work, cluster, EVENT_OWED, "the proof is owed", sentence);
                break;
        case OUTCOMES:
                break;
        }
        return false;
}

void delivery_login(Work *work, size_t cluster, const uint8_t leaf[CERT_FINGERPRINT])
{
        const PolicyCluster *policy = cluster_of(work, cluster);
        MemoryCluster *memory = &work->memory->clusters[cluster];
        WorkEvent event = {.cluster = policy->name, .certificate = policy->certificate->name};
        char sentence[OBSERVED_PROBLEM_MAX];
        bool was_unusable = memory->unusable != NULL;
        Error error;
        int r = usable_ask(work, cluster, sentence, &error);

        if (r < 0)
                snprintf(sentence, sizeof sentence, "%.400s", error.text);
        free(memory->unusable);
        memory->unusable = r == 0 ? NULL : strdup(sentence);
        memory->checked_boot_usec = clock_boottime();
        memcpy(memory->checked, leaf, sizeof memory->checked);
        if (r != 0 && !was_unusable) {
                event.level = LOG_WARNING;
                event.message_id = EVENT_UNUSABLE;
                work_tell(work, &event, "%s: %s", policy->name, sentence);
        } else if (r == 0 && was_unusable) {
                event.level = LOG_NOTICE;
                event.message_id = EVENT_USABLE;
                work_tell(work, &event, "%s: usable again as the policy asks", policy->name);
        }
}

static void prune(Work *work, size_t index)
{
        const Policy *policy = work->input.policy;
        const PolicyCertificate *certificate = &policy->certificates[index];
        Error error;
        Peer *peer;
        int r = work_worker(work, index, &peer, &error);

        if (r >= 0) {
                wire_request(peer->message, WIRE_PRUNE, policy->tag);
                wire_put_text(peer->message, certificate->name);
                r = peer_call(peer, WIRE_PRUNE, LOAD_TIMEOUT_USEC, &error);
        }
        if (r < 0)
                work_tell(work,
                          &(WorkEvent){.level = LOG_WARNING,
                                       .message_id = EVENT_FAILED,
                                       .certificate = certificate->name},
                          "%s: old generations could not be removed: %s", certificate->name,
                          error.text);
}

/* Whether every cluster of the set was proved, so that what it served before is not needed. */
static bool is_prunable(const Work *work, size_t set, const Issuance *issuances)
{
        const Policy *policy = work->input.policy;

        if (issuances[set].state != ISSUANCE_PUBLISHED)
                return false;
        for (size_t i = 0; i < policy->n_clusters; i++)
                if (set_of(work, i) == set && work->memory->clusters[i].is_refused)
                        return false;
        return true;
}

static bool configure(Work *work, size_t cluster)
{
        Error error;

        if (delivery_configure(work, cluster, true, &error) >= 0) {
                work_cluster_written(work, cluster);
                return true;
        }
        failed(work, cluster, EVENT_FAILED, "the configuration could not be written", error.text);
        return false;
}

static bool load(Work *work, size_t cluster, const CertFacts *leaf)
{
        Error error;

        if (delivery_load(work, cluster, leaf, &error) < 0) {
                failed(work, cluster, EVENT_FAILED, "PostgreSQL could not be told to load",
                       error.text);
                return false;
        }
        /* Without TCP no proof follows, which would end an earlier back-off. */
        if (work->observation->clusters[cluster].served.outcome == HANDSHAKE_NOT_TRIED)
                attempt_succeeded(&work->memory->clusters[cluster].attempt);
        return true;
}

/* One step of a cluster. False where it failed: what builds on it is left out. */
static bool cluster_step(Work *work, const Step *step, const Issuance *issuances)
{
        const CertFacts *leaf = delivery_leaf(work, step->object, issuances);

        if (step->verb == STEP_CONFIGURE)
                return configure(work, step->object);
        if (step->verb == STEP_LOAD)
                return load(work, step->object, leaf);
        if (step->verb == STEP_PROVE)
                return delivery_prove(work, step->object, leaf);
        delivery_login(work, step->object, leaf->sha256);
        return true;
}

int delivery_run(Work *work, const Plan *plan, const Issuance *issuances, Error *reterr)
{
        _cleanup_(freep) bool *is_broken =
                calloc(work->input.policy->n_clusters + 1, sizeof *is_broken);

        work->old = calloc(plan->n_steps + 1, sizeof *work->old);
        if (!is_broken || !work->old)
                return error_oom(reterr);
        for (size_t i = 0; i < plan->n_steps; i++) {
                const Step *step = &plan->steps[i];

                if (peers_is_cancelled(&work->peers))
                        return error_set(reterr, ECANCELED, "pgcertd is ending");
                switch (step->verb) {
                case STEP_CONFIGURE:
                case STEP_LOAD:
                case STEP_PROVE:
                case STEP_LOGIN:
                        if (is_broken[step->object] || !is_ready(work, step->object, issuances))
                                continue;
                        is_broken[step->object] = !cluster_step(work, step, issuances);
                        work->did_steps = true;
                        continue;
                case STEP_PRUNE:
                        if (is_prunable(work, step->object, issuances))
                                work->old[work->n_old++] = step->object;
                        continue;
                case STEP_AUTHORITY:
                case STEP_EMERGENCY:
                case STEP_PREPARE:
                case STEP_ANNOUNCE:
                case STEP_ACTIVATE:
                case STEP_RETIRE:
                case STEP_ADOPT:
                case STEP_ISSUE:
                case STEP_TRUST:
                case STEP_RETRY:
                case STEP_PUBLISH:
                case STEP_VERBS:
                        continue;
                }
        }
        return 0;
}

void delivery_tidy(Work *work)
{
        for (size_t i = 0; i < work->n_old && !peers_is_cancelled(&work->peers); i++)
                prune(work, work->old[i]);
}
