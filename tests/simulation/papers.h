/*
 * The certificates of a simulated life, real ones, and the trust bundles that hold them; and
 * whether one verifies against the other, as OpenSSL has it at a given time. Everything that was
 * made stays until the end.
 *
 * A verification is remembered with the end of the chain that was found, for until then the answer
 * is the same: dates are all that changes. That an issuer and a chain lead to an anchor of a bundle
 * is asked with the first leaf of theirs, and with every fourth of the others.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

enum { PAPER_CHAIN_MAX = 15, PAPERS_ANCHORS_MAX = 32, PAPERS_WHY_MAX = 160 };

typedef struct Paper {
        uint32_t id;
        Cert *cert; /* of a leaf NULL until it is looked at */
        uint8_t *der;
        size_t size;
        CertFacts facts;
        char *subject;
        /* Of a leaf: what follows it, what it is for, and whether its signature was verified. */
        const struct Paper *chain[PAPER_CHAIN_MAX];
        size_t n_chain;
        PolicyUse use;
        bool is_verified;
        uint32_t way; /* the same for leaves of one issuer, chain and use */
} Paper;

typedef struct Papers Papers;

Papers *papers_new(void);
Papers *papers_free(Papers *papers);
DEFINE_CLEANUP(Papers *, papers_free);

/* A CA's certificate; the bytes are copied. */
Paper *papers_add(Papers *papers, const void *der, size_t size, const CertFacts *facts);

/* A leaf: what follows it is to be said before it is verified. */
Paper *papers_add_leaf(Papers *papers, const void *der, size_t size, const CertFacts *facts);

void papers_set_chain(Papers *papers, Paper *leaf, PolicyUse use, const Paper *const *chain,
                      size_t n);

/* A bundle with these anchors, in any order: the same ones give the same number. */
uint32_t papers_bundle(Papers *papers, const Paper *const *anchors, size_t n);
const Paper *const *papers_anchors(const Papers *papers, uint32_t bundle, size_t *ret_n);

/* Until when (exclusive) the leaf verifies against the bundle, from `at` on: for a client that
 * looks at a server, or the other way round. 0 where it does not, with the reason. */
int64_t papers_verify(Papers *papers, uint32_t bundle, Paper *leaf, int64_t at_usec,
                      char ret_why[PAPERS_WHY_MAX]);

/* How often OpenSSL was asked. */
uint64_t papers_asked(const Papers *papers);
