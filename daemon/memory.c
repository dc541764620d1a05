#include "daemon/memory.h"

#include "common/clock.h"

#include <string.h>

#define BACKOFF_START (5 * USEC_PER_SEC)
#define BACKOFF_MIN (10 * USEC_PER_MSEC)
#define BACKOFF_MAX (3600 * USEC_PER_SEC)

Memory *memory_free(Memory *memory)
{
        if (!memory)
                return NULL;
        for (size_t i = 0; memory->certificates && i < memory->n_certificates; i++) {
                free(memory->certificates[i].attempt.error);
                free(memory->certificates[i].wanted);
        }
        for (size_t i = 0; memory->clusters && i < memory->n_clusters; i++) {
                free(memory->clusters[i].attempt.error);
                free(memory->clusters[i].unusable);
        }
        for (size_t i = 0; memory->authorities && i < memory->n_authorities; i++)
                free(memory->authorities[i].attempt.error);
        leftovers_done(&memory->leftovers);
        free(memory->certificates);
        free(memory->clusters);
        free(memory->authorities);
        free(memory);
        return NULL;
}

int memory_new(const Policy *policy, Memory **ret, Error *reterr)
{
        _cleanup_(memory_freep) Memory *memory = calloc(1, sizeof *memory);

        if (!memory)
                return error_oom(reterr);
        memory->n_certificates = policy->n_certificates;
        memory->n_clusters = policy->n_clusters;
        memory->n_authorities = policy->n_authorities;
        memory->certificates = calloc(policy->n_certificates + 1, sizeof *memory->certificates);
        memory->clusters = calloc(policy->n_clusters + 1, sizeof *memory->clusters);
        memory->authorities = calloc(policy->n_authorities + 1, sizeof *memory->authorities);
        if (!memory->certificates || !memory->clusters || !memory->authorities)
                return error_oom(reterr);
        *ret = TAKE_PTR(memory);
        return 0;
}

/* Copies a sentence; false where memory ran out. */
static bool copy_text(const char *from, char **ret)
{
        *ret = from ? strdup(from) : NULL;
        return *ret || !from;
}

static bool is_same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Failures are of the policy that they happened with: another one is tried at once. */
static bool adopt_attempt(const Attempt *from, bool is_same, Attempt *ret)
{
        *ret = (Attempt){0};
        if (!is_same)
                return true;
        *ret = *from;
        return copy_text(from->error, &ret->error);
}

static bool adopt_certificate(const MemoryCertificate *from, bool is_same, MemoryCertificate *ret)
{
        *ret = *from;
        ret->wanted = NULL;
        ret->attempt = (Attempt){0};
        if (from->wanted && !memory_issued(ret, from->wanted))
                return false;
        if (!is_same)
                ret->repair = (Repair){0}; /* what differs now may be what the policy asks anew */
        return adopt_attempt(&from->attempt, is_same, &ret->attempt);
}

static bool adopt_cluster(const MemoryCluster *from, bool is_same, MemoryCluster *ret)
{
        *ret = *from;
        ret->unusable = NULL;
        if (!adopt_attempt(&from->attempt, is_same, &ret->attempt))
                return false;
        if (is_same)
                return copy_text(from->unusable, &ret->unusable);
        ret->is_refused = false;
        ret->checked_boot_usec = 0;
        ret->repair = (Repair){0};
        return true;
}

static bool adopt_authority(const MemoryAuthority *from, bool is_same, MemoryAuthority *ret)
{
        ret->noticed_activation = from->noticed_activation;
        ret->noticed_retirement = from->noticed_retirement;
        return adopt_attempt(&from->attempt, is_same, &ret->attempt);
}

int memory_adopt(const Memory *from, const Policy *from_policy, const Policy *policy, Memory **ret,
                 Error *reterr)
{
        _cleanup_(memory_freep) Memory *memory = NULL;
        bool is_same = from_policy == policy, ok = true;
        int r;

        r = memory_new(policy, &memory, reterr);
        if (r < 0)
                return r;
        memory->clock = from->clock;
        r = leftovers_copy(&from->leftovers, &memory->leftovers, reterr);
        if (r < 0)
                return r;
        memory->leftovers.is_known &= is_same;
        for (size_t i = 0; ok && i < policy->n_certificates; i++) {
                const PolicyCertificate *old =
                        policy_find_certificate(from_policy, policy->certificates[i].name);

                if (old)
                        ok = adopt_certificate(&from->certificates[old - from_policy->certificates],
                                               is_same, &memory->certificates[i]);
                /* Consent is to what lies in one place. */
                if (old && !is_same_text(old->directory, policy->certificates[i].directory))
                        memory->certificates[i].has_consent = false;
        }
        for (size_t i = 0; ok && i < policy->n_clusters; i++) {
                const PolicyCluster *old =
                        policy_find_cluster(from_policy, policy->clusters[i].name);

                if (old)
                        ok = adopt_cluster(&from->clusters[old - from_policy->clusters], is_same,
                                           &memory->clusters[i]);
                if (old && !is_same_text(old->configuration, policy->clusters[i].configuration))
                        memory->clusters[i].has_consent = false;
                /* Of another PostgreSQL under the same name nothing was proved. */
                if (old && !is_same_text(old->data_directory, policy->clusters[i].data_directory))
                        memory->clusters[i].has_proven = false;
        }
        for (size_t i = 0; ok && i < policy->n_authorities; i++) {
                const PolicyAuthority *old =
                        policy_find_authority(from_policy, policy->authorities[i].name);

                if (old)
                        ok = adopt_authority(&from->authorities[old - from_policy->authorities],
                                             is_same, &memory->authorities[i]);
        }
        if (!ok)
                return error_oom(reterr);
        *ret = TAKE_PTR(memory);
        return 0;
}

const CertFacts *memory_wanted(const MemoryCertificate *certificate, const CertFacts *disk)
{
        return certificate->is_wanted_on_disk ? disk : certificate->wanted;
}

bool memory_issued(MemoryCertificate *certificate, const CertFacts *leaf)
{
        CertFacts *copy = malloc(sizeof *copy);

        if (!copy)
                return false;
        *copy = *leaf;
        free(certificate->wanted);
        certificate->wanted = copy;
        certificate->is_wanted_on_disk = false;
        return true;
}

void memory_settle_wanted(MemoryCertificate *certificate, const CertFacts *disk)
{
        if (!certificate->wanted ||
            memcmp(certificate->wanted->sha256, disk->sha256, CERT_FINGERPRINT) != 0)
                return;
        free(TAKE_PTR(certificate->wanted));
        certificate->is_wanted_on_disk = true;
}

bool memory_recall_wanted(MemoryCertificate *certificate, const CertFacts *disk)
{
        return !certificate->is_wanted_on_disk || memory_issued(certificate, disk);
}

/* The span after this many failures in a row: doubled each time, and bounded. */
static int64_t backoff(const Policy *policy, unsigned failures, int64_t left_usec)
{
        int64_t span =
                policy->check_every_usec < BACKOFF_START ? policy->check_every_usec : BACKOFF_START;
        int64_t max = left_usec / 10 < BACKOFF_MAX ? left_usec / 10 : BACKOFF_MAX;

        if (left_usec <= 0)
                return span;
        /* The last instants before the end are no reason for a busy loop. */
        if (max < BACKOFF_MIN)
                max = BACKOFF_MIN;
        for (unsigned i = 1; i < failures && span < max; i++)
                span *= 2;
        return span < max ? span : max;
}

void attempt_failed(Attempt *attempt, const Policy *policy, int64_t boot_usec, int64_t left_usec,
                    const char *sentence)
{
        char *copy = strdup(sentence);

        if (attempt->failures < UINT32_MAX)
                attempt->failures++;
        attempt->retry_boot_usec =
                usec_add(boot_usec, backoff(policy, attempt->failures, left_usec));
        /* Out of memory: the old sentence, if any, is better than none. */
        if (copy) {
                free(attempt->error);
                attempt->error = copy;
        }
}

void attempt_succeeded(Attempt *attempt)
{
        free(attempt->error);
        *attempt = (Attempt){0};
}

bool attempt_is_waiting(const Attempt *attempt, int64_t boot_usec)
{
        return attempt->failures > 0 && boot_usec < attempt->retry_boot_usec;
}
