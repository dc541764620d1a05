#include "daemon/worker/watch.h"

#include "common/clock.h"
#include "daemon/worker/cluster.h"
#include "daemon/worker/generation.h"

#include <errno.h>
#include <string.h>

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

static int observe_set(const Policy *policy, const PolicyCertificate *certificate,
                       const uint8_t *known, Message *reply, Error *reterr)
{
        _cleanup_(observed_set_done) ObservedSet set = {0};
        _cleanup_(freep) uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        size_t n_anchors = 0;
        int r = generation_observe(policy, certificate, known, &set, &anchors, &n_anchors, reterr);

        if (r < 0)
                return r;
        wire_put_u8(reply, r == 1 ? OBSERVED_UNCHANGED : OBSERVED_SET);
        wire_put_text(reply, certificate->name);
        if (r == 0)
                observation_put_set(reply, &set, (const uint8_t(*)[CERT_KEY_ID])anchors, n_anchors);
        return 0;
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

        for (size_t i = 0; r >= 0 && i < policy->n_certificates; i++) {
                if (policy->certificates[i].owner_uid != uid)
                        continue;
                r = make_room(fd, reply, reterr);
                if (r >= 0)
                        r = observe_set(policy, &policy->certificates[i],
                                        known.has[i] ? known.digests[i] : NULL, reply, reterr);
        }
        if (r >= 0)
                r = observe_clusters(policy, uid, fd, reply, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, OBSERVED_LAST);
        return 0;
}
