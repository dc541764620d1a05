#include "daemon/issuer.h"

#include "common/clock.h"
#include "daemon/evidence.h"

#include <stdlib.h>
#include <string.h>

/* What the sets say of their authority: indexes of certificates, SIZE_MAX for none. */
typedef struct Slate {
        size_t foreign;   /* its set is somebody else's */
        size_t published; /* its leaf is of no CA that the signer knows */
        size_t behind;    /* its leaf or an anchor is not, and all were heard */
        bool has_alien;   /* a leaf is of a CA of `trust:` */
} Slate;

static int compare_keys(const void *a, const void *b)
{
        return memcmp(((const IssuerKey *)a)->key_id, ((const IssuerKey *)b)->key_id, CERT_KEY_ID);
}

/* The generations stand before the others with the same identifier. */
static int compare_kinds(const void *a, const void *b)
{
        int order = compare_keys(a, b);

        return order ? order : ((const IssuerKey *)a)->kind - ((const IssuerKey *)b)->kind;
}

/* NULL where nobody knows it. */
static IssuerKey *find_key(const Issuers *issuers, const uint8_t key_id[CERT_KEY_ID])
{
        IssuerKey wanted;

        if (issuers->n_keys == 0)
                return NULL;
        memcpy(wanted.key_id, key_id, CERT_KEY_ID);
        return bsearch(&wanted, issuers->keys, issuers->n_keys, sizeof wanted, compare_keys);
}

static void add_key(Issuers *issuers, const uint8_t key_id[CERT_KEY_ID], IssuerKeyKind kind)
{
        IssuerKey *key = &issuers->keys[issuers->n_keys++];

        *key = (IssuerKey){.kind = kind, .latest_usec = INT64_MIN};
        memcpy(key->key_id, key_id, CERT_KEY_ID);
}

static int collect_keys(const Observation *observation, Issuers *issuers, Error *reterr)
{
        size_t n = 0;

        for (size_t a = 0; a < observation->n_authorities; a++)
                n += observation->authorities[a].n_generations +
                     observation->authorities[a].n_trust + observation->authorities[a].n_retired;
        issuers->keys = calloc(n + 1, sizeof *issuers->keys);
        if (!issuers->keys)
                return error_oom(reterr);
        for (size_t a = 0; a < observation->n_authorities; a++) {
                const ObservedAuthority *authority = &observation->authorities[a];

                for (size_t g = 0; g < authority->n_generations; g++)
                        add_key(issuers, authority->generations[g].facts.key_id,
                                ISSUER_KEY_GENERATION);
                for (size_t t = 0; t < authority->n_trust; t++)
                        add_key(issuers, authority->trust[t].facts.key_id, ISSUER_KEY_TRUST);
                for (size_t r = 0; r < authority->n_retired; r++)
                        add_key(issuers, authority->retired[r], ISSUER_KEY_RETIRED);
        }
        qsort(issuers->keys, issuers->n_keys, sizeof *issuers->keys, compare_kinds);
        n = 0;
        for (size_t i = 0; i < issuers->n_keys; i++)
                if (n == 0 || compare_keys(&issuers->keys[n - 1], &issuers->keys[i]) != 0)
                        issuers->keys[n++] = issuers->keys[i];
        issuers->n_keys = n;
        return 0;
}

/* Bundles are few, and shared by the sets that hold them. */
static int collect_bundles(const Observation *observation, Issuers *issuers, Error *reterr)
{
        issuers->knows_bundle = calloc(observation->n_bundles + 1, sizeof *issuers->knows_bundle);
        if (!issuers->knows_bundle)
                return error_oom(reterr);
        for (size_t i = 0; i < observation->n_bundles; i++) {
                const ObservedBundle *bundle = &observation->bundles[i];
                size_t known = 0;

                while (known < bundle->n && find_key(issuers, bundle->anchors[known]))
                        known++;
                issuers->knows_bundle[i] = known == bundle->n;
        }
        return 0;
}

static void see_leaf(Issuers *issuers, const CertFacts *leaf)
{
        IssuerKey *key = find_key(issuers, leaf->issuer_key_id);

        if (key && leaf->not_after_usec > key->latest_usec)
                key->latest_usec = leaf->not_after_usec;
}

static void see_leaves(const Observation *observation, Issuers *issuers)
{
        for (size_t i = 0; i < observation->n_sets; i++)
                if (observed_set_has_leaf(&observation->sets[i]))
                        see_leaf(issuers, &observation->sets[i].leaf);
        for (size_t c = 0; c < observation->n_clusters; c++)
                if (observation->clusters[c].served.outcome == HANDSHAKE_TLS)
                        see_leaf(issuers, &observation->clusters[c].served.leaf);
}

int64_t issuers_latest(const Issuers *issuers, const uint8_t key_id[CERT_KEY_ID])
{
        const IssuerKey *key = find_key(issuers, key_id);

        return key ? key->latest_usec : INT64_MIN;
}

/* What about the set the signer does not know; NULL for nothing. A leaf that does not tell its
 * issuer was not made by us. */
static const char *find_unknown(const Issuers *issuers, const Observation *observation,
                                const ObservedSet *set)
{
        static const uint8_t absent[CERT_KEY_ID];

        if (memcmp(set->leaf.issuer_key_id, absent, CERT_KEY_ID) != 0 &&
            !find_key(issuers, set->leaf.issuer_key_id))
                return "its leaf was issued by a CA";
        if (set->bundle < observation->n_bundles && !issuers->knows_bundle[set->bundle])
                return "its trust bundle holds a CA";
        return NULL;
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
                slates[a] = (Slate){.foreign = SIZE_MAX, .published = SIZE_MAX, .behind = SIZE_MAX};
        for (size_t i = 0; i < policy->n_certificates; i++) {
                const ObservedSet *set = &observation->sets[i];
                Slate *slate = &slates[policy->certificates[i].authority - policy->authorities];
                bool is_alien = evidence_is_alien(policy, observation, i);

                if (is_foreign[i] && slate->foreign == SIZE_MAX)
                        slate->foreign = i;
                slate->has_alien |= is_alien;
                if (!observed_set_has_leaf(set))
                        continue;
                if (slate->published == SIZE_MAX && !is_alien &&
                    !find_key(issuers, set->leaf.issuer_key_id))
                        slate->published = i;
                if (slate->behind == SIZE_MAX && find_unknown(issuers, observation, set))
                        slate->behind = i;
        }
        *ret = slates;
        return 0;
}

static IssuerState judge_blank(const Policy *policy, size_t index, const Slate *slate, Text *text)
{
        const PolicyAuthority *authority = &policy->authorities[index];

        if (slate->published != SIZE_MAX) {
                text_addf(text,
                          "CA lost: the set of certificate %s is published, but the signer has no "
                          "key of authority %s. HINT: Restore the signer's state from its backup.",
                          policy->certificates[slate->published].name, authority->name);
                return ISSUER_LOST;
        }
        /* To import a CA changes nothing for a reader, and tells whose the foreign sets are. */
        if (slate->foreign != SIZE_MAX && !authority->adopt_certificate) {
                text_addf(text,
                          "no CA is made for authority %s while certificate %s is foreign. HINT: "
                          "Move the foreign files away, or adopt them.",
                          authority->name, policy->certificates[slate->foreign].name);
                return ISSUER_BARRED;
        }
        return ISSUER_BLANK;
}

static void describe_behind(const Policy *policy, size_t index, const char *what, Text *text)
{
        text_addf(text,
                  "the signer is behind what is published: %s that no authority of the policy "
                  "knows. HINT: Restore the signer's state from its latest backup, or name that CA "
                  "in authorities.%s.trust.",
                  what, policy->certificates[index].authority->name);
}

/* What keeps a CA with generations from signing; nothing in the text where it signs. */
static IssuerState judge_standing(const Policy *policy, size_t index,
                                  const ObservedAuthority *observed, int64_t now_usec, Text *text)
{
        const char *name = policy->authorities[index].name;
        const ObservedGeneration *current = authority_current(observed);
        const ObservedGeneration *next = authority_find(observed, AUTHORITY_NEXT);
        char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];

        if (!current && next) {
                text_addf(text,
                          "the CA of authority %s does not sign yet: readers that trust another CA "
                          "are to trust %s first",
                          name, next->subject);
                return ISSUER_PENDING;
        }
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
        return ISSUER_READY;
}

static IssuerState judge(const Policy *policy, const Observation *observation, size_t index,
                         const Issuers *issuers, const Slate *slate, int64_t now_usec, Text *text)
{
        const ObservedAuthority *observed = &observation->authorities[index];

        if (!observed->known) {
                text_add(text, observed->problem ? observed->problem : "the signer did not answer");
                return ISSUER_SILENT;
        }
        if (observed->n_generations == 0)
                return judge_blank(policy, index, slate, text);
        if (slate->behind != SIZE_MAX && !issuers->silence) {
                text_addf(text, "certificate %s: ", policy->certificates[slate->behind].name);
                describe_behind(
                        policy, slate->behind,
                        find_unknown(issuers, observation, &observation->sets[slate->behind]),
                        text);
                return ISSUER_BEHIND;
        }
        return judge_standing(policy, index, observed, now_usec, text);
}

/* Whose silence may be why something is not known. */
static const char *find_silence(const Observation *observation)
{
        for (size_t a = 0; a < observation->n_authorities; a++)
                if (!observation->authorities[a].known)
                        return observation->authorities[a].problem
                                       ? observation->authorities[a].problem
                                       : "the signer did not answer";
        return NULL;
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
        ret->silence = find_silence(observation);
        r = collect_keys(observation, ret, reterr);
        if (r >= 0)
                r = collect_bundles(observation, ret, reterr);
        if (r < 0)
                return r;
        see_leaves(observation, ret);
        r = collect_slates(policy, observation, is_foreign, ret, &slates, reterr);
        for (size_t a = 0; r >= 0 && a < ret->n; a++) {
                Issuer *issuer = &ret->items[a];
                Text text = {0};

                issuer->state = judge(policy, observation, a, ret, &slates[a], now_usec, &text);
                issuer->as_next = issuer->state == ISSUER_BLANK && slates[a].has_alien &&
                                  !policy->authorities[a].adopt_certificate;
                if (text.size > 0)
                        r = text_take(&text, &issuer->problem, reterr);
        }
        return r;
}

void issuers_done(Issuers *issuers)
{
        for (size_t a = 0; a < issuers->n; a++)
                free(issuers->items[a].problem);
        free(issuers->items);
        free(issuers->keys);
        free(issuers->knows_bundle);
        *issuers = (Issuers){0};
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
        const ObservedSet *set = &observation->sets[index];
        const char *what;
        Text text = {0};

        *ret_problem = NULL;
        if (!observed_set_has_leaf(set) ||
            !issuers_heard(issuers, policy, &policy->certificates[index]))
                return true;
        what = find_unknown(issuers, observation, set);
        if (!what)
                return true;
        if (issuers->silence)
                text_add(&text, issuers->silence);
        else
                describe_behind(policy, index, what, &text);
        (void)text_take(&text, ret_problem, NULL);
        return false;
}
