/*
 * pgcertd-worker: does, as the owner of the files, what the policy gives to that owner. It is told
 * names; paths, modes and settings are of its own reading of the policy.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/program.h"
#include "daemon/worker/cluster.h"
#include "daemon/worker/configuration.h"
#include "daemon/worker/generation.h"

#include <errno.h>
#include <string.h>

#define OBSERVE_DEADLINE_USEC (20 * USEC_PER_SEC)
#define STREAM_DEADLINE_USEC (30 * USEC_PER_SEC)
#define TIMEOUT_MAX_USEC (300 * USEC_PER_SEC)
enum { REASON_MAX = 400 };

typedef struct Worker {
        Program program;
        uid_t uid;
} Worker;

static int find_certificate(Worker *worker, Message *request, const PolicyCertificate **ret,
                            Error *reterr)
{
        const char *name = wire_get_text(request, POLICY_NAME_MAX);

        *ret = policy_find_certificate(worker->program.policy, name);
        if (!*ret || (*ret)->owner_uid != worker->uid)
                return error_set(reterr, EPERM,
                                 "the policy gives no certificate \"%s\" to this owner", name);
        return 0;
}

static int find_cluster(Worker *worker, Message *request, const PolicyCluster **ret, Error *reterr)
{
        const char *name = wire_get_text(request, POLICY_NAME_MAX);

        *ret = policy_find_cluster(worker->program.policy, name);
        if (!*ret || (*ret)->certificate->owner_uid != worker->uid)
                return error_set(reterr, EPERM, "the policy gives no cluster \"%s\" to this owner",
                                 name);
        return 0;
}

/* A deadline from a timeout that a peer sent: bounded. */
static int64_t get_deadline(Message *request)
{
        int64_t timeout = wire_get_i64(request);

        if (timeout < 0 || timeout > TIMEOUT_MAX_USEC)
                timeout = TIMEOUT_MAX_USEC;
        return clock_boottime() + timeout;
}

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

static int receive_known(Worker *worker, int fd, Message *request, Known *known, Error *reterr)
{
        const Policy *policy = worker->program.policy;
        /* Each message but the last carries at least one digest. */
        size_t limit = policy->n_certificates + 1;
        WireVerb verb;
        uint64_t tag;

        known->digests = calloc(policy->n_certificates + 1, sizeof *known->digests);
        known->has = calloc(policy->n_certificates + 1, sizeof *known->has);
        if (!known->digests || !known->has)
                return error_oom(reterr);
        for (size_t i = 0; i < limit; i++) {
                bool last = wire_get_u8(request) == 1;
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
                r = wire_receive(fd, request, clock_boottime() + STREAM_DEADLINE_USEC, reterr);
                if (r >= 0)
                        r = wire_get_request(request, &verb, &tag, reterr);
                if (r < 0)
                        return r;
                if (verb != WIRE_OBSERVE || tag != policy->tag)
                        return error_set(reterr, EBADMSG, "an observation was broken off");
        }
        return error_set(reterr, EBADMSG, "too many messages with known digests");
}

/* Starts a new message of the stream where the next item might not fit. */
static int make_room(int fd, WireVerb verb, size_t size, Message *reply, Error *reterr)
{
        int r;

        if (wire_room(reply) >= size)
                return 0;
        r = wire_send(fd, reply, clock_boottime() + STREAM_DEADLINE_USEC, reterr);
        if (r >= 0)
                wire_reply(reply, verb);
        return r;
}

static int observe_set(Worker *worker, const PolicyCertificate *certificate, const uint8_t *known,
                       Message *reply, Error *reterr)
{
        _cleanup_(observed_set_done) ObservedSet set = {0};
        _cleanup_(freep) uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        size_t n_anchors = 0;
        int r = generation_observe(worker->program.policy, certificate, known, &set, &anchors,
                                   &n_anchors, reterr);

        if (r < 0)
                return r;
        wire_put_u8(reply, r == 1 ? OBSERVED_UNCHANGED : OBSERVED_SET);
        wire_put_text(reply, certificate->name);
        if (r == 0)
                observation_put_set(reply, &set, (const uint8_t(*)[CERT_KEY_ID])anchors, n_anchors);
        return 0;
}

static int observe_clusters(Worker *worker, int fd, Message *reply, Error *reterr)
{
        const Policy *policy = worker->program.policy;
        _cleanup_(freep) const PolicyCluster **clusters =
                calloc(policy->n_clusters + 1, sizeof *clusters);
        _cleanup_(freep) ObservedCluster *observed =
                calloc(policy->n_clusters + 1, sizeof *observed);
        size_t n = 0;
        int r;

        if (!clusters || !observed)
                return error_oom(reterr);
        for (size_t i = 0; i < policy->n_clusters; i++)
                if (policy->clusters[i].certificate->owner_uid == worker->uid)
                        clusters[n++] = &policy->clusters[i];
        r = cluster_observe(clusters, n, clock_boottime() + OBSERVE_DEADLINE_USEC, observed,
                            reterr);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = make_room(fd, WIRE_OBSERVE, OBSERVED_ITEM_MAX, reply, reterr);
                if (r >= 0) {
                        wire_put_u8(reply, OBSERVED_CLUSTER);
                        wire_put_text(reply, clusters[i]->name);
                        observation_put_cluster(reply, &observed[i]);
                }
                observed_cluster_done(&observed[i]);
        }
        return r;
}

static int on_observe(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                      Error *reterr)
{
        Worker *worker = userdata;
        _cleanup_(known_done) Known known = {0};
        const Policy *policy;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = receive_known(worker, fd, request, &known, reterr);
        policy = worker->program.policy;
        for (size_t i = 0; r >= 0 && i < policy->n_certificates; i++) {
                if (policy->certificates[i].owner_uid != worker->uid)
                        continue;
                r = make_room(fd, WIRE_OBSERVE, OBSERVED_ITEM_MAX, reply, reterr);
                if (r >= 0)
                        r = observe_set(worker, &policy->certificates[i],
                                        known.has[i] ? known.digests[i] : NULL, reply, reterr);
        }
        if (r >= 0)
                r = observe_clusters(worker, fd, reply, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, OBSERVED_LAST);
        return 0;
}

static int on_stage(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        _cleanup_(freep) uint8_t *csr = NULL;
        uint32_t generation;
        size_t csr_size;
        bool rekey;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_certificate(worker, request, &certificate, reterr);
        if (r < 0)
                return r;
        rekey = wire_get_u8(request) == 1;
        r = wire_end(request, reterr);
        if (r >= 0)
                r = generation_stage(certificate, rekey, clock_realtime(), &generation, &csr,
                                     &csr_size, reterr);
        if (r < 0)
                return r;
        wire_put_u32(reply, generation);
        wire_put_bytes(reply, csr, csr_size);
        return 0;
}

static int get_certificate(Message *request, CertList *list, Error *reterr)
{
        _cleanup_(cert_freep) Cert *cert = NULL;
        size_t size;
        const uint8_t *der = wire_get_bytes(request, WIRE_MESSAGE_MAX, &size);
        int r = cert_parse(der, size, &cert, reterr);

        return r < 0 ? r : cert_list_add(list, TAKE_PTR(cert), reterr);
}

static int get_certificates(Message *request, CertList *list, Error *reterr)
{
        uint8_t n = wire_get_u8(request);
        int r = n <= CERT_CHAIN_MAX ? 0
                                    : error_set(reterr, E2BIG, "%u certificates are too many", n);

        for (uint8_t i = 0; i < n && r >= 0; i++)
                r = get_certificate(request, list, reterr);
        return r;
}

static int on_fill(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                   Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        _cleanup_(cert_list_done) CertList chain = {0}, bundle = {0};
        uint32_t generation;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_certificate(worker, request, &certificate, reterr);
        if (r < 0)
                return r;
        generation = wire_get_u32(request);
        r = get_certificate(request, &chain, reterr);
        if (r >= 0)
                r = get_certificates(request, &chain, reterr);
        if (r >= 0)
                r = get_certificates(request, &bundle, reterr);
        if (r >= 0)
                r = wire_end(request, reterr);
        return r < 0 ? r : generation_fill(certificate, generation, &chain, &bundle, reterr);
}

/* The names of a request that is nothing but names. */
static int get_names(Worker *worker, Message *request, PublishItem **ret, size_t *ret_n,
                     Error *reterr)
{
        size_t n = 0, limit = worker->program.policy->n_certificates;
        _cleanup_(freep) PublishItem *items = calloc(limit + 1, sizeof *items);
        int64_t now = clock_realtime();
        int r = items ? 0 : error_oom(reterr);

        while (r >= 0 && wire_more(request)) {
                if (n == limit)
                        return error_set(reterr, E2BIG, "more names than the policy has");
                items[n].now_usec = now;
                r = find_certificate(worker, request, &items[n++].certificate, reterr);
        }
        if (r >= 0)
                r = wire_end(request, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(items);
        *ret_n = n;
        return 0;
}

static int on_publish(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                      Error *reterr)
{
        Worker *worker = userdata;
        _cleanup_(freep) PublishItem *items = NULL;
        size_t n = 0;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = get_names(worker, request, &items, &n, reterr);
        if (r >= 0)
                r = generation_publish(items, n, reterr);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = make_room(fd, WIRE_PUBLISH, OBSERVED_ITEM_MAX, reply, reterr);
                wire_put_u8(reply, 1);
                wire_put_text(reply, items[i].certificate->name);
                wire_put_u32(reply, (uint32_t)items[i].error.code);
                wire_put_text(reply, items[i].error.text);
                wire_put_u32(reply, items[i].generation);
                observation_put_facts(reply, &items[i].leaf);
        }
        if (r >= 0)
                wire_put_u8(reply, 0);
        return r;
}

static int on_prune(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        _cleanup_(freep) PublishItem *items = NULL;
        size_t n = 0;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = get_names(worker, request, &items, &n, reterr);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = generation_prune(items[i].certificate, reterr);
        return r < 0 ? r : 0;
}

static int on_back(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                   Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        uint32_t generation = 0;
        const char *reason;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_certificate(worker, request, &certificate, reterr);
        if (r < 0)
                return r;
        reason = wire_get_text(request, REASON_MAX);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = generation_back(certificate, reason, clock_realtime(), &generation, reterr);
        if (r >= 0)
                wire_put_u32(reply, generation);
        return r;
}

static int on_configure(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                        Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_cluster(worker, request, &cluster, reterr);
        if (r >= 0)
                r = wire_end(request, reterr);
        if (r >= 0)
                r = configuration_write(cluster, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, (uint8_t)r);
        return 0;
}

static int on_load(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                   Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        int64_t pid, started_sec;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_cluster(worker, request, &cluster, reterr);
        if (r >= 0)
                r = wire_end(request, reterr);
        if (r >= 0)
                r = cluster_load(cluster, &pid, &started_sec, reterr);
        if (r < 0)
                return r;
        wire_put_i64(reply, pid);
        wire_put_i64(reply, started_sec);
        return 0;
}

static int on_prove(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        uint8_t leaf[CERT_FINGERPRINT];
        ProveResult result = {0};
        int64_t deadline;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_cluster(worker, request, &cluster, reterr);
        if (r < 0)
                return r;
        wire_get_raw(request, leaf, sizeof leaf);
        deadline = get_deadline(request);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = cluster_prove(cluster, leaf, deadline, &result, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, (uint8_t)result.outcome);
        observation_put_served(reply, &result.served);
        wire_put_text(reply, result.sentence);
        return 0;
}

static int on_login(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        LoginResult result = {0};
        int64_t deadline;
        int r = program_policy(&worker->program, tag, reterr);

        if (r >= 0)
                r = find_cluster(worker, request, &cluster, reterr);
        if (r < 0)
                return r;
        deadline = get_deadline(request);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = cluster_login(cluster, deadline, &result, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, (uint8_t)result.outcome);
        wire_put_text(reply, result.sentence);
        return 0;
}

static const WireEntry requests[] = {
        {WIRE_OBSERVE, on_observe},     {WIRE_STAGE, on_stage}, {WIRE_FILL, on_fill},
        {WIRE_PUBLISH, on_publish},     {WIRE_PRUNE, on_prune}, {WIRE_BACK, on_back},
        {WIRE_CONFIGURE, on_configure}, {WIRE_LOAD, on_load},   {WIRE_PROVE, on_prove},
        {WIRE_LOGIN, on_login},
};

int main(int argc, char *argv[])
{
        Worker worker = {.uid = geteuid()};
        int r = program_start(&worker.program, "pgcertd-worker", argc, argv);

        if (r >= 0)
                r = program_serve(&worker.program, requests, ELEMENTSOF(requests), &worker);
        program_done(&worker.program);
        return r < 0 ? 1 : 0;
}
