#include "daemon/worker/watch.h"

#include "common/clock.h"
#include "daemon/worker/cluster.h"
#include "daemon/worker/generation.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

/* Sets in one batch, and in one thread's part of it. */
enum { BATCH_MAX = 256, SLICE_MIN = 32, SLICES_MAX = 4 };

#define OBSERVE_DEADLINE_USEC (20 * USEC_PER_SEC)
#define STREAM_DEADLINE_USEC (30 * USEC_PER_SEC)
/* pgcertd sends its messages in one go: one that says that more come and stays away would keep this
 * worker from everybody else. */
#define KNOWN_DEADLINE_USEC (5 * USEC_PER_SEC)

/* The digests that pgcertd knows, by the index of their certificate. */
typedef struct Known {
        uint8_t (*digests)[CERT_FINGERPRINT];
        bool *has;
} Known;

static void known_done(Known *known)
{
        free(known->digests);
        free(known->has);
}

static int receive_known(const Policy *policy, int fd, Message *request, Known *known,
                         Error *reterr)
{
        /* Each message but the last carries at least one digest. */
        size_t limit = policy->n_certificates + 1;
        int64_t deadline = clock_boottime() + KNOWN_DEADLINE_USEC;
        WireVerb verb;
        uint64_t tag;

        known->digests = calloc(policy->n_certificates + 1, sizeof *known->digests);
        known->has = calloc(policy->n_certificates + 1, sizeof *known->has);
        if (!known->digests || !known->has)
                return error_oom(reterr);
        for (size_t i = 0; i < limit; i++) {
                bool last = wire_get_flag(request);
                int r;

                while (wire_more(request)) {
                        const PolicyCertificate *certificate = policy_find_certificate(
                                policy, wire_get_text(request, POLICY_NAME_MAX));
                        uint8_t digest[CERT_FINGERPRINT];
                        size_t index;

                        wire_get_raw(request, digest, sizeof digest);
                        if (!certificate)
                                continue;
                        index = (size_t)(certificate - policy->certificates);
                        memcpy(known->digests[index], digest, sizeof digest);
                        known->has[index] = true;
                }
                r = wire_end(request, reterr);
                if (r < 0 || last)
                        return r;
                r = wire_receive(fd, request, deadline, reterr);
                if (r >= 0)
                        r = wire_get_request(request, &verb, &tag, reterr);
                if (r < 0)
                        return r;
                if (verb != WIRE_OBSERVE || tag != policy->tag)
                        return error_set(reterr, EBADMSG, "an observation was broken off");
        }
        return error_set(reterr, EBADMSG, "too many messages with known digests");
}

/* Room for one more item, in this message of the stream or in the next. */
static int make_room(int fd, Message *reply, Error *reterr)
{
        return wire_make_room(fd, reply, WIRE_OBSERVE, OBSERVED_ITEM_MAX,
                              clock_boottime() + STREAM_DEADLINE_USEC, reterr);
}

/* Sets that are looked at together. Looking is mostly waiting for the kernel, so that it is shared
 * among threads; judging, which is rare, stays with one. */
typedef struct Batch {
        const Policy *policy;
        const Known *known;
        size_t indexes[BATCH_MAX]; /* into the policy's certificates */
        Look looks[BATCH_MAX];
        bool is_same[BATCH_MAX]; /* the digest is known: the look is over */
        size_t n;
        size_t n_slices;
} Batch;

typedef struct Slice {
        Batch *batch;
        size_t first;
        pthread_t thread;
        bool is_running;
} Slice;

static void *look_at_slice(void *userdata)
{
        const Slice *slice = userdata;
        Batch *batch = slice->batch;

        for (size_t i = slice->first; i < batch->n; i += batch->n_slices) {
                size_t index = batch->indexes[i];
                Look *look = &batch->looks[i];

                look_take(&batch->policy->certificates[index], batch->policy->tag, look);
                batch->is_same[i] =
                        batch->known->has[index] &&
                        memcmp(batch->known->digests[index], look->digest, CERT_FINGERPRINT) == 0;
                if (batch->is_same[i])
                        look_done(look);
        }
        return NULL;
}

/* As many threads as this process has processors, but none for a few sets: it would cost more than
 * it gains. */
static size_t count_slices(size_t n)
{
        size_t slices = n / SLICE_MIN;
        cpu_set_t set;

        if (slices <= 1 || sched_getaffinity(0, sizeof set, &set) < 0)
                return 1;
        if (slices > (size_t)CPU_COUNT(&set))
                slices = (size_t)CPU_COUNT(&set);
        return slices < SLICES_MAX ? slices : SLICES_MAX;
}

static void look_at_batch(Batch *batch)
{
        Slice slices[SLICES_MAX];

        batch->n_slices = count_slices(batch->n);
        for (size_t i = 1; i < batch->n_slices; i++) {
                slices[i] = (Slice){.batch = batch, .first = i};
                slices[i].is_running =
                        pthread_create(&slices[i].thread, NULL, look_at_slice, &slices[i]) == 0;
        }
        slices[0] = (Slice){.batch = batch};
        look_at_slice(&slices[0]);
        for (size_t i = 1; i < batch->n_slices; i++)
                if (slices[i].is_running)
                        pthread_join(slices[i].thread, NULL);
                else /* a thread that is not to be had is no failure */
                        look_at_slice(&slices[i]);
}

static int put_set(const PolicyCertificate *certificate, const Look *look, bool is_same,
                   Message *reply, Error *reterr)
{
        _cleanup_(observed_set_done) ObservedSet set = {0};
        _cleanup_(freep) uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        size_t n_anchors = 0;
        int r = is_same ? 0 : generation_judge(look, &set, &anchors, &n_anchors, reterr);

        if (r < 0)
                return r;
        wire_put_u8(reply, is_same ? OBSERVED_UNCHANGED : OBSERVED_SET);
        wire_put_text(reply, certificate->name);
        if (!is_same)
                observation_put_set(reply, &set, (const uint8_t(*)[CERT_KEY_ID])anchors, n_anchors);
        return 0;
}

/* Looks at the batch, tells of it, and empties it. */
static int observe_batch(Batch *batch, int fd, Message *reply, Error *reterr)
{
        int r = 0;

        look_at_batch(batch);
        for (size_t i = 0; i < batch->n; i++) {
                if (r >= 0)
                        r = make_room(fd, reply, reterr);
                if (r >= 0)
                        r = put_set(&batch->policy->certificates[batch->indexes[i]],
                                    &batch->looks[i], batch->is_same[i], reply, reterr);
                look_done(&batch->looks[i]);
        }
        batch->n = 0;
        return r;
}

static int observe_sets(const Policy *policy, uid_t uid, const Known *known, int fd, Message *reply,
                        Error *reterr)
{
        _cleanup_(freep) Batch *batch = calloc(1, sizeof *batch);
        int r = 0;

        if (!batch)
                return error_oom(reterr);
        batch->policy = policy;
        batch->known = known;
        for (size_t i = 0; r >= 0 && i < policy->n_certificates; i++) {
                if (policy->certificates[i].owner_uid == uid)
                        batch->indexes[batch->n++] = i;
                if (batch->n == BATCH_MAX)
                        r = observe_batch(batch, fd, reply, reterr);
        }
        return r < 0 ? r : observe_batch(batch, fd, reply, reterr);
}

static int observe_clusters(const Policy *policy, uid_t uid, int fd, Message *reply, Error *reterr)
{
        _cleanup_(freep) const PolicyCluster **clusters =
                calloc(policy->n_clusters + 1, sizeof *clusters);
        _cleanup_(freep) ObservedCluster *observed =
                calloc(policy->n_clusters + 1, sizeof *observed);
        size_t n = 0;
        int r;

        if (!clusters || !observed)
                return error_oom(reterr);
        for (size_t i = 0; i < policy->n_clusters; i++)
                if (policy->clusters[i].certificate->owner_uid == uid)
                        clusters[n++] = &policy->clusters[i];
        r = cluster_observe(clusters, n, clock_boottime() + OBSERVE_DEADLINE_USEC, observed,
                            reterr);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = make_room(fd, reply, reterr);
                if (r >= 0) {
                        wire_put_u8(reply, OBSERVED_CLUSTER);
                        wire_put_text(reply, clusters[i]->name);
                        observation_put_cluster(reply, &observed[i]);
                }
                observed_cluster_done(&observed[i]);
        }
        return r;
}

int watch_answer(const Policy *policy, uid_t uid, int fd, Message *request, Message *reply,
                 Error *reterr)
{
        _cleanup_(known_done) Known known = {0};
        int r = receive_known(policy, fd, request, &known, reterr);

        if (r >= 0)
                r = observe_sets(policy, uid, &known, fd, reply, reterr);
        if (r >= 0)
                r = observe_clusters(policy, uid, fd, reply, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, OBSERVED_LAST);
        return 0;
}
