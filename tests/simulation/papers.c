#include "tests/simulation/papers.h"

#include "common/clock.h"

#include <assert.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

typedef struct Anchors {
        const Paper *items[PAPERS_ANCHORS_MAX];
        size_t n;
        X509_STORE *store;
} Anchors;

/* How leaves get to an anchor: issuer and what follows the leaf. */
typedef struct Way {
        uint8_t issuer_key_id[CERT_KEY_ID];
        const Paper *chain[PAPER_CHAIN_MAX];
        size_t n_chain;
        PolicyUse use;
} Way;

/* That a way leads to a bundle, and until when. */
typedef struct Known {
        uint32_t way, bundle;
        int64_t until_usec;
} Known;

enum {
        KNOWN_MAX = 4096, /* a power of two; a place that is taken is written over */
        PAPERS_SAMPLE = 4,
};

struct Papers {
        Paper **items;
        size_t n, allocated;
        Anchors *bundles;
        size_t n_bundles, bundles_allocated;
        Way *ways;
        size_t n_ways, ways_allocated;
        Known known[KNOWN_MAX];
        X509_STORE_CTX *context;
        uint64_t asked;
};

/* Out of memory is no case of the simulator. */
static void *grow(void *items, size_t n, size_t *allocated, size_t size)
{
        if (n < *allocated)
                return items;
        *allocated = *allocated ? 2 * *allocated : 64;
        items = reallocarray(items, *allocated, size);
        assert(items);
        return items;
}

Papers *papers_new(void)
{
        Papers *papers = calloc(1, sizeof *papers);

        assert(papers);
        papers->context = X509_STORE_CTX_new();
        assert(papers->context);
        return papers;
}

Papers *papers_free(Papers *papers)
{
        if (!papers)
                return NULL;
        for (size_t i = 0; i < papers->n; i++) {
                cert_free(papers->items[i]->cert);
                free(papers->items[i]->der);
                free(papers->items[i]->subject);
                free(papers->items[i]);
        }
        for (size_t i = 0; i < papers->n_bundles; i++)
                X509_STORE_free(papers->bundles[i].store);
        X509_STORE_CTX_free(papers->context);
        free(papers->items);
        free(papers->bundles);
        free(papers->ways);
        free(papers);
        return NULL;
}

Paper *papers_add_leaf(Papers *papers, const void *der, size_t size, const CertFacts *facts)
{
        Paper *paper = calloc(1, sizeof *paper);

        assert(paper);
        papers->items = grow(papers->items, papers->n, &papers->allocated, sizeof *papers->items);
        *paper = (Paper){.id = (uint32_t)papers->n, .facts = *facts, .size = size};
        paper->der = malloc(size);
        assert(paper->der);
        memcpy(paper->der, der, size);
        paper->is_verified = paper->id % PAPERS_SAMPLE != 0;
        papers->items[papers->n++] = paper;
        return paper;
}

Paper *papers_add(Papers *papers, const void *der, size_t size, const CertFacts *facts)
{
        Paper *paper = papers_add_leaf(papers, der, size, facts);
        char subject[512];
        int r = cert_parse(der, size, &paper->cert, NULL);

        if (r >= 0)
                r = cert_subject(paper->cert, subject, sizeof subject, NULL);
        assert(r >= 0);
        paper->subject = strdup(subject);
        return paper;
}

static bool is_way(const Way *way, const Paper *leaf)
{
        return way->use == leaf->use && way->n_chain == leaf->n_chain &&
               memcmp(way->issuer_key_id, leaf->facts.issuer_key_id, CERT_KEY_ID) == 0 &&
               memcmp(way->chain, leaf->chain, leaf->n_chain * sizeof *leaf->chain) == 0;
}

void papers_set_chain(Papers *papers, Paper *leaf, PolicyUse use, const Paper *const *chain,
                      size_t n)
{
        Way *way;

        assert(n <= PAPER_CHAIN_MAX);
        leaf->use = use;
        leaf->n_chain = n;
        memcpy(leaf->chain, chain, n * sizeof *chain);
        /* The newest first: it is nearly always that one. */
        for (size_t i = papers->n_ways; i-- > 0;)
                if (is_way(&papers->ways[i], leaf)) {
                        leaf->way = (uint32_t)i;
                        return;
                }
        papers->ways =
                grow(papers->ways, papers->n_ways, &papers->ways_allocated, sizeof *papers->ways);
        way = &papers->ways[papers->n_ways];
        *way = (Way){.n_chain = n, .use = use};
        memcpy(way->chain, chain, n * sizeof *chain);
        memcpy(way->issuer_key_id, leaf->facts.issuer_key_id, CERT_KEY_ID);
        leaf->way = (uint32_t)papers->n_ways++;
}

static int compare(const void *a, const void *b)
{
        const Paper *const *x = a, *const *y = b;

        return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

uint32_t papers_bundle(Papers *papers, const Paper *const *anchors, size_t n)
{
        Anchors wanted = {.n = n};

        assert(n <= PAPERS_ANCHORS_MAX);
        memcpy(wanted.items, anchors, n * sizeof *anchors);
        qsort(wanted.items, n, sizeof *wanted.items, compare);
        for (size_t i = papers->n_bundles; i-- > 0;)
                if (papers->bundles[i].n == n &&
                    memcmp(papers->bundles[i].items, wanted.items, n * sizeof *anchors) == 0)
                        return (uint32_t)i;
        papers->bundles = grow(papers->bundles, papers->n_bundles, &papers->bundles_allocated,
                               sizeof *papers->bundles);
        wanted.store = X509_STORE_new();
        assert(wanted.store);
        for (size_t i = 0; i < n; i++)
                X509_STORE_add_cert(wanted.store, wanted.items[i]->cert);
        papers->bundles[papers->n_bundles] = wanted;
        return (uint32_t)papers->n_bundles++;
}

const Paper *const *papers_anchors(const Papers *papers, uint32_t bundle, size_t *ret_n)
{
        *ret_n = papers->bundles[bundle].n;
        return papers->bundles[bundle].items;
}

/* The end of what was found, the leaf not among it: it has its own. */
static int64_t chain_end(X509_STORE_CTX *context)
{
        STACK_OF(X509) *found = X509_STORE_CTX_get0_chain(context);
        int64_t end = USEC_INFINITY;

        for (int i = 1; i < sk_X509_num(found); i++) {
                CertFacts facts;

                if (cert_facts(sk_X509_value(found, i), &facts, NULL) < 0)
                        return 0;
                if (facts.not_after_usec < end)
                        end = facts.not_after_usec;
        }
        return end;
}

static int64_t ask(Papers *papers, uint32_t bundle, Paper *leaf, int64_t at_usec,
                   char ret_why[PAPERS_WHY_MAX])
{
        STACK_OF(X509) *chain = sk_X509_new_null();
        X509_STORE_CTX *context = papers->context;
        int64_t end = 0;

        assert(chain);
        if (!leaf->cert && cert_parse(leaf->der, leaf->size, &leaf->cert, NULL) < 0)
                return sk_X509_free(chain), 0;
        for (size_t i = 0; i < leaf->n_chain; i++)
                sk_X509_push(chain, leaf->chain[i]->cert);
        papers->asked++;
        assert(X509_STORE_CTX_init(context, papers->bundles[bundle].store, leaf->cert, chain));
        /* Who looks at a server is a client, and asks for a server's certificate. */
        X509_STORE_CTX_set_default(context,
                                   leaf->use == POLICY_SERVER ? "ssl_server" : "ssl_client");
        X509_STORE_CTX_set_time(context, 0, at_usec / USEC_PER_SEC);
        if (X509_verify_cert(context) == 1)
                end = chain_end(context);
        else
                snprintf(ret_why, PAPERS_WHY_MAX, "%s at depth %d",
                         X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)),
                         X509_STORE_CTX_get_error_depth(context));
        X509_STORE_CTX_cleanup(context);
        sk_X509_free(chain);
        return end;
}

int64_t papers_verify(Papers *papers, uint32_t bundle, Paper *leaf, int64_t at_usec,
                      char ret_why[PAPERS_WHY_MAX])
{
        Known *known =
                &papers->known[(leaf->way * UINT32_C(2654435761) + bundle * 31u) % KNOWN_MAX];
        int64_t end;

        snprintf(ret_why, PAPERS_WHY_MAX, "the leaf's dates");
        if (at_usec < leaf->facts.not_before_usec || at_usec >= leaf->facts.not_after_usec)
                return 0;
        if (!leaf->is_verified || known->way != leaf->way || known->bundle != bundle ||
            at_usec >= known->until_usec) {
                end = ask(papers, bundle, leaf, at_usec, ret_why);
                if (end == 0)
                        return 0;
                leaf->is_verified = true;
                *known = (Known){.way = leaf->way, .bundle = bundle, .until_usec = end};
        }
        end = known->until_usec;
        return end < leaf->facts.not_after_usec ? end : leaf->facts.not_after_usec;
}

uint64_t papers_asked(const Papers *papers)
{
        return papers->asked;
}
