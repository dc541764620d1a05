/*
 * A policy for the simulator: numbers that can be changed in the middle of a life, and the real
 * Policy that the parser makes of them. A made one keeps rule 9 (D + rmax + s + 2c <= R <= L/2, and
 * the leaves' own) by construction: the parser has to accept it.
 */
#pragma once

#include "common/clock.h"
#include "common/policy.h"
#include "tests/simulation/dice.h"

enum {
        SPEC_AUTHORITIES_MAX = 3,
        SPEC_CERTIFICATES_MAX = 20,
        SPEC_CLUSTERS_MAX = 6,
        SPEC_AS_MAX = 3,
};

/* Spans are microseconds, whole seconds. */
typedef struct SpecAuthority {
        int64_t lifetime, distribute;
        int64_t renew_before; /* 0: left to the default */
        unsigned subject;     /* another number is another name */
} SpecAuthority;

typedef struct SpecCertificate {
        unsigned name; /* never used again for another one */
        bool is_client;
        size_t authority;
        int64_t lifetime, renew_before;
        int64_t rekey;  /* 0: always */
        unsigned names; /* another number is another name */
} SpecCertificate;

typedef struct SpecCluster {
        size_t certificate;
        size_t as[SPEC_AS_MAX];
        size_t n_as;
} SpecCluster;

typedef struct Spec {
        int64_t check_every, backdate;
        SpecAuthority authorities[SPEC_AUTHORITIES_MAX];
        size_t n_authorities;
        SpecCertificate certificates[SPEC_CERTIFICATES_MAX];
        size_t n_certificates;
        SpecCluster clusters[SPEC_CLUSTERS_MAX];
        size_t n_clusters;
        unsigned n_names; /* given so far */
} Spec;

/* A random one. scale is about the life of a leaf. */
void spec_make(Spec *spec, Dice *dice, int64_t scale);

/* Changes one thing to another valid one, as a user does; returns what, in a word. */
const char *spec_change(Spec *spec, Dice *dice);

/* Breaks rule 9 in one place. */
void spec_break(Spec *spec, Dice *dice);

/* Parses it. False with the errors on stderr where it is refused and `is_valid`. */
bool spec_parse(const Spec *spec, bool is_valid, Policy **ret);
