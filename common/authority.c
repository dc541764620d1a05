#include "common/authority.h"

#include <errno.h>
#include <string.h>

enum { AUTHORITY_SUBJECT_MAX = 512 };

static void generation_done(ObservedGeneration *generation)
{
        free(generation->subject);
        free(generation->der);
        free(generation->cross);
}

static void anchor_done(ObservedAnchor *anchor)
{
        free(anchor->subject);
        free(anchor->der);
}

void authority_done(ObservedAuthority *authority)
{
        for (size_t i = 0; i < authority->n_generations; i++)
                generation_done(&authority->generations[i]);
        for (size_t i = 0; i < authority->n_trust; i++)
                anchor_done(&authority->trust[i]);
        free(authority->generations);
        free(authority->trust);
        free(authority->retired);
        free(authority->problem);
        *authority = (ObservedAuthority){0};
}

/* A copy of bytes, at least one byte long so that it is never NULL for an empty one. */
static int copy_bytes(const void *from, size_t size, uint8_t **ret, Error *reterr)
{
        *ret = malloc(size + 1);
        if (!*ret)
                return error_oom(reterr);
        if (size > 0)
                memcpy(*ret, from, size);
        return 0;
}

static int copy_text(const char *from, char **ret, Error *reterr)
{
        *ret = from ? strdup(from) : NULL;
        return from && !*ret ? error_oom(reterr) : 0;
}

static int copy_generation(const ObservedGeneration *from, ObservedGeneration *ret, Error *reterr)
{
        int r;

        *ret = *from;
        ret->subject = NULL;
        ret->der = ret->cross = NULL;
        r = copy_text(from->subject, &ret->subject, reterr);
        if (r >= 0)
                r = copy_bytes(from->der, from->der_size, &ret->der, reterr);
        if (r >= 0 && from->cross)
                r = copy_bytes(from->cross, from->cross_size, &ret->cross, reterr);
        return r;
}

static int copy_anchor(const ObservedAnchor *from, ObservedAnchor *ret, Error *reterr)
{
        int r;

        *ret = (ObservedAnchor){.facts = from->facts, .der_size = from->der_size};
        r = copy_text(from->subject, &ret->subject, reterr);
        return r < 0 ? r : copy_bytes(from->der, from->der_size, &ret->der, reterr);
}

/* Room for the lists; one more of each than needed, since calloc(0) may be NULL. */
static int allocate(ObservedAuthority *authority, size_t generations, size_t trust, size_t retired,
                    Error *reterr)
{
        authority->generations = calloc(generations + 1, sizeof *authority->generations);
        authority->trust = calloc(trust + 1, sizeof *authority->trust);
        authority->retired = calloc(retired + 1, sizeof *authority->retired);
        return authority->generations && authority->trust && authority->retired ? 0
                                                                                : error_oom(reterr);
}

int authority_copy(const ObservedAuthority *from, ObservedAuthority *ret, Error *reterr)
{
        int r;

        *ret = (ObservedAuthority){.known = from->known};
        r = copy_text(from->problem, &ret->problem, reterr);
        if (r >= 0)
                r = allocate(ret, from->n_generations, from->n_trust, from->n_retired, reterr);
        /* Counted before each is whole: what is there in part is freed, too. */
        while (r >= 0 && ret->n_generations < from->n_generations) {
                size_t i = ret->n_generations++;

                r = copy_generation(&from->generations[i], &ret->generations[i], reterr);
        }
        while (r >= 0 && ret->n_trust < from->n_trust) {
                size_t i = ret->n_trust++;

                r = copy_anchor(&from->trust[i], &ret->trust[i], reterr);
        }
        if (r < 0)
                return r;
        if (from->n_retired > 0)
                memcpy(ret->retired, from->retired, from->n_retired * sizeof *ret->retired);
        ret->n_retired = from->n_retired;
        return 0;
}

const ObservedGeneration *authority_find(const ObservedAuthority *authority, AuthorityPhase phase)
{
        for (size_t i = authority->n_generations; i-- > 0;)
                if (authority->generations[i].phase == phase)
                        return &authority->generations[i];
        return NULL;
}

const ObservedGeneration *authority_current(const ObservedAuthority *authority)
{
        return authority_find(authority, AUTHORITY_CURRENT);
}

const ObservedGeneration *authority_find_key(const ObservedAuthority *authority,
                                             const uint8_t key_id[CERT_KEY_ID])
{
        for (size_t i = 0; i < authority->n_generations; i++)
                if (memcmp(authority->generations[i].facts.key_id, key_id, CERT_KEY_ID) == 0)
                        return &authority->generations[i];
        return NULL;
}

const ObservedGeneration *authority_find_number(const ObservedAuthority *authority, uint32_t number)
{
        for (size_t i = 0; i < authority->n_generations; i++)
                if (authority->generations[i].number == number)
                        return &authority->generations[i];
        return NULL;
}

bool authority_is_retired(const ObservedAuthority *authority, const uint8_t key_id[CERT_KEY_ID])
{
        for (size_t i = 0; i < authority->n_retired; i++)
                if (memcmp(authority->retired[i], key_id, CERT_KEY_ID) == 0)
                        return true;
        return false;
}

void authority_put_facts(Message *message, const CertFacts *facts)
{
        wire_put_i64(message, facts->not_before_usec);
        wire_put_i64(message, facts->not_after_usec);
        wire_put_text(message, facts->serial);
        wire_put_raw(message, facts->sha256, sizeof facts->sha256);
        wire_put_raw(message, facts->key_id, sizeof facts->key_id);
        wire_put_raw(message, facts->issuer_key_id, sizeof facts->issuer_key_id);
}

void authority_get_facts(Message *message, CertFacts *ret)
{
        *ret = (CertFacts){0};
        ret->not_before_usec = wire_get_i64(message);
        ret->not_after_usec = wire_get_i64(message);
        strcpy(ret->serial, wire_get_text(message, CERT_SERIAL_MAX - 1));
        wire_get_raw(message, ret->sha256, sizeof ret->sha256);
        wire_get_raw(message, ret->key_id, sizeof ret->key_id);
        wire_get_raw(message, ret->issuer_key_id, sizeof ret->issuer_key_id);
}

static void put_generation(Message *message, const ObservedGeneration *generation)
{
        wire_put_u32(message, generation->number);
        wire_put_u8(message, generation->phase);
        wire_put_u8(message, generation->is_stolen);
        wire_put_u8(message, generation->is_imported);
        wire_put_u8(message, generation->is_incomplete);
        wire_put_u8(message, generation->key_type);
        authority_put_facts(message, &generation->facts);
        wire_put_text(message, generation->subject);
        wire_put_bytes(message, generation->der, generation->der_size);
        wire_put_bytes(message, generation->cross, generation->cross ? generation->cross_size : 0);
        authority_put_facts(message, &generation->cross_facts);
        wire_put_i64(message, generation->prepared_usec);
        wire_put_i64(message, generation->announced_usec);
        wire_put_i64(message, generation->activated_usec);
        wire_put_i64(message, generation->last_leaf_usec);
}

void authority_put(Message *message, const ObservedAuthority *authority)
{
        wire_put_u8(message, (uint8_t)authority->n_generations);
        for (size_t i = 0; i < authority->n_generations; i++)
                put_generation(message, &authority->generations[i]);
        wire_put_u8(message, (uint8_t)authority->n_trust);
        for (size_t i = 0; i < authority->n_trust; i++) {
                authority_put_facts(message, &authority->trust[i].facts);
                wire_put_text(message, authority->trust[i].subject);
                wire_put_bytes(message, authority->trust[i].der, authority->trust[i].der_size);
        }
        wire_put_bytes(message, authority->retired,
                       authority->n_retired * sizeof *authority->retired);
}

/* Bytes of a certificate; *ret is never NULL on success. */
static int get_der(Message *message, uint8_t **ret, size_t *ret_size, Error *reterr)
{
        const uint8_t *bytes = wire_get_bytes(message, WIRE_MESSAGE_MAX, ret_size);

        return copy_bytes(bytes, *ret_size, ret, reterr);
}

static int get_generation(Message *message, ObservedGeneration *ret, Error *reterr)
{
        int r;

        *ret = (ObservedGeneration){.number = wire_get_u32(message)};
        ret->phase = wire_get_u8(message);
        if (ret->phase >= AUTHORITY_PHASES) {
                message->bad = true;
                ret->phase = 0;
        }
        ret->is_stolen = wire_get_flag(message);
        ret->is_imported = wire_get_flag(message);
        ret->is_incomplete = wire_get_flag(message);
        ret->key_type = wire_get_u8(message);
        if (ret->key_type > KEY_TYPE_COUNT) {
                message->bad = true;
                ret->key_type = 0;
        }
        authority_get_facts(message, &ret->facts);
        r = copy_text(wire_get_text(message, AUTHORITY_SUBJECT_MAX), &ret->subject, reterr);
        if (r >= 0)
                r = get_der(message, &ret->der, &ret->der_size, reterr);
        if (r >= 0)
                r = get_der(message, &ret->cross, &ret->cross_size, reterr);
        if (r < 0)
                return r;
        if (ret->cross_size == 0)
                free(TAKE_PTR(ret->cross));
        authority_get_facts(message, &ret->cross_facts);
        ret->prepared_usec = wire_get_i64(message);
        ret->announced_usec = wire_get_i64(message);
        ret->activated_usec = wire_get_i64(message);
        ret->last_leaf_usec = wire_get_i64(message);
        return 0;
}

static int get_anchor(Message *message, ObservedAnchor *ret, Error *reterr)
{
        int r;

        *ret = (ObservedAnchor){0};
        authority_get_facts(message, &ret->facts);
        r = copy_text(wire_get_text(message, AUTHORITY_SUBJECT_MAX), &ret->subject, reterr);
        return r < 0 ? r : get_der(message, &ret->der, &ret->der_size, reterr);
}

/* A count, before anything is allocated for what a peer says there is. */
static size_t get_count(Message *message, size_t max)
{
        uint8_t n = wire_get_u8(message);

        if (n <= max)
                return n;
        message->bad = true;
        return 0;
}

static void get_retired(Message *message, ObservedAuthority *ret)
{
        size_t size;
        const uint8_t *bytes =
                wire_get_bytes(message, OBSERVED_RETIRED_MAX * sizeof *ret->retired, &size);

        if (size % sizeof *ret->retired) {
                message->bad = true;
                return;
        }
        ret->n_retired = size / sizeof *ret->retired;
        if (size > 0)
                memcpy(ret->retired, bytes, size);
}

int authority_get(Message *message, ObservedAuthority *ret, Error *reterr)
{
        size_t n = get_count(message, OBSERVED_GENERATIONS_MAX);
        int r;

        *ret = (ObservedAuthority){.known = true};
        r = allocate(ret, n, OBSERVED_TRUST_MAX, OBSERVED_RETIRED_MAX, reterr);
        /* Counted before each is read: what is there in part is freed, too. */
        while (r >= 0 && ret->n_generations < n) {
                size_t i = ret->n_generations++;

                r = get_generation(message, &ret->generations[i], reterr);
        }
        if (r < 0)
                return r;
        n = get_count(message, OBSERVED_TRUST_MAX);
        while (r >= 0 && ret->n_trust < n) {
                size_t i = ret->n_trust++;

                r = get_anchor(message, &ret->trust[i], reterr);
        }
        if (r >= 0)
                get_retired(message, ret);
        return r;
}
