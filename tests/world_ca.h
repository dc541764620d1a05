/*
 * The CAs of the small world: their generations, and the steps of a rollover, as the signer would
 * carry them out.
 */
#pragma once

#include "tests/world_base.h"

/* One more generation, the newest: its key identifier is its authority's index and its number. */
static inline ObservedGeneration *world_add_generation(World *world, size_t index,
                                                       AuthorityPhase phase)
{
        ObservedAuthority *authority = &world->observation->authorities[index];
        ObservedGeneration *generation;
        uint32_t number = authority->n_generations
                                  ? authority->generations[authority->n_generations - 1].number + 1
                                  : 1;
        char subject[32];

        if (number <= world->generations)
                number = world->generations + 1;
        if (phase != AUTHORITY_CURRENT || authority->n_generations > 0)
                world->generations = number;
        authority->generations = reallocarray(authority->generations, authority->n_generations + 1,
                                              sizeof *authority->generations);
        generation = &authority->generations[authority->n_generations++];
        snprintf(subject, sizeof subject, "CN=root G%u", number);
        *generation = (ObservedGeneration){.number = number,
                                           .phase = phase,
                                           .subject = strdup(subject),
                                           .prepared_usec = world->now,
                                           .last_leaf_usec = INT64_MIN};
        generation->facts.not_before_usec = world->now - world->policy.backdate_usec;
        generation->facts.not_after_usec =
                world->now + world->policy.authorities[index].lifetime_usec;
        generation->facts.key_id[0] = 0xCA;
        generation->facts.key_id[1] = (uint8_t)index;
        generation->facts.key_id[8] = (uint8_t)(number - 1);
        memcpy(generation->facts.sha256, generation->facts.key_id, CERT_KEY_ID);
        return generation;
}

static inline ObservedGeneration *world_generation(World *world, size_t index, uint32_t number)
{
        ObservedAuthority *authority = &world->observation->authorities[index];

        for (size_t g = 0; g < authority->n_generations; g++)
                if (authority->generations[g].number == number)
                        return &authority->generations[g];
        return NULL;
}

static inline ObservedGeneration *world_phase(World *world, size_t index, AuthorityPhase phase)
{
        const ObservedGeneration *found =
                authority_find(&world->observation->authorities[index], phase);

        return found ? world_generation(world, index, found->number) : NULL;
}

static inline void world_make_authority(World *world, size_t index)
{
        world_add_generation(world, index, AUTHORITY_CURRENT);
}

/* The cross-certificate: the same key, signed by the one that is current, ending with it. */
static inline void world_cross(World *world, size_t index, ObservedGeneration *generation)
{
        const ObservedGeneration *current = world_phase(world, index, AUTHORITY_CURRENT);

        if (!current)
                return;
        generation->cross = calloc(1, 1);
        generation->cross_size = 1;
        generation->cross_facts = generation->facts;
        generation->cross_facts.not_after_usec = current->facts.not_after_usec;
        memcpy(generation->cross_facts.issuer_key_id, current->facts.key_id, CERT_KEY_ID);
        memcpy(generation->cross_facts.sha256 + CERT_KEY_ID, current->facts.key_id, 8);
        generation->cross_facts.sha256[0]++;
}

static inline void world_prepare(World *world, size_t index)
{
        ObservedGeneration *next;

        ck_assert_ptr_null(world_phase(world, index, AUTHORITY_NEXT));
        next = world_add_generation(world, index, AUTHORITY_NEXT);
        world_cross(world, index, next);
}

static inline void world_activate(World *world, size_t index, uint32_t number)
{
        ObservedGeneration *next = world_generation(world, index, number);
        ObservedGeneration *current = world_phase(world, index, AUTHORITY_CURRENT);

        ck_assert_ptr_nonnull(next);
        ck_assert_int_eq(next->phase, AUTHORITY_NEXT);
        next->phase = AUTHORITY_CURRENT;
        next->activated_usec = world->now;
        if (!current)
                return;
        current->phase = AUTHORITY_RETIRING;
        current->last_leaf_usec = world->last_leaf[index % WORLD_AUTHORITIES];
        world->last_leaf[index % WORLD_AUTHORITIES] = INT64_MIN;
}

static inline void world_retire(World *world, size_t index, uint32_t number)
{
        ObservedAuthority *authority = &world->observation->authorities[index];
        ObservedGeneration *generation = world_generation(world, index, number);
        size_t g = (size_t)(generation - authority->generations);

        ck_assert_int_eq(generation->phase, AUTHORITY_RETIRING);
        authority->retired = reallocarray(authority->retired, authority->n_retired + 1,
                                          sizeof *authority->retired);
        memcpy(authority->retired[authority->n_retired++], generation->facts.key_id, CERT_KEY_ID);
        free(generation->subject);
        free(generation->cross);
        memmove(generation, generation + 1,
                (authority->n_generations - g - 1) * sizeof *generation);
        authority->n_generations--;
}

/* A prepared one goes, since its key lay beside the stolen one. */
static inline void world_emergency(World *world, size_t index, uint32_t number)
{
        ObservedGeneration *next = world_phase(world, index, AUTHORITY_NEXT);

        if (next) {
                next->phase = AUTHORITY_RETIRING;
                world_retire(world, index, next->number);
        }
        world_generation(world, index, number)->is_stolen = true;
        next = world_add_generation(world, index, AUTHORITY_NEXT);
        world_cross(world, index, next);
        world_activate(world, index, next->number);
        world->memory->authorities[index].is_emergency_confirmed = false;
}

/* A foreign anchor, from `trust:`. */
static inline void world_add_trust(World *world, size_t index, const uint8_t key_id[CERT_KEY_ID])
{
        ObservedAuthority *authority = &world->observation->authorities[index];
        ObservedAnchor *anchor;

        authority->trust =
                reallocarray(authority->trust, authority->n_trust + 1, sizeof *authority->trust);
        anchor = &authority->trust[authority->n_trust++];
        *anchor = (ObservedAnchor){
                .subject = strdup("CN=old"),
                .facts = {.not_before_usec = START - YEAR, .not_after_usec = START + 100 * YEAR}};
        memcpy(anchor->facts.key_id, key_id, CERT_KEY_ID);
        memcpy(anchor->facts.sha256, key_id, CERT_KEY_ID);
        world->policy.authorities[index].n_trust = 1;
}
