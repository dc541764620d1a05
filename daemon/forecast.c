#include "daemon/forecast.h"

#include "common/clock.h"
#include "daemon/bundle.h"
#include "daemon/prospect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int index_clusters(Forecast *forecast, const Policy *policy, Error *reterr)
{
        forecast->first_cluster =
                calloc(policy->n_certificates + 1, sizeof *forecast->first_cluster);
        forecast->next_cluster = calloc(policy->n_clusters + 1, sizeof *forecast->next_cluster);
        if (!forecast->first_cluster || !forecast->next_cluster)
                return error_oom(reterr);
        for (size_t i = 0; i < policy->n_certificates; i++)
                forecast->first_cluster[i] = SIZE_MAX;
        for (size_t c = policy->n_clusters; c-- > 0;) {
                size_t i = (size_t)(policy->clusters[c].certificate - policy->certificates);

                forecast->next_cluster[c] = forecast->first_cluster[i];
                forecast->first_cluster[i] = c;
        }
        return 0;
}

int forecast_init(Forecast *forecast, const PlanInput *input, Error *reterr)
{
        int r;

        *forecast = (Forecast){.input = *input};
        r = observation_copy(input->observation, &forecast->observation, reterr);
        if (r >= 0)
                r = memory_adopt(input->memory, input->policy, input->policy, &forecast->memory,
                                 reterr);
        if (r >= 0)
                r = index_clusters(forecast, input->policy, reterr);
        if (r < 0)
                return r;
        forecast->input.observation = forecast->observation;
        forecast->input.memory = forecast->memory;
        return 0;
}

void forecast_done(Forecast *forecast)
{
        observation_free(forecast->observation);
        memory_free(forecast->memory);
        free(forecast->first_cluster);
        free(forecast->next_cluster);
        *forecast = (Forecast){0};
}

void forecast_go(Forecast *forecast, int64_t now_usec)
{
        int64_t span = now_usec - forecast->input.now_usec;

        forecast->input.now_usec = now_usec;
        forecast->input.boot_usec = usec_add(forecast->input.boot_usec, span);
}

void forecast_settle(Forecast *forecast)
{
        for (size_t i = 0; i < forecast->memory->n_certificates; i++)
                forecast->memory->certificates[i].is_requested =
                        forecast->memory->certificates[i].is_rekey_requested = false;
        for (size_t a = 0; a < forecast->memory->n_authorities; a++)
                forecast->memory->authorities[a].is_rotate_requested =
                        forecast->memory->authorities[a].is_emergency_confirmed = false;
}

static ObservedAuthority *authority_of(const Forecast *forecast, size_t set)
{
        const Policy *policy = forecast->input.policy;

        return &forecast->observation
                        ->authorities[policy->certificates[set].authority - policy->authorities];
}

/* The name that a CA will have, but for its key identifier, which nobody knows yet. */
static int name_generation(const PolicySubject *subject, ObservedGeneration *generation,
                           Error *reterr)
{
        Text line = {0};

        prospect_add_subject(subject, generation, &line);
        return text_take(&line, &generation->subject, reterr);
}

static int add_cross(const ObservedGeneration *current, ObservedGeneration *next, Error *reterr)
{
        next->cross = calloc(1, 1);
        if (!next->cross)
                return error_oom(reterr);
        next->cross_size = 1;
        next->cross_facts = next->facts;
        memcpy(next->cross_facts.issuer_key_id, current->facts.key_id, CERT_KEY_ID);
        next->cross_facts.sha256[CERT_FINGERPRINT - 1] = 1;
        if (current->facts.not_after_usec < next->facts.not_after_usec)
                next->cross_facts.not_after_usec = current->facts.not_after_usec;
        return 0;
}

static int add_generation(Forecast *forecast, size_t index, AuthorityPhase phase, Error *reterr)
{
        const PolicyAuthority *policy = &forecast->input.policy->authorities[index];
        ObservedAuthority *authority = &forecast->observation->authorities[index];
        const ObservedGeneration *current;
        int64_t now = forecast->input.now_usec;
        ObservedGeneration *items, *made;
        uint32_t number = 1;
        int r;

        if (authority->n_generations >= OBSERVED_GENERATIONS_MAX)
                return error_set(reterr, E2BIG, "authority %s: more than %d generations",
                                 policy->name, OBSERVED_GENERATIONS_MAX);
        items = reallocarray(authority->generations, authority->n_generations + 1, sizeof *items);
        if (!items)
                return error_oom(reterr);
        authority->generations = items;
        current = authority_current(authority);
        if (authority->n_generations > 0)
                number = items[authority->n_generations - 1].number + 1;
        /* Counted before it is whole: what is there in part is freed, too. */
        made = &items[authority->n_generations++];
        *made = (ObservedGeneration){.number = number,
                                     .phase = (uint8_t)phase,
                                     .key_type = (uint8_t)(1 + policy->key),
                                     .prepared_usec = now,
                                     .last_leaf_usec = INT64_MIN};
        forecast->made++;
        made->facts.not_before_usec = now - forecast->input.policy->backdate_usec;
        made->facts.not_after_usec = usec_add(now, policy->lifetime_usec);
        memcpy(made->facts.key_id + 4, &forecast->made, sizeof forecast->made);
        memcpy(made->facts.issuer_key_id, made->facts.key_id, CERT_KEY_ID);
        memcpy(made->facts.sha256, &forecast->made, sizeof forecast->made);
        if (phase == AUTHORITY_CURRENT)
                made->announced_usec = made->activated_usec = now;
        made->der = calloc(1, 1);
        if (!made->der)
                return error_oom(reterr);
        r = name_generation(&policy->subject, made, reterr);
        return r >= 0 && current ? add_cross(current, made, reterr) : r;
}

/* The last end of the leaves that the generation has issued: those that are there. */
static int64_t last_leaf(const Forecast *forecast, const ObservedGeneration *generation)
{
        int64_t last = INT64_MIN;

        for (size_t i = 0; i < forecast->observation->n_sets; i++) {
                const ObservedSet *set = &forecast->observation->sets[i];

                if (set->has_leaf && set->leaf.not_after_usec > last &&
                    memcmp(set->leaf.issuer_key_id, generation->facts.key_id, CERT_KEY_ID) == 0)
                        last = set->leaf.not_after_usec;
        }
        return last;
}

static void activate(Forecast *forecast, ObservedAuthority *authority, ObservedGeneration *next)
{
        for (size_t i = 0; i < authority->n_generations; i++) {
                ObservedGeneration *former = &authority->generations[i];

                if (former->phase != AUTHORITY_CURRENT)
                        continue;
                former->phase = AUTHORITY_RETIRING;
                former->last_leaf_usec = last_leaf(forecast, former);
        }
        next->phase = AUTHORITY_CURRENT;
        next->activated_usec = forecast->input.now_usec;
}

static int retire(ObservedAuthority *authority, ObservedGeneration *former, Error *reterr)
{
        uint8_t(*retired)[CERT_KEY_ID] =
                reallocarray(authority->retired, authority->n_retired + 1, sizeof *retired);
        size_t place = (size_t)(former - authority->generations);

        if (!retired)
                return error_oom(reterr);
        authority->retired = retired;
        memcpy(retired[authority->n_retired++], former->facts.key_id, CERT_KEY_ID);
        free(former->subject);
        free(former->der);
        free(former->cross);
        memmove(former, former + 1, (authority->n_generations - place - 1) * sizeof *former);
        authority->n_generations--;
        return 0;
}

static int apply_authority(Forecast *forecast, const Step *step, Error *reterr)
{
        ObservedAuthority *authority = &forecast->observation->authorities[step->object];
        const ObservedGeneration *found = authority_find_number(authority, step->generation);
        ObservedGeneration *generation =
                found ? &authority->generations[found - authority->generations] : NULL;

        if (step->verb == STEP_AUTHORITY)
                return add_generation(forecast, step->object,
                                      step->is_next ? AUTHORITY_NEXT : AUTHORITY_CURRENT, reterr);
        if (step->verb == STEP_PREPARE)
                return add_generation(forecast, step->object, AUTHORITY_NEXT, reterr);
        if (!generation)
                return 0;
        if (step->verb == STEP_RETIRE)
                return retire(authority, generation, reterr);
        if (step->verb == STEP_ANNOUNCE)
                generation->announced_usec = forecast->input.now_usec;
        else if (step->verb == STEP_ACTIVATE)
                activate(forecast, authority, generation);
        else if (step->verb == STEP_EMERGENCY) {
                generation->is_stolen = true;
                generation->phase = AUTHORITY_RETIRING;
                return add_generation(forecast, step->object, AUTHORITY_CURRENT, reterr);
        }
        return 0;
}

/* The anchors that it is to hold, as the pass would write them. */
static int trust(Forecast *forecast, size_t index, Error *reterr)
{
        uint8_t anchors[BUNDLE_PARTS_MAX][CERT_KEY_ID];
        Bundle bundle;
        int r = bundle_anchors(forecast->input.policy, forecast->observation, index, &bundle,
                               reterr);

        if (r < 0)
                return r;
        for (size_t i = 0; i < bundle.n; i++)
                memcpy(anchors[i], bundle.items[i].facts->key_id, CERT_KEY_ID);
        r = observation_bundle(forecast->observation, (const uint8_t(*)[CERT_KEY_ID])anchors,
                               bundle.n < OBSERVED_ANCHORS_MAX ? bundle.n : OBSERVED_ANCHORS_MAX,
                               &forecast->observation->sets[index].bundle, reterr);
        bundle_done(&bundle);
        return r;
}

void forecast_renew(Forecast *forecast, size_t index, bool rekey)
{
        const PolicyCertificate *certificate = &forecast->input.policy->certificates[index];
        const ObservedGeneration *current = authority_current(authority_of(forecast, index));
        ObservedSet *set = &forecast->observation->sets[index];
        int64_t now = forecast->input.now_usec;

        if (!current)
                return;
        forecast->made++;
        if (rekey || set->state == SET_ABSENT)
                set->key_made_usec = now;
        set->state = SET_OURS;
        set->defects = 0;
        set->refused = 0;
        set->has_leaf = true;
        set->generation++;
        set->leaf.not_before_usec = now - forecast->input.policy->backdate_usec;
        set->leaf.not_after_usec = usec_add(now, certificate->lifetime_usec);
        if (set->leaf.not_after_usec > current->facts.not_after_usec)
                set->leaf.not_after_usec = current->facts.not_after_usec;
        memcpy(set->leaf.issuer_key_id, current->facts.key_id, CERT_KEY_ID);
        memset(set->leaf.sha256, 0, sizeof set->leaf.sha256);
        memcpy(set->leaf.sha256 + 8, &forecast->made, sizeof forecast->made);
}

static void load(Forecast *forecast, size_t index)
{
        const Policy *policy = forecast->input.policy;
        const ObservedSet *set =
                &forecast->observation
                         ->sets[policy->clusters[index].certificate - policy->certificates];
        ObservedCluster *cluster = &forecast->observation->clusters[index];
        MemoryCluster *memory = &forecast->memory->clusters[index];

        memory->loaded_pid = cluster->pid;
        memory->loaded_started_sec = cluster->started_sec;
        memcpy(memory->loaded, set->leaf.sha256, CERT_FINGERPRINT);
        memory->is_refused = false;
        attempt_succeeded(&memory->attempt);
        if (cluster->served.outcome == HANDSHAKE_NOT_TRIED)
                return;
        cluster->served.outcome = HANDSHAKE_TLS;
        cluster->served.leaf = set->leaf;
        memory->has_proven = true;
        memcpy(memory->proven, set->leaf.sha256, CERT_FINGERPRINT);
}

static int apply_set(Forecast *forecast, const Step *step, Error *reterr)
{
        ObservedSet *set = &forecast->observation->sets[step->object];

        if (step->verb == STEP_ISSUE) {
                forecast_renew(forecast, step->object, step->rekey);
                return trust(forecast, step->object, reterr);
        }
        if (step->verb == STEP_TRUST) {
                set->generation++;
                return trust(forecast, step->object, reterr);
        }
        if (step->verb == STEP_ADOPT) {
                set->state = SET_OURS;
                set->defects = SET_ADOPTED;
        } else if (step->verb == STEP_RETRY) {
                set->leaf.not_after_usec = set->refused_until_usec;
                set->generation = set->refused;
        } else {
                set->defects &= ~(uint32_t)(SET_LINKS | SET_SERVICE | SET_MODE);
        }
        return 0;
}

int forecast_apply(Forecast *forecast, const Step *step, Error *reterr)
{
        switch (step_kind(step->verb)) {
        case POLICY_AUTHORITIES:
                return apply_authority(forecast, step, reterr);
        case POLICY_CERTIFICATES:
                return step->verb == STEP_PRUNE ? 0 : apply_set(forecast, step, reterr);
        case POLICY_CLUSTERS:
        case POLICY_KINDS:
                break;
        }
        if (step->verb == STEP_CONFIGURE)
                forecast->observation->clusters[step->object].configuration = CONFIGURATION_WANTED;
        else if (step->verb == STEP_LOAD)
                load(forecast, step->object);
        return 0;
}

bool forecast_is_rekey(const Forecast *forecast, size_t set)
{
        const PolicyCertificate *certificate = &forecast->input.policy->certificates[set];

        return certificate->rekey_always ||
               forecast->input.now_usec >=
                       due_rekey_at(certificate, &forecast->observation->sets[set]);
}

int64_t forecast_renew_at(const Forecast *forecast, size_t index)
{
        const PolicyCertificate *certificate = &forecast->input.policy->certificates[index];
        const ObservedSet *set = &forecast->observation->sets[index];
        const ObservedGeneration *current = authority_current(authority_of(forecast, index));
        int64_t renew = due_renew_at(certificate, set->leaf.not_after_usec, forecast->input.host);
        int64_t rekey = due_rekey_at(certificate, set);

        /* A leaf that ends with its CA waits for the next one. */
        if (!current || set->leaf.not_after_usec + USEC_PER_SEC > current->facts.not_after_usec)
                renew = USEC_INFINITY;
        return renew < rekey ? renew : rekey;
}

char *forecast_renewal_reason(const Forecast *forecast, size_t index)
{
        const PolicyCertificate *certificate = &forecast->input.policy->certificates[index];
        const ObservedSet *set = &forecast->observation->sets[index];
        char at[CLOCK_TEXT_MAX], *reason = NULL;

        if (!certificate->rekey_always && forecast_is_rekey(forecast, index))
                return strdup("a new key is due");
        if (asprintf(&reason, "its leaf ends at %s", clock_format(set->leaf.not_after_usec, at)) <
            0)
                return NULL;
        return reason;
}
