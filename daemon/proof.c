/*
 * Three truths are kept apart: wanted, on disk, served. A cluster is proven when a fresh handshake
 * showed the leaf on disk; until then the proof is owed, whatever the steps before it said.
 */
#include "daemon/proof.h"

#include "common/clock.h"

#include <assert.h>
#include <string.h>

static bool is_leaf(const uint8_t sha256[CERT_FINGERPRINT], const ObservedSet *set)
{
        return memcmp(sha256, set->leaf.sha256, CERT_FINGERPRINT) == 0;
}

static bool sees_leaf(const ObservedCluster *observed)
{
        return observed->state == CLUSTER_RUNNING && observed->served.outcome == HANDSHAKE_TLS;
}

bool proof_is_served(const ObservedCluster *observed, const ObservedSet *set)
{
        return observed_set_has_leaf(set) && sees_leaf(observed) &&
               is_leaf(observed->served.leaf.sha256, set);
}

int64_t proof_served_until(const ObservedCluster *observed, const ObservedSet *set)
{
        if (sees_leaf(observed))
                return observed->served.leaf.not_after_usec;
        return observed_set_has_leaf(set) ? set->leaf.not_after_usec : USEC_INFINITY;
}

bool proof_is_foreign(const ObservedCluster *observed, const MemoryCluster *memory)
{
        return observed->configuration == CONFIGURATION_FOREIGN ||
               (observed->configuration == CONFIGURATION_FOREIGN_SAME && !memory->has_consent);
}

/* Whether this postmaster was made to load this leaf. */
static bool is_loaded(const ProofInput *input)
{
        return input->memory->loaded_pid == input->observed->pid &&
               input->memory->loaded_started_sec == input->observed->started_sec &&
               is_leaf(input->memory->loaded, input->set);
}

/* Whether the failure that is waited out was of another postmaster or leaf: then it says nothing
 * of this one. */
static bool is_changed(const ProofInput *input)
{
        const MemoryCluster *memory = input->memory;

        return memory->tried_pid != 0 &&
               (memory->tried_pid != input->observed->pid ||
                memory->tried_started_sec != input->observed->started_sec ||
                !is_leaf(memory->tried, input->set));
}

static const char *configure_reason(const ProofInput *input)
{
        bool is_there = input->is_issuing || observed_set_has_leaf(input->set);

        if (!is_there || input->is_foreign)
                return NULL;
        if (input->observed->configuration == CONFIGURATION_ABSENT)
                return "its configuration file is missing";
        if (input->observed->configuration == CONFIGURATION_STALE)
                return "its configuration file is not as the policy wants";
        if (input->observed->configuration == CONFIGURATION_FOREIGN_SAME &&
            input->memory->has_consent)
                return "its configuration file was handed over to pgcertd";
        return NULL;
}

/* Why a running postmaster has to load; NULL where it need not. */
static const char *load_reason(const ProofInput *input, const char *configure)
{
        if (input->is_issuing)
                return "a new leaf is published";
        if (!observed_set_has_leaf(input->set) || input->set->state != SET_OURS ||
            input->is_foreign)
                return NULL;
        if (input->is_trusting)
                return "a new trust bundle is published";
        if (configure)
                return "its configuration file is written";
        switch ((HandshakeOutcome)input->observed->served.outcome) {
        case HANDSHAKE_TLS:
                return proof_is_served(input->observed, input->set)
                               ? NULL
                               : "it serves another leaf than the one on disk";
        case HANDSHAKE_PLAIN:
                return "it has no TLS yet";
        case HANDSHAKE_NOT_TRIED:
                return is_loaded(input) ? NULL : "the leaf on disk was not loaded yet";
        case HANDSHAKE_REFUSED:
        case HANDSHAKE_TIMEOUT:
        case HANDSHAKE_BROKEN:
        case HANDSHAKE_OUTCOMES:
                break;
        }
        return "it was not seen to serve the leaf on disk";
}

/* Why the logins are to be looked at; NULL where not. */
static const char *login_reason(const ProofInput *input, bool is_proving)
{
        const PolicyCluster *cluster = input->cluster;
        const MemoryCluster *memory = input->memory;

        if (cluster->n_as == 0 && cluster->plaintext != POLICY_PLAINTEXT_REFUSED &&
            !cluster->min_protocol)
                return NULL;
        if (is_proving)
                return "a leaf is to be proved";
        if (!proof_is_served(input->observed, input->set))
                return NULL;
        if (memory->checked_boot_usec == 0 || !is_leaf(memory->checked, input->set))
                return "not looked at with this leaf yet";
        if (input->is_issuing_client)
                return "a client gets a new leaf";
        if (input->check_all)
                return "a check was asked for";
        if (input->boot_usec - memory->checked_boot_usec >= input->policy->check_every_usec)
                return "check_every has passed";
        return NULL;
}

static void find_steps(const ProofInput *input, Proof *proof)
{
        const ObservedCluster *observed = input->observed;
        bool is_waiting = !input->is_issuing && !input->is_trusting &&
                          attempt_is_waiting(&input->memory->attempt, input->boot_usec) &&
                          !(observed->state == CLUSTER_RUNNING && is_changed(input));

        if ((observed->state != CLUSTER_DOWN && observed->state != CLUSTER_RUNNING) ||
            observed->override)
                return;
        proof->configure = configure_reason(input);
        /* A new leaf brings all that belongs to it. */
        proof->is_left = proof->configure && !input->is_issuing &&
                         repair_is_recent(&input->memory->repair, input->now_usec);
        if (proof->is_left)
                proof->configure = NULL;
        if (proof->configure && is_waiting) {
                proof->configure = NULL;
                proof->is_waiting = true;
        }
        if (observed->state == CLUSTER_DOWN)
                return;
        proof->load = load_reason(input, proof->configure);
        if (proof->load && is_waiting) {
                proof->load = NULL;
                proof->is_waiting = true;
        }
        if (observed->served.outcome == HANDSHAKE_NOT_TRIED)
                return;
        proof->prove = proof->load;
        proof->login = login_reason(input, proof->prove);
}

static ClusterProof judge(const ProofInput *input)
{
        const MemoryCluster *memory = input->memory;

        if (input->observed->state == CLUSTER_ABSENT)
                return PROOF_UNVERIFIABLE;
        if (!observed_set_has_leaf(input->set))
                return PROOF_OWED;
        if (input->observed->state != CLUSTER_RUNNING)
                return memory->has_proven && is_leaf(memory->proven, input->set) ? PROOF_PROVEN
                                                                                 : PROOF_OWED;
        if (proof_is_served(input->observed, input->set))
                return PROOF_PROVEN;
        if (input->observed->served.outcome == HANDSHAKE_NOT_TRIED)
                return PROOF_UNVERIFIABLE;
        return memory->is_refused && memory->attempt.failures > 0 ? PROOF_REFUSED : PROOF_OWED;
}

/* The sentence of a proof that is owed, where no failure has given one. */
static const char *owed_sentence(const ProofInput *input)
{
        switch ((ClusterState)input->observed->state) {
        case CLUSTER_DOWN:
                /* Starting, or in single-user mode. */
                return input->observed->problem ? input->observed->problem
                                                : "PostgreSQL is down: it was not yet seen to "
                                                  "serve the leaf on disk";
        case CLUSTER_RUNNING:
                return input->observed->served.outcome == HANDSHAKE_PLAIN
                               ? "PostgreSQL answers without TLS"
                               : "PostgreSQL was not yet seen to serve the leaf on disk";
        case CLUSTER_UNKNOWN:
        case CLUSTER_ABSENT:
        case CLUSTER_STATES:
                break;
        }
        return NULL;
}

/* The sentence and health of a cluster that could be looked at, the first that fits. */
static const char *find_trouble(const ProofInput *input, const Proof *proof, Health *ret_health)
{
        const MemoryCluster *memory = input->memory;
        bool owes =
                proof->counts && (proof->verdict == PROOF_OWED || proof->verdict == PROOF_REFUSED);
        bool failed = memory->attempt.failures > 0 && memory->attempt.error;

        *ret_health = HEALTH_WARNING;
        if (input->held && (proof->configure || proof->load)) {
                *ret_health = HEALTH_CRITICAL;
                return input->held;
        }
        if (input->observed->override)
                return input->observed->override;
        if (proof->is_left) {
                *ret_health = HEALTH_CRITICAL; /* a restart would not serve the set */
                return "its configuration file was repaired, and somebody changed it again within "
                       "a day: it is left as it is HINT: Find who edits it, a script or a "
                       "configuration management, then: pgcertctl renew of its certificate.";
        }
        if (owes || (proof->is_waiting && failed))
                return failed ? memory->attempt.error : owed_sentence(input);
        if (proof_is_foreign(input->observed, memory))
                return input->observed->problem ? input->observed->problem
                                                : "its configuration file was not made by pgcertd";
        if (memory->unusable && input->observed->state == CLUSTER_RUNNING)
                return memory->unusable;
        *ret_health = HEALTH_OK;
        return NULL;
}

int proof_make(const ProofInput *input, Proof *ret, Error *reterr)
{
        const ObservedCluster *observed = input->observed;
        const char *error = NULL;

        *ret = (Proof){.verdict = judge(input)};
        ret->counts = observed->state != CLUSTER_ABSENT && observed_set_has_leaf(input->set);
        switch ((ClusterState)observed->state) {
        case CLUSTER_UNKNOWN:
        case CLUSTER_STATES:
                ret->health = HEALTH_CRITICAL;
                error = observed->problem ? observed->problem : "nobody could look";
                break;
        case CLUSTER_ABSENT:
                ret->health = HEALTH_WARNING;
                error = "the data directory is gone";
                break;
        case CLUSTER_DOWN:
        case CLUSTER_RUNNING:
                find_steps(input, ret);
                error = find_trouble(input, ret, &ret->health);
                if (error &&
                    health_is_at_risk(input->cluster->certificate,
                                      proof_served_until(observed, input->set), input->now_usec))
                        ret->health = HEALTH_CRITICAL;
                break;
        }
        if (input->held)
                ret->configure = ret->load = ret->prove = ret->login = NULL;
        ret->is_told = error && (error == input->held || error == input->memory->unusable ||
                                 error == input->memory->attempt.error);
        ret->error = error ? strdup(error) : NULL;
        return error && !ret->error ? error_oom(reterr) : 0;
}

void proof_done(Proof *proof)
{
        free(proof->error);
        *proof = (Proof){0};
}

const char *cluster_proof_name(ClusterProof proof)
{
        static const char *const names[PROOF_STATES] = {
                [PROOF_PROVEN] = "proven",
                [PROOF_OWED] = "owed",
                [PROOF_REFUSED] = "refused",
                [PROOF_UNVERIFIABLE] = "unverifiable",
        };

        assert(proof < PROOF_STATES);
        return names[proof];
}
