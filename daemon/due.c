/*
 * Every reason but the service file and the links comes with a fresh leaf: PostgreSQL loads a set
 * all or nothing, so the leaf's fingerprint on the wire proves the bundle, the modes and the names
 * too. A client is not proved: for another trust bundle alone it keeps its leaf, which moves to the
 * next CA at its own renewal. The order of the reasons is that of what a reader would suffer from
 * first.
 *
 * An anchor too many is no reason, but for one that was stolen: a former CA leaves each bundle at
 * that set's next publication.
 */
#include "daemon/due.h"

#include "common/clock.h"
#include "daemon/lineage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JITTER_MIN_SPAN (3600 * USEC_PER_SEC)

void due_done(Due *due)
{
        free(due->reason);
        *due = (Due){0};
}

/* 64-bit FNV-1a over host and name, a NUL between them: spread, not secrecy. */
static uint64_t hash_names(const char *host, const char *name)
{
        uint64_t hash = UINT64_C(14695981039346656037);

        for (const char *p = host; *p; p++)
                hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
        hash *= UINT64_C(1099511628211);
        for (const char *p = name; *p; p++)
                hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
        return hash;
}

int64_t due_renew_at(const PolicyCertificate *certificate, int64_t not_after_usec, const char *host)
{
        int64_t span = certificate->lifetime_usec - certificate->renew_before_usec, jitter = 0;

        if (span >= JITTER_MIN_SPAN)
                jitter = (int64_t)(hash_names(host ? host : "", certificate->name) %
                                   ((uint64_t)span / 20 + 1));
        return usec_add(not_after_usec, -certificate->renew_before_usec - jitter);
}

static const ObservedAuthority *authority_of(const DueInput *input,
                                             const PolicyAuthority *authority)
{
        return &input->observation->authorities[authority - input->policy->authorities];
}

static size_t index_of(const DueInput *input, const PolicyCertificate *certificate)
{
        return (size_t)(certificate - input->policy->certificates);
}

/* Whether a leaf issued at at_usec would end later than the one on disk. Where the signer
 * is silent, its CA is taken to last. */
static bool ends_later(const DueInput *input, const PolicyCertificate *certificate,
                       const CertFacts *leaf, int64_t at_usec)
{
        const ObservedGeneration *current =
                authority_current(authority_of(input, certificate->authority));
        int64_t end = usec_add(at_usec, certificate->lifetime_usec);

        if (current && current->facts.not_after_usec < end)
                end = current->facts.not_after_usec;
        return end >= usec_add(leaf->not_after_usec, USEC_PER_SEC);
}

int64_t due_rekey_at(const PolicyCertificate *certificate, const ObservedSet *set)
{
        return certificate->rekey_always ? USEC_INFINITY
                                         : usec_add(set->key_made_usec, certificate->rekey_usec);
}

int64_t due_at(const DueInput *input, size_t index)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];
        int64_t renew, rekey;

        if (!observed_set_has_leaf(set) ||
            (evidence_is_alien(input->policy, input->observation, index) &&
             !authority_current(authority_of(input, certificate->authority))))
                return USEC_INFINITY;
        renew = due_renew_at(certificate, set->leaf.not_after_usec, input->host);
        rekey = due_rekey_at(certificate, set);
        if (!ends_later(input, certificate, &set->leaf,
                        renew > input->now_usec ? renew : input->now_usec))
                renew = USEC_INFINITY;
        return renew < rekey ? renew : rekey;
}

bool due_waits_for_servers(const DueInput *input, size_t index, Text *names)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];
        const EvidenceNames *servers = NULL;

        if (certificate->use != POLICY_CLIENT || set->state != SET_OURS || !set->has_leaf ||
            set->leaf.not_after_usec <= input->now_usec)
                return false;
        for (size_t i = 0; i < certificate->n_bundle && input->emergencies; i++) {
                const Emergency *emergency =
                        &input->emergencies[certificate->bundle[i] - input->policy->authorities];

                if (emergency->stolen && emergency->servers.n > 0)
                        servers = &emergency->servers;
        }
        /* A leaf that ends does not wait for a server that is down. */
        if (!servers && evidence_is_alien(input->policy, input->observation, index) &&
            input->now_usec < due_renew_at(certificate, set->leaf.not_after_usec, input->host))
                servers = &input->evidence[certificate->authority - input->policy->authorities]
                                   .alien_servers;
        if (!servers || servers->n == 0)
                return false;
        if (names)
                evidence_describe(servers, names);
        return true;
}

/* Reasons of the leaf's dates: it cannot be used now. */
static bool find_by_validity(const CertFacts *leaf, int64_t now_usec, Text *reason)
{
        char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];

        clock_format(now_usec, now);
        if (leaf->not_before_usec > now_usec)
                text_addf(reason, "the leaf is not valid before %s, and it is %s",
                          clock_format(leaf->not_before_usec, at), now);
        else if (leaf->not_after_usec <= now_usec)
                text_addf(reason, "the leaf expired at %s, and it is %s",
                          clock_format(leaf->not_after_usec, at), now);
        else
                return false;
        return true;
}

const char *due_damage(const ObservedSet *set)
{
        if (set->state == SET_DAMAGED)
                return set->problem ? set->problem : "the set is damaged";
        if (set->state != SET_OURS)
                return NULL;
        if (set->defects & SET_MODE)
                return "owner, group or mode of a file is not as the policy wants";
        if (set->defects & SET_LINKS)
                return "a name that readers use is missing";
        if (set->defects & SET_SERVICE)
                return "the service file is not as the policy wants";
        return NULL;
}

/* Whether damage stays as it is: repaired within a day already, and nobody asks. */
static bool is_left(const DueInput *input, const PolicyCertificate *certificate)
{
        const MemoryCertificate *memory =
                &input->memory->certificates[certificate - input->policy->certificates];

        return !memory->is_requested && repair_is_recent(&memory->repair, input->now_usec);
}

/* Reasons of the policy: what is published is not what it asks for. */
static bool find_by_policy(const DueInput *input, const PolicyCertificate *certificate,
                           const ObservedSet *set, Due *due, Text *reason)
{
        if (set->defects & SET_KEY_TYPE) {
                due->rekey = true;
                text_addf(reason, "the policy wants a key of type %s",
                          key_type_name(certificate->key));
        } else if (set->defects & SET_NAMES) {
                text_add(reason, "the policy wants another subject or other names");
        } else if (set->defects & SET_USAGE) {
                text_addf(reason, "the policy wants it for a %s",
                          certificate->use == POLICY_SERVER ? "server" : "client");
        } else if (set->defects & SET_ADOPTED) {
                text_add(reason, "its files are a copy of what pgcertd did not make");
        } else if (lineage_find_issuer(input->policy, input->observation,
                                       index_of(input, certificate), reason) ||
                   (certificate->use == POLICY_SERVER &&
                    lineage_find_bundle(input->policy, input->observation, input->emergencies,
                                        index_of(input, certificate), reason))) {
                return true;
        } else if (set->defects & SET_MODE) {
                due->is_left = is_left(input, certificate);
                text_add(reason, due_damage(set));
        } else {
                return false;
        }
        return true;
}

/* Reasons of time: the key's age, the leaf's end. */
static bool find_by_time(const DueInput *input, const PolicyCertificate *certificate,
                         const ObservedSet *set, Text *reason)
{
        int64_t rekey = due_rekey_at(certificate, set);
        int64_t renew = due_renew_at(certificate, set->leaf.not_after_usec, input->host);
        char at[CLOCK_TEXT_MAX];

        if (input->now_usec >= rekey)
                text_addf(reason, "a new key is due since %s", clock_format(rekey, at));
        else if (input->now_usec >= renew &&
                 ends_later(input, certificate, &set->leaf, input->now_usec))
                text_addf(reason, "renewal is due since %s", clock_format(renew, at));
        else
                return false;
        return true;
}

/* Whether a CA that the set is to trust was made after the generation that was refused: tried again
 * with success, that one would be followed by another at once. */
static bool is_outdated(const DueInput *input, size_t index)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        /* A leaf's dates are whole seconds. */
        int64_t made = usec_add(input->observation->sets[index].refused_until_usec,
                                USEC_PER_SEC - certificate->lifetime_usec);

        for (size_t i = 0; i < certificate->n_bundle; i++) {
                const ObservedAuthority *authority = authority_of(input, certificate->bundle[i]);
                size_t n = authority->n_generations;

                if (n > 0 && authority->generations[n - 1].prepared_usec > made)
                        return true;
        }
        return false;
}

/* Whether the generation that was refused is still what the policy wants and not due itself: then
 * it is tried again, instead of a new one that would be refused as well. */
static bool find_retry(const DueInput *input, size_t index, Text *reason)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];

        if (input->memory->certificates[index].is_requested || set->state != SET_OURS ||
            set->refused <= set->generation ||
            input->now_usec >= due_renew_at(certificate, set->refused_until_usec, input->host) ||
            is_outdated(input, index))
                return false;
        text_addf(reason, "generation %" PRIu32 " was refused and put back: it is tried again",
                  set->refused);
        return true;
}

/* Whoever edits our files does not make the certificate expire: time comes first then. */
static bool find_damage(const DueInput *input, const PolicyCertificate *certificate,
                        const ObservedSet *set, Due *due, Text *reason)
{
        bool left = is_left(input, certificate);

        if (left && set->has_leaf &&
            (find_by_validity(&set->leaf, input->now_usec, reason) ||
             find_by_time(input, certificate, set, reason)))
                return true;
        if (set->state != SET_DAMAGED && set->has_leaf)
                return false;
        due->is_left = left;
        text_add(reason, set->state == SET_DAMAGED ? due_damage(set) : "the set is damaged");
        return true;
}

static bool find_issue(const DueInput *input, size_t index, Due *due, Text *reason)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];
        const MemoryCertificate *memory = &input->memory->certificates[index];

        if (memory->is_requested) {
                due->rekey = memory->is_rekey_requested;
                text_add(reason, due->rekey ? "a renewal with a new key was asked for"
                                            : "a renewal was asked for");
        } else if (set->state == SET_ABSENT) {
                due->rekey = true;
                text_add(reason, "no certificate yet");
        } else if (!find_damage(input, certificate, set, due, reason) &&
                   !find_by_validity(&set->leaf, input->now_usec, reason) &&
                   !find_by_policy(input, certificate, set, due, reason) &&
                   !find_by_time(input, certificate, set, reason)) {
                if (set->refused <= set->generation)
                        return false;
                text_addf(reason, "generation %" PRIu32 " was refused and put back", set->refused);
        }
        return true;
}

/* Whatever the reason, a key that is due is replaced along with the leaf. */
static bool is_rekey_due(const DueInput *input, size_t index)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];

        return certificate->rekey_always || (set->defects & SET_KEY_TYPE) ||
               set->state == SET_ABSENT ||
               (set->has_leaf && input->now_usec >= due_rekey_at(certificate, set));
}

/* Whether the leaf is of a CA whose key nobody here has, and no other one can take its place yet:
 * only its bundle can be published anew. What is asked for or damaged goes on to be told. */
static bool is_bundle_alone(const DueInput *input, size_t index)
{
        const ObservedSet *set = &input->observation->sets[index];

        /* Handing over asks for what follows it, whatever that is. */
        return set->state == SET_OURS &&
               (!input->memory->certificates[index].is_requested || (set->defects & SET_ADOPTED)) &&
               evidence_is_alien(input->policy, input->observation, index) &&
               !authority_current(
                       authority_of(input, input->policy->certificates[index].authority));
}

static void find_kind(const DueInput *input, size_t index, Due *due, Text *reason)
{
        const PolicyCertificate *certificate = &input->policy->certificates[index];
        const ObservedSet *set = &input->observation->sets[index];
        bool waits = due_waits_for_servers(input, index, NULL);

        if (find_retry(input, index, reason)) {
                due->kind = DUE_RETRY;
        } else if (!waits && !is_bundle_alone(input, index) &&
                   find_issue(input, index, due, reason)) {
                due->kind = DUE_ISSUE;
                due->rekey |= is_rekey_due(input, index);
        } else if (!input->emergencies || !waits) {
                if (set->has_leaf &&
                    lineage_find_bundle(input->policy, input->observation, input->emergencies,
                                        index_of(input, certificate), reason))
                        due->kind = DUE_TRUST;
        }
        if (due->kind == DUE_NOTHING && (set->defects & (SET_LINKS | SET_SERVICE))) {
                due->kind = DUE_PUBLISH;
                due->is_left = is_left(input, certificate);
                text_add(reason, due_damage(set));
        }
}

int due_find(const DueInput *input, size_t index, Due *ret, Error *reterr)
{
        const ObservedSet *set = &input->observation->sets[index];
        Text reason = {0};

        *ret = (Due){0};
        if (set->state == SET_UNKNOWN || set->state == SET_FOREIGN ||
            (set->defects & SET_SERVICE_FOREIGN))
                return 0;
        find_kind(input, index, ret, &reason);
        return ret->kind == DUE_NOTHING ? 0 : text_take(&reason, &ret->reason, reterr);
}
