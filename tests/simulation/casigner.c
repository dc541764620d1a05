#include "tests/simulation/casigner.h"

#include "common/clock.h"
#include "common/extension.h"
#include "daemon/signer/mint.h"
#include "daemon/signer/turn.h"
#include "tests/simulation/realsigner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { SIGNER_KEYS = 8, SIGNER_AUTHORITIES_MAX = 8, SIGNER_PAPERS_MAX = 8192 };

typedef struct Generation {
        uint32_t number;
        AuthorityPhase phase;
        bool is_stolen;
        const Paper *paper, *cross;
        Key *key;
        MintIssuer *issuer;
        int64_t prepared, announced, activated, last_leaf;
} Generation;

typedef struct Authority {
        char name[POLICY_NAME_MAX + 1];
        Generation generations[OBSERVED_GENERATIONS_MAX];
        size_t n;
        uint32_t numbers; /* given so far */
        uint8_t retired[OBSERVED_RETIRED_MAX][CERT_KEY_ID];
        size_t n_retired;
} Authority;

struct CaSigner {
        RealSigner *real; /* NULL: it is all in memory */
        Papers *papers;
        Break broken;
        Mint *mint;
        Authority authorities[SIGNER_AUTHORITIES_MAX];
        size_t n;
        /* Every CA's certificate and cross-certificate. */
        const Paper *made[SIGNER_PAPERS_MAX];
        size_t n_made;
};

/* Of the leaves. Ed25519, whatever the policy says: nothing here is signed with them, and reading a
 * certificate with a key on a curve takes libcrypto as long as all else together. */
static Key *keys[SIGNER_KEYS];

static Key *new_key(KeyType type)
{
        Key *key = NULL;
        int r = key_new(type, &key, NULL);

        assert(r >= 0);
        return key;
}

CaSigner *casigner_new(Papers *papers, Break broken)
{
        CaSigner *signer = calloc(1, sizeof *signer);
        int r;

        assert(signer);
        signer->papers = papers;
        signer->broken = broken;
        r = mint_new(&signer->mint, NULL);
        assert(r >= 0);
        for (size_t i = 0; i < SIGNER_KEYS; i++)
                if (!keys[i])
                        keys[i] = new_key(KEY_ED25519);
        return signer;
}

void casigner_use_files(CaSigner *signer, const char *directory)
{
        assert(signer->n == 0 && signer->broken == BREAK_NOTHING);
        signer->real = realsigner_new(directory);
}

static void generation_done(Generation *generation)
{
        mint_issuer_free(generation->issuer);
        key_free(generation->key);
}

CaSigner *casigner_free(CaSigner *signer)
{
        if (!signer)
                return NULL;
        for (size_t a = 0; a < signer->n; a++)
                for (size_t g = 0; g < signer->authorities[a].n; g++)
                        generation_done(&signer->authorities[a].generations[g]);
        realsigner_free(signer->real);
        mint_free(signer->mint);
        free(signer);
        return NULL;
}

static Authority *authority_of(CaSigner *signer, const Policy *policy, size_t index)
{
        const char *name = policy->authorities[index].name;
        Authority *authority;

        for (size_t a = 0; a < signer->n; a++)
                if (strcmp(signer->authorities[a].name, name) == 0)
                        return &signer->authorities[a];
        assert(signer->n < SIGNER_AUTHORITIES_MAX);
        authority = &signer->authorities[signer->n++];
        strcpy(authority->name, name);
        return authority;
}

static Generation *find_phase(Authority *authority, AuthorityPhase phase)
{
        for (size_t g = authority->n; g-- > 0;)
                if (authority->generations[g].phase == phase)
                        return &authority->generations[g];
        return NULL;
}

static Generation *find_number(Authority *authority, uint32_t number)
{
        for (size_t g = 0; g < authority->n; g++)
                if (authority->generations[g].number == number)
                        return &authority->generations[g];
        return NULL;
}

static void *copy(const void *from, size_t size)
{
        void *to = malloc(size);

        assert(to);
        return memcpy(to, from, size);
}

static void observe_generation(const CaSigner *signer, const Generation *from,
                               ObservedGeneration *to)
{
        *to = (ObservedGeneration){
                .number = from->number,
                .phase = from->phase,
                .is_stolen = from->is_stolen,
                .key_type = 1 + KEY_ECDSA_P256,
                .facts = from->paper->facts,
                .subject = copy(from->paper->subject, strlen(from->paper->subject) + 1),
                .der = copy(from->paper->der, from->paper->size),
                .der_size = from->paper->size,
                .prepared_usec = from->prepared,
                .announced_usec = from->announced,
                .activated_usec = from->activated,
                .last_leaf_usec = from->phase == AUTHORITY_RETIRING ? from->last_leaf : INT64_MIN,
        };
        if (!from->cross)
                return;
        to->cross = copy(from->cross->der, from->cross->size);
        to->cross_size = from->cross->size;
        to->cross_facts = from->cross->facts;
}

/* What is on disk is among the papers, too. */
static void keep_der(CaSigner *signer, const uint8_t *der, size_t size, const CertFacts *facts)
{
        if (!der || casigner_paper(signer, facts))
                return;
        assert(signer->n_made < SIGNER_PAPERS_MAX);
        signer->made[signer->n_made++] = papers_add(signer->papers, der, size, facts);
}

static void observe_files(CaSigner *signer, const PolicyAuthority *authority,
                          ObservedAuthority *ret)
{
        int r = realsigner_observe(signer->real, authority, ret, NULL);

        assert(r >= 0);
        for (size_t i = 0; i < ret->n_generations; i++) {
                const ObservedGeneration *generation = &ret->generations[i];

                keep_der(signer, generation->der, generation->der_size, &generation->facts);
                keep_der(signer, generation->cross, generation->cross_size,
                         &generation->cross_facts);
        }
}

void casigner_observe(CaSigner *signer, const Policy *policy, size_t index, ObservedAuthority *ret)
{
        Authority *authority = authority_of(signer, policy, index);

        if (signer->real) {
                observe_files(signer, &policy->authorities[index], ret);
                return;
        }
        *ret = (ObservedAuthority){.known = true};
        ret->generations = calloc(authority->n + 1, sizeof *ret->generations);
        ret->retired = calloc(OBSERVED_RETIRED_MAX, sizeof *ret->retired);
        assert(ret->generations && ret->retired);
        ret->n_generations = authority->n;
        for (size_t g = 0; g < authority->n; g++)
                observe_generation(signer, &authority->generations[g], &ret->generations[g]);
        ret->n_retired = authority->n_retired;
        memcpy(ret->retired, authority->retired, sizeof authority->retired);
}

static const Paper *keep(CaSigner *signer, const Minted *minted)
{
        const Paper *paper = papers_add(signer->papers, minted->der, minted->size, &minted->facts);

        assert(signer->n_made < SIGNER_PAPERS_MAX);
        signer->made[signer->n_made++] = paper;
        return paper;
}

static int mint_generation(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                           Generation **ret, Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        _cleanup_(minted_done) Minted minted = {0};
        Generation *generation;
        int r;

        if (authority->n == OBSERVED_GENERATIONS_MAX)
                return error_set(reterr, E2BIG, "too many generations");
        generation = &authority->generations[authority->n];
        *generation = (Generation){.number = authority->numbers + 1,
                                   .prepared = now_usec,
                                   .last_leaf = INT64_MIN,
                                   .key = new_key(KEY_ECDSA_P256)};
        r = mint_authority(signer->mint, &policy->authorities[index], generation->number,
                           generation->key, now_usec, policy->backdate_usec, &minted, reterr);
        if (r < 0)
                return key_free(generation->key), r;
        generation->paper = keep(signer, &minted);
        r = mint_issuer_new(generation->paper->cert, generation->key, &generation->issuer, reterr);
        assert(r >= 0);
        authority->n++;
        authority->numbers++;
        *ret = generation;
        return 0;
}

int casigner_make(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                  Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *generation;
        int r;

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return realsigner_make(signer->real, policy, &policy->authorities[index], now_usec,
                                       reterr);
        }
        if (authority->n > 0)
                return 0;
        r = mint_generation(signer, policy, index, now_usec, &generation, reterr);
        if (r < 0)
                return r;
        generation->phase = AUTHORITY_CURRENT;
        generation->announced = generation->activated = now_usec;
        return 1;
}

int casigner_prepare(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                     Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *next = find_phase(authority, AUTHORITY_NEXT), *current;
        _cleanup_(minted_done) Minted minted = {0};
        int r;

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return turn_prepare(&signer->real->ca, policy, &policy->authorities[index],
                                    now_usec, reterr);
        }
        if (next)
                return 0;
        r = mint_generation(signer, policy, index, now_usec, &next, reterr);
        if (r < 0)
                return r;
        next->phase = AUTHORITY_NEXT;
        current = find_phase(authority, AUTHORITY_CURRENT);
        if (!current || now_usec >= current->paper->facts.not_after_usec)
                return 1;
        r = mint_cross(signer->mint, current->issuer, next->paper->cert, now_usec,
                       policy->backdate_usec, &minted, reterr);
        if (r < 0)
                return r;
        next->cross = keep(signer, &minted);
        return 1;
}

int casigner_announce(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                      int64_t now_usec, Error *reterr)
{
        Generation *next = find_number(authority_of(signer, policy, index), generation);

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return turn_announce(&signer->real->ca, &policy->authorities[index], generation,
                                     now_usec, reterr);
        }
        if (!next)
                return error_set(reterr, ENOENT, "no generation %" PRIu32, generation);
        /* Once. */
        if (next->phase == AUTHORITY_NEXT && next->announced == 0)
                next->announced = now_usec;
        return 0;
}

/* What the signer's rules look at; nothing in it is owned. NULL for none. */
static ObservedGeneration *as_observed(const Generation *from, ObservedGeneration *to)
{
        if (!from)
                return NULL;
        *to = (ObservedGeneration){
                .number = from->number,
                .phase = from->phase,
                .is_stolen = from->is_stolen,
                .facts = from->paper->facts,
                .subject = from->paper->subject,
                .prepared_usec = from->prepared,
                .announced_usec = from->announced,
                .activated_usec = from->activated,
                .last_leaf_usec = from->last_leaf,
        };
        if (from->cross) {
                to->cross = from->cross->der;
                to->cross_facts = from->cross->facts;
        }
        return to;
}

/* Rule 4, as far as the signer judges it. */
static bool may_activate(const Policy *policy, size_t index, const Generation *current,
                         const Generation *next, int64_t now_usec)
{
        ObservedGeneration a, b;

        return now_usec >= turn_activation_at(policy, &policy->authorities[index],
                                              as_observed(current, &a), as_observed(next, &b),
                                              now_usec);
}

static bool may_retire(const Policy *policy, size_t index, const Generation *retiring,
                       int64_t now_usec)
{
        ObservedGeneration observed;

        return now_usec >= turn_retirement_at(policy, &policy->authorities[index],
                                              as_observed(retiring, &observed));
}

/* When the next CA is activated by a signer without that rule. */
static int64_t break_at(Break broken, const Generation *next, int64_t distribute)
{
        bool is_announced = next->announced > 0;

        switch (broken) {
        case BREAK_EARLY:
                return is_announced ? next->announced : USEC_INFINITY;
        case BREAK_FROM_PREPARE:
                return is_announced ? next->prepared + distribute : USEC_INFINITY;
        case BREAK_LATEST_TOO_EARLY:
        case BREAK_NO_EVIDENCE:
                return (is_announced ? next->announced : next->prepared) + distribute;
        case BREAK_NOTHING:
        case BREAK_NO_CROSS:
        case BREAK_RETIRE_EARLY:
        case BREAK_NOT_CLAMPED:
        case BREAK_NEXT_MISSING:
        case BREAK_DUE_FOR_EVER:
        case BREAKS:
                break;
        }
        return USEC_INFINITY;
}

int casigner_activate(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                      int64_t now_usec, Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *next = find_number(authority, generation);
        Generation *current = find_phase(authority, AUTHORITY_CURRENT);

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return turn_activate(&signer->real->ca, policy, &policy->authorities[index],
                                     generation, now_usec, reterr);
        }
        if (!next)
                return error_set(reterr, ENOENT, "no generation %" PRIu32, generation);
        if (next->phase != AUTHORITY_NEXT)
                return 0;
        if (break_at(signer->broken, next, policy->authorities[index].distribute_usec) > now_usec &&
            !may_activate(policy, index, current, next, now_usec))
                return error_set(reterr, EAGAIN, "not before distribute is over");
        if (current)
                current->phase = AUTHORITY_RETIRING;
        next->phase = AUTHORITY_CURRENT;
        next->activated = now_usec;
        return 1;
}

static void discard(Authority *authority, Generation *generation)
{
        /* The newest are kept, as the signer does. */
        if (authority->n_retired == OBSERVED_RETIRED_MAX) {
                memmove(authority->retired, authority->retired + 1,
                        (OBSERVED_RETIRED_MAX - 1) * sizeof *authority->retired);
                authority->n_retired--;
        }
        memcpy(authority->retired[authority->n_retired++], generation->paper->facts.key_id,
               CERT_KEY_ID);
        generation_done(generation);
        memmove(generation, generation + 1,
                (size_t)(authority->generations + authority->n - generation - 1) *
                        sizeof *generation);
        authority->n--;
}

int casigner_retire(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                    int64_t now_usec, Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *retiring = find_number(authority, generation);

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return turn_retire(&signer->real->ca, policy, &policy->authorities[index],
                                   generation, now_usec, reterr);
        }
        if (!retiring)
                return 0;
        if (retiring->phase != AUTHORITY_RETIRING)
                return error_set(reterr, EAGAIN, "generation %" PRIu32 " is in use", generation);
        if (signer->broken != BREAK_RETIRE_EARLY && !may_retire(policy, index, retiring, now_usec))
                return error_set(reterr, EAGAIN, "its last leaf has not ended");
        discard(authority, retiring);
        return 1;
}

int casigner_emergency(CaSigner *signer, const Policy *policy, size_t index, uint32_t generation,
                       int64_t now_usec, Error *reterr)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *current = find_phase(authority, AUTHORITY_CURRENT);
        Generation *next = find_phase(authority, AUTHORITY_NEXT);
        int r;

        if (signer->real) {
                signer->real->now_usec = now_usec;
                return turn_emergency(&signer->real->ca, policy, &policy->authorities[index],
                                      generation, now_usec, reterr);
        }
        if (!current || current->number != generation)
                return 0;
        /* Its key lay beside the stolen one. */
        if (next)
                discard(authority, next);
        r = casigner_prepare(signer, policy, index, now_usec, reterr);
        if (r < 0)
                return r;
        current = find_phase(authority, AUTHORITY_CURRENT);
        next = find_phase(authority, AUTHORITY_NEXT);
        current->phase = AUTHORITY_RETIRING;
        current->is_stolen = true;
        next->phase = AUTHORITY_CURRENT;
        next->announced = next->activated = now_usec;
        return 1;
}

/* The same CA with a later end: a leaf is clamped by what the mint sees. */
static MintIssuer *long_lived(const Generation *generation)
{
        _cleanup_(cert_freep) X509 *cert = X509_dup(generation->paper->cert);
        MintIssuer *issuer = NULL;
        int r;

        assert(cert);
        ASN1_TIME_adj(X509_getm_notAfter(cert),
                      (time_t)(generation->paper->facts.not_after_usec / USEC_PER_SEC), 10000, 0);
        X509_sign(cert, generation->key, key_digest(generation->key));
        r = mint_issuer_new(cert, generation->key, &issuer, NULL);
        assert(r >= 0);
        return issuer;
}

int casigner_issue(CaSigner *signer, const Policy *policy, size_t index, unsigned key,
                   int64_t now_usec, Paper **ret, Error *reterr)
{
        const PolicyCertificate *wanted = &policy->certificates[index];
        Generation *current = find_phase(
                authority_of(signer, policy, (size_t)(wanted->authority - policy->authorities)),
                AUTHORITY_CURRENT);
        _cleanup_(minted_done) Minted minted = {0};
        _cleanup_(mint_issuer_freep) MintIssuer *longer = NULL;
        int r;

        if (signer->real) {
                signer->real->now_usec = now_usec;
                r = realsigner_issue(signer->real, policy, wanted, keys[key % SIGNER_KEYS],
                                     now_usec, &minted, reterr);
                if (r >= 0)
                        *ret = papers_add_leaf(signer->papers, minted.der, minted.size,
                                               &minted.facts);
                return r;
        }
        if (!current)
                return error_set(reterr, ENOENT, "no CA yet");
        if (signer->broken == BREAK_NOT_CLAMPED)
                longer = long_lived(current);
        r = mint_leaf(signer->mint, longer ? longer : current->issuer, wanted,
                      keys[key % SIGNER_KEYS], now_usec, policy->backdate_usec, &minted, reterr);
        if (r < 0)
                return r;
        *ret = papers_add_leaf(signer->papers, minted.der, minted.size, &minted.facts);
        if (minted.facts.not_after_usec > current->last_leaf)
                current->last_leaf = minted.facts.not_after_usec;
        return 0;
}

bool casigner_is_clamped(CaSigner *signer, const Policy *policy, size_t index,
                         const CertFacts *leaf)
{
        const Generation *current =
                find_phase(authority_of(signer, policy, index), AUTHORITY_CURRENT);

        if (signer->real) {
                _cleanup_(authority_done) ObservedAuthority observed = {0};
                const ObservedGeneration *signs;

                casigner_observe(signer, policy, index, &observed);
                signs = authority_current(&observed);
                return signs && leaf->not_after_usec >= signs->facts.not_after_usec;
        }
        return current && leaf->not_after_usec >= current->paper->facts.not_after_usec;
}

const Paper *casigner_paper(const CaSigner *signer, const CertFacts *facts)
{
        for (size_t i = signer->n_made; i-- > 0;)
                if (memcmp(signer->made[i]->facts.sha256, facts->sha256, CERT_FINGERPRINT) == 0)
                        return signer->made[i];
        return NULL;
}

int casigner_check_names(const CaSigner *signer, Error *reterr)
{
        for (size_t i = 0; i < signer->n_made; i++)
                for (size_t j = 0; j < i; j++)
                        /* A cross-certificate has the name and key of its generation. */
                        if (strcmp(signer->made[i]->subject, signer->made[j]->subject) == 0 &&
                            memcmp(signer->made[i]->facts.key_id, signer->made[j]->facts.key_id,
                                   CERT_KEY_ID) != 0)
                                return error_set(reterr, EEXIST, "two CAs are called %s",
                                                 signer->made[i]->subject);
        return 0;
}

bool casigner_break(CaSigner *signer, const Policy *policy, size_t index, int64_t now_usec,
                    int64_t *ret_next_usec)
{
        Authority *authority = authority_of(signer, policy, index);
        Generation *current = find_phase(authority, AUTHORITY_CURRENT);
        Generation *next = find_phase(authority, AUTHORITY_NEXT);
        Generation *retiring = find_phase(authority, AUTHORITY_RETIRING);
        int64_t distribute = policy->authorities[index].distribute_usec;
        int64_t activate = next ? break_at(signer->broken, next, distribute) : USEC_INFINITY;
        int64_t retire = retiring && current && signer->broken == BREAK_RETIRE_EARLY
                                 ? current->activated + distribute
                                 : USEC_INFINITY;

        *ret_next_usec = activate < retire ? activate : retire;
        if (*ret_next_usec > now_usec)
                return false;
        if (activate <= now_usec)
                casigner_activate(signer, policy, index, next->number, now_usec, NULL);
        else
                casigner_retire(signer, policy, index, retiring->number, now_usec, NULL);
        return true;
}
