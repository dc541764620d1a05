#include "daemon/worker/generation.h"

#include "common/profile.h"
#include "daemon/worker/adoption.h"
#include "daemon/worker/anchors.h"
#include "daemon/worker/pair.h"
#include "daemon/worker/preflight.h"
#include "daemon/worker/removal.h"
#include "daemon/worker/staging.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How the leaf differs from what the policy wants, as defects. */
static int compare_leaf(const PolicyCertificate *certificate, const Cert *leaf, uint32_t *defects,
                        Error *reterr)
{
        static const struct {
                uint32_t profile;
                uint32_t set;
        } table[] = {{PROFILE_NAMES, SET_NAMES},
                     {PROFILE_KEY_TYPE, SET_KEY_TYPE},
                     {PROFILE_USAGE, SET_USAGE}};
        uint32_t found;
        int r = profile_check(leaf, certificate, &found, reterr);

        for (size_t i = 0; i < ELEMENTSOF(table) && r == 0; i++)
                if (found & table[i].profile)
                        *defects |= table[i].set;
        return r;
}

static int parse_pair(const Look *look, ObservedSet *ret, Error *reterr)
{
        const PolicyCertificate *certificate = look->store.certificate;
        const FileBytes *file = look->files;
        _cleanup_(cert_list_done) CertList chain = {0};
        bool is_pair;
        int r;

        r = cert_list_parse(file[POLICY_CERTIFICATE].data, file[POLICY_CERTIFICATE].size, &chain,
                            reterr);
        if (r == 0)
                r = cert_facts(chain.items[0], &ret->leaf, reterr);
        if (r < 0)
                return error_prefix(reterr, "%s", certificate->files[POLICY_CERTIFICATE]);
        ret->has_leaf = true;
        r = pair_check(file[POLICY_KEY].data, file[POLICY_KEY].size, chain.items[0], &is_pair,
                       reterr);
        if (r < 0)
                return error_prefix(reterr, "%s", certificate->files[POLICY_KEY]);
        if (!is_pair)
                return error_set(reterr, EINVAL, "the certificate in %s is not of the key in %s",
                                 certificate->files[POLICY_CERTIFICATE],
                                 certificate->files[POLICY_KEY]);
        return compare_leaf(certificate, chain.items[0], &ret->defects, reterr);
}

static int check_read(const Look *look, Error *reterr)
{
        for (size_t i = 0; i < POLICY_FILES; i++)
                if (look->codes[i] < 0)
                        return error_set(reterr, -look->codes[i], "cannot read %s: %s",
                                         look->store.certificate->files[i],
                                         strerror(-look->codes[i]));
        return 0;
}

static void find_defects(const Look *look, ObservedSet *ret)
{
        const Store *store = &look->store;

        if (store->manifest.is_adopted)
                ret->defects |= SET_ADOPTED;
        for (PolicyFile i = 0; i < POLICY_FILES; i++) {
                FileMode mode = store_file_mode(store->certificate, i);

                if (look->codes[i] == 0 && !store_file_fits(&look->files[i].stat, &mode))
                        ret->defects |= SET_MODE;
                if (!(store->names & (1u << i)))
                        ret->defects |= SET_LINKS;
        }
        if (look->service == CONFIGURATION_ABSENT || look->service == CONFIGURATION_STALE)
                ret->defects |= SET_SERVICE;
}

/* Until when a refused generation can be tried again: its leaf's end, where the leaf is as the
 * policy wants it, the bundle is the published one's, and nothing but PostgreSQL stands in the way;
 * 0 otherwise: a file that somebody changed is why it was refused, and would be again. */
static int64_t refused_until(const Look *look)
{
        const PolicyCertificate *certificate = look->store.certificate;
        _cleanup_(file_bytes_done) FileBytes leaf = {0}, bundle = {0};
        _cleanup_(cert_list_done) CertList chain = {0};
        _cleanup_(closep) int fd = -1;
        uint32_t defects = 0;
        CertFacts facts;

        if (look->refused <= look->store.current ||
            store_open_generation(&look->store, look->refused, &fd, NULL, NULL) < 0 ||
            fdio_read(fd, certificate->files[POLICY_CERTIFICATE], CERT_FILE_MAX, &leaf, NULL) < 0 ||
            fdio_read(fd, certificate->files[POLICY_TRUST], CERT_FILE_MAX, &bundle, NULL) < 0 ||
            cert_list_parse(leaf.data, leaf.size, &chain, NULL) < 0 ||
            compare_leaf(certificate, chain.items[0], &defects, NULL) < 0 || defects ||
            cert_facts(chain.items[0], &facts, NULL) < 0)
                return 0;
        if (bundle.size != look->files[POLICY_TRUST].size ||
            memcmp(bundle.data, look->files[POLICY_TRUST].data, bundle.size) != 0)
                return 0;
        /* Of its time the leaf is good: whether that is now is the plan's to judge. */
        if (preflight_check(certificate, fd, facts.not_before_usec, &facts, NULL) < 0)
                return 0;
        return facts.not_after_usec;
}

/* Reads what current names. The leaf is told also where something else is wrong. */
static int judge_published(const Look *look, ObservedSet *ret, uint8_t (**ret_anchors)[CERT_KEY_ID],
                           size_t *ret_n_anchors, Error *error)
{
        int r = check_read(look, error), s = 0;
        Error pair;

        find_defects(look, ret);
        if (look->codes[POLICY_CERTIFICATE] == 0)
                s = parse_pair(look, ret, &pair);
        if (r == 0 && s < 0) {
                *error = pair;
                r = s;
        }
        if (r == 0 &&
            anchors_parse(&look->files[POLICY_TRUST], ret_anchors, ret_n_anchors, error) < 0)
                r = error_prefix(error, "%s", look->store.certificate->files[POLICY_TRUST]);
        return r;
}

/* Everything that takes parsing. What is wrong becomes the set's problem. */
static int judge(const Look *look, ObservedSet *ret, uint8_t (**ret_anchors)[CERT_KEY_ID],
                 size_t *ret_n_anchors, Error *reterr)
{
        const Store *store = &look->store;
        const char *problem = look->service_problem;
        Error error = store->problem;
        char name[STORE_NAME_MAX];

        if (look->service == CONFIGURATION_FOREIGN)
                ret->defects |= SET_SERVICE_FOREIGN | SET_SERVICE_OTHER;
        if (look->service == CONFIGURATION_FOREIGN_SAME)
                ret->defects |= SET_SERVICE_FOREIGN;
        if (store->state == SET_FOREIGN && adoption_judge(store, look->files, look->codes, ret,
                                                          ret_anchors, ret_n_anchors, reterr) < 0)
                return -ENOMEM;
        if (store->state == SET_OURS &&
            judge_published(look, ret, ret_anchors, ret_n_anchors, &error) < 0) {
                ret->state = SET_DAMAGED;
                error_prefix(&error, "%s/%s", store->certificate->directory,
                             store_generation_name(store->current, name));
        }
        if (ret->state == SET_DAMAGED || ret->state == SET_FOREIGN)
                problem = error.text;
        if (problem && !(ret->problem = strdup(problem)))
                return error_oom(reterr);
        return 0;
}

int generation_judge(const Look *look, ObservedSet *ret, uint8_t (**ret_anchors)[CERT_KEY_ID],
                     size_t *ret_n_anchors, Error *reterr)
{
        *ret = (ObservedSet){0};
        *ret_anchors = NULL;
        *ret_n_anchors = 0;
        memcpy(ret->digest, look->digest, sizeof ret->digest);
        /* No directory is a set that is absent; one that cannot be looked at is unknown, and why.
         */
        if (look->error.code) {
                ret->state = look->error.code == ENOENT ? SET_ABSENT : SET_UNKNOWN;
                if (ret->state == SET_UNKNOWN && !(ret->problem = strdup(look->error.text)))
                        return error_oom(reterr);
                return 0;
        }
        ret->state = look->store.state;
        ret->generation = look->store.current;
        ret->refused = look->refused;
        ret->refused_until_usec = refused_until(look);
        ret->key_made_usec = look->store.manifest.key_made_usec;
        return judge(look, ret, ret_anchors, ret_n_anchors, reterr);
}

int generation_stage(const PolicyCertificate *certificate, bool rekey, int64_t now_usec,
                     uint32_t *ret_generation, uint8_t **ret_csr, size_t *ret_csr_size,
                     Error *reterr)
{
        _cleanup_(store_done) Store store = STORE_EMPTY;
        int r = store_open(certificate, STORE_MAKE, &store, reterr);

        if (r == 0)
                r = store_check_ours(&store, reterr);
        if (r == 0)
                r = staging_discard(&store, reterr);
        return r < 0 ? r
                     : staging_begin(&store, rekey, now_usec, ret_generation, ret_csr, ret_csr_size,
                                     reterr);
}

int generation_fill(const PolicyCertificate *certificate, uint32_t generation,
                    const CertList *chain, const CertList *bundle, Error *reterr)
{
        _cleanup_(store_done) Store store = STORE_EMPTY;
        int r = store_open(certificate, STORE_WRITE, &store, reterr);

        if (r == 0)
                r = store_check_ours(&store, reterr);
        return r < 0 ? r : staging_fill(&store, generation, chain, bundle, reterr);
}

int generation_publish(PublishItem *items, size_t n, Error *reterr)
{
        return publication_run(items, n, reterr);
}

int generation_back(const PolicyCertificate *certificate, const uint8_t served[CERT_FINGERPRINT],
                    const char *reason, int64_t now_usec, uint32_t *ret_generation, Error *reterr)
{
        _cleanup_(store_done) Store store = STORE_EMPTY;
        int r = store_open(certificate, STORE_WRITE, &store, reterr);

        if (r == 0)
                r = store_check_ours(&store, reterr);
        return r < 0 ? r
                     : publication_back(&store, served, reason, now_usec, ret_generation, reterr);
}

int generation_prune(const PolicyCertificate *certificate, Error *reterr)
{
        _cleanup_(store_done) Store store = STORE_EMPTY;
        uint32_t previous = 0;
        bool has_previous;
        int r = store_open(certificate, STORE_WRITE, &store, reterr), removed = 0;

        if (r == 0)
                r = store_check_ours(&store, reterr);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        has_previous = store_previous(&store, &previous);
        for (size_t i = 0; i < store.n_numbers && r >= 0; i++) {
                uint32_t number = store.numbers[i];

                if (!store.has_current || number >= store.current)
                        break;
                if (has_previous && number == previous)
                        continue;
                r = removal_generation(&store, number, reterr);
                removed |= r > 0;
        }
        return r < 0 ? r : removed;
}
