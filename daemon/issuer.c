#include "daemon/issuer.h"

#include "common/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the sets say of their authority. */
typedef struct Slate {
        size_t foreign; /* index of a foreign set, and of a published leaf; SIZE_MAX for none */
        size_t published;
} Slate;

static int compare_keys(const void *a, const void *b)
{
        return memcmp(((const IssuerKey *)a)->key_id, ((const IssuerKey *)b)->key_id, CERT_KEY_ID);
}

/* Whose generation it is; NULL where nobody knows it. */
static const IssuerKey *find_key(const Issuers *issuers, const uint8_t key_id[CERT_KEY_ID])
{
        IssuerKey wanted;

        if (issuers->n_keys == 0)
                return NULL;
        memcpy(wanted.key_id, key_id, CERT_KEY_ID);
        return bsearch(&wanted, issuers->keys, issuers->n_keys, sizeof wanted, compare_keys);
}

static int collect_keys(const Observation *observation, Issuers *issuers, Error *reterr)
{
        size_t n = 0;

        for (size_t a = 0; a < observation->n_authorities; a++)
                n += observation->authorities[a].n_generations;
        issuers->keys = calloc(n + 1, sizeof *issuers->keys);
        if (!issuers->keys)
                return error_oom(reterr);
        for (size_t a = 0; a < observation->n_authorities; a++) {
                const ObservedAuthority *authority = &observation->authorities[a];

                for (size_t g = 0; g < authority->n_generations; g++) {
                        IssuerKey *key = &issuers->keys[issuers->n_keys++];

                        memcpy(key->key_id, authority->generations[g].facts.key_id, CERT_KEY_ID);
                        key->authority = a;
                }
        }
        qsort(issuers->keys, issuers->n_keys, sizeof *issuers->keys, compare_keys);
        return 0;
}

static bool is_published(const ObservedSet *set)
{
        return set->has_leaf && (set->state == SET_OURS || set->state == SET_DAMAGED);
}

/* Which sets stand in the way of a new CA, for each authority. A leaf of another authority of the
 * policy does not: the certificate was moved. */
static int collect_slates(const Policy *policy, const Observation *observation,
                          const bool *is_foreign, const Issuers *issuers, Slate **ret,
                          Error *reterr)
{
        Slate *slates = calloc(policy->n_authorities + 1, sizeof *slates);

        if (!slates)
                return error_oom(reterr);
        for (size_t a = 0; a < policy->n_authorities; a++)
                slates[a] = (Slate){.foreign = SIZE_MAX, .published = SIZE_MAX};
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const ObservedSet *set = &observation->sets[i];
                Slate *slate = &slates[policy->certificates[i].authority - policy->authorities];

                if (is_foreign[i] && slate->foreign == SIZE_MAX)
                        slate->foreign = i;
                if (is_published(set) && slate->published == SIZE_MAX &&
                    !find_key(issuers, set->leaf.issuer_key_id))
                        slate->published = i;
        }
        *ret = slates;
        return 0;
}

static IssuerState judge_blank(const Policy *policy, size_t index, const Slate *slate, Text *text)
{
        const char *name = policy->authorities[index].name;

        if (slate->published != SIZE_MAX) {
                text_addf(text,
                          "CA lost: the set of certificate %s is published, but the signer has no "
                          "key of authority %s. HINT: Restore the signer's state from its backup.",
                          policy->certificates[slate->published].name, name);
                return ISSUER_LOST;
        }
        if (slate->foreign != SIZE_MAX) {
                text_addf(text,
                          "no CA is made for authority %s while certificate %s is foreign. HINT: "
                          "Move the foreign files away, or adopt them.",
                          name, policy->certificates[slate->foreign].name);
                return ISSUER_BARRED;
        }
        return ISSUER_BLANK;
}

static int64_t renew_at(const PolicyAuthority *authority, const ObservedAuthority *observed)
{
        const ObservedGeneration *current = authority_current(observed);

        return current ? usec_add(current->facts.not_after_usec, -authority->renew_before_usec)
                       : USEC_INFINITY;
}

/* Whether a value stands in a subject's line as it is: others are escaped there, which is the
 * signer's business. */
static bool is_plain(const char *value)
{
        return strspn(value,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_") ==
               strlen(value);
}

/* Whether the CA has the policy's subject, its generation added to the CN ("root G2 3f0d3aec").
 * What cannot be compared counts as the same. */
static bool has_subject(const PolicyAuthority *authority, const ObservedGeneration *generation)
{
        const PolicySubject *subject = &authority->subject;
        _cleanup_(text_done) Text line = {0};

        for (size_t i = 0; i < subject->n; i++) {
                const PolicyAttribute *attribute = &subject->items[i];

                if (!is_plain(attribute->value))
                        return true;
                text_addf(&line, "%s%s=%s", i > 0 ? ", " : "", attribute->type, attribute->value);
                if (strcmp(attribute->type, "CN") != 0)
                        continue;
                text_addf(&line, " G%" PRIu32 " ", generation->number);
                text_add_hex(&line, generation->facts.key_id, 4);
        }
        return subject->n == 0 || text_check(&line, NULL) < 0 ||
               strcmp(text_content(&line), generation->subject) == 0;
}

static IssuerState judge(const Policy *policy, size_t index, const ObservedAuthority *observed,
                         const Slate *slate, int64_t now_usec, Text *text)
{
        const char *name = policy->authorities[index].name;
        const ObservedGeneration *current = authority_current(observed);
        char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];

        if (!observed->known) {
                text_add(text, observed->problem ? observed->problem : "the signer did not answer");
                return ISSUER_SILENT;
        }
        if (observed->n_generations == 0)
                return judge_blank(policy, index, slate, text);
        if (!current) {
                text_addf(text, "authority %s has no generation that signs", name);
                return ISSUER_ENDED;
        }
        if (current->facts.not_after_usec <= now_usec) {
                text_addf(text, "the CA of authority %s expired at %s, and it is %s", name,
                          clock_format(current->facts.not_after_usec, at),
                          clock_format(now_usec, now));
                return ISSUER_ENDED;
        }
        if (now_usec >= renew_at(&policy->authorities[index], observed))
                text_addf(text, "the CA of authority %s ends at %s and has to be replaced", name,
                          clock_format(current->facts.not_after_usec, at));
        else if (!has_subject(&policy->authorities[index], current))
                text_addf(text,
                          "the policy wants another subject for authority %s than its CA has (%s): "
                          "it would come with the next CA, which is not made yet HINT: Leave the "
                          "subject as it was.",
                          name, current->subject);
        return ISSUER_READY;
}

int issuers_look(const Policy *policy, const Observation *observation, const bool *is_foreign,
                 int64_t now_usec, Issuers *ret, Error *reterr)
{
        _cleanup_(freep) Slate *slates = NULL;
        int r;

        *ret = (Issuers){0};
        ret->items = calloc(policy->n_authorities + 1, sizeof *ret->items);
        if (!ret->items)
                return error_oom(reterr);
        ret->n = policy->n_authorities;
        r = collect_keys(observation, ret, reterr);
        if (r < 0)
                return r;
        r = collect_slates(policy, observation, is_foreign, ret, &slates, reterr);
        for (size_t a = 0; r >= 0 && a < ret->n; a++) {
                Issuer *issuer = &ret->items[a];
                Text text = {0};

                issuer->state =
                        judge(policy, a, &observation->authorities[a], &slates[a], now_usec, &text);
                if (text.size > 0)
                        r = text_take(&text, &issuer->problem, reterr);
                if (issuer->state == ISSUER_SILENT)
                        ret->silence = issuer->problem;
        }
        return r;
}

int64_t issuer_renew_at(const Policy *policy, const Observation *observation, size_t index)
{
        return renew_at(&policy->authorities[index], &observation->authorities[index]);
}

void issuers_done(Issuers *issuers)
{
        for (size_t a = 0; a < issuers->n; a++)
                free(issuers->items[a].problem);
        free(issuers->items);
        free(issuers->keys);
        *issuers = (Issuers){0};
}

/* `trust:` files put anchors into the bundle that no signer has to know. */
static bool has_trust(const PolicyCertificate *certificate)
{
        for (size_t i = 0; i < certificate->n_bundle; i++)
                if (certificate->bundle[i]->n_trust > 0)
                        return true;
        return false;
}

static bool knows_bundle(const Issuers *issuers, const Observation *observation,
                         const PolicyCertificate *certificate, const ObservedSet *set)
{
        const ObservedBundle *bundle;

        if (set->bundle >= observation->n_bundles || has_trust(certificate))
                return true;
        bundle = &observation->bundles[set->bundle];
        for (size_t i = 0; i < bundle->n; i++)
                if (!find_key(issuers, bundle->anchors[i]))
                        return false;
        return true;
}

bool issuers_heard(const Issuers *issuers, const Policy *policy,
                   const PolicyCertificate *certificate)
{
        for (size_t i = 0; i < certificate->n_bundle; i++)
                if (issuers->items[certificate->bundle[i] - policy->authorities].state ==
                    ISSUER_SILENT)
                        return false;
        return issuers->items[certificate->authority - policy->authorities].state != ISSUER_SILENT;
}

bool issuers_know_set(const Issuers *issuers, const Policy *policy, const Observation *observation,
                      size_t index, char **ret_problem)
{
        static const uint8_t absent[CERT_KEY_ID];
        const PolicyCertificate *certificate = &policy->certificates[index];
        const ObservedSet *set = &observation->sets[index];
        const char *what;
        Text text = {0};

        *ret_problem = NULL;
        if (!is_published(set) || !issuers_heard(issuers, policy, certificate))
                return true;
        if (memcmp(set->leaf.issuer_key_id, absent, CERT_KEY_ID) != 0 &&
            !find_key(issuers, set->leaf.issuer_key_id))
                what = "its leaf was issued by a CA";
        else if (!knows_bundle(issuers, observation, certificate, set))
                what = "its trust bundle holds a CA";
        else
                return true;
        if (issuers->silence) {
                text_add(&text, issuers->silence);
                (void)text_take(&text, ret_problem, NULL);
                return false;
        }
        text_addf(&text,
                  "the signer is behind what is published: %s that no authority of the policy "
                  "knows. HINT: Restore the signer's state from its backup, or name that CA in "
                  "authorities.%s.trust.",
                  what, certificate->authority->name);
        (void)text_take(&text, ret_problem, NULL);
        return false;
}
