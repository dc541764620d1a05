/*
 * pgcertd-worker: does, as the owner of the files, what the policy gives to that owner. It is told
 * names; paths, modes and settings are of its own reading of the policy.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/program.h"
#include "daemon/worker/adoption.h"
#include "daemon/worker/cluster.h"
#include "daemon/worker/configuration.h"
#include "daemon/worker/generation.h"
#include "daemon/worker/probing.h"
#include "daemon/worker/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STREAM_DEADLINE_USEC (30 * USEC_PER_SEC)
#define TIMEOUT_MAX_USEC (300 * USEC_PER_SEC)
enum { REASON_MAX = 400, CONFIGURE_CONSENTED = 2 };

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

/* How a request about one object begins: judged by the sender's policy, and granted. */
static int begin_certificate(Worker *worker, uint64_t tag, Message *request,
                             const PolicyCertificate **ret, Error *reterr)
{
        int r = program_policy(&worker->program, tag, reterr);

        return r < 0 ? r : find_certificate(worker, request, ret, reterr);
}

static int begin_cluster(Worker *worker, uint64_t tag, Message *request, const PolicyCluster **ret,
                         Error *reterr)
{
        int r = program_policy(&worker->program, tag, reterr);

        return r < 0 ? r : find_cluster(worker, request, ret, reterr);
}

/* A deadline from a timeout that a peer sent: bounded. */
static int64_t get_deadline(Message *request)
{
        int64_t timeout = wire_get_i64(request);

        if (timeout < 0 || timeout > TIMEOUT_MAX_USEC)
                timeout = TIMEOUT_MAX_USEC;
        return clock_boottime() + timeout;
}

static int on_observe(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                      Error *reterr)
{
        Worker *worker = userdata;
        int r = program_policy(&worker->program, tag, reterr);

        if (r < 0)
                return r;
        return watch_answer(worker->program.policy, worker->uid, fd, request, reply, reterr);
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
        int r = begin_certificate(worker, tag, request, &certificate, reterr);

        if (r < 0)
                return r;
        rekey = wire_get_flag(request);
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

/* The leaf and what follows it; nothing at all where the published certificate is to stay. */
static int get_chain(Message *request, CertList *list, Error *reterr)
{
        Message ahead = *request;
        size_t size;
        int r;

        wire_get_bytes(&ahead, WIRE_MESSAGE_MAX, &size);
        if (size == 0 && !ahead.bad) {
                *request = ahead;
                if (wire_get_u8(request) != 0)
                        request->bad = true;
                return 0;
        }
        r = get_certificate(request, list, reterr);
        return r < 0 ? r : get_certificates(request, list, reterr);
}

static int on_fill(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                   Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        _cleanup_(cert_list_done) CertList chain = {0}, bundle = {0};
        uint32_t generation;
        int r = begin_certificate(worker, tag, request, &certificate, reterr);

        if (r < 0)
                return r;
        generation = wire_get_u32(request);
        r = get_chain(request, &chain, reterr);
        if (r >= 0)
                r = get_certificates(request, &bundle, reterr);
        if (r >= 0)
                r = wire_end(request, reterr);
        return r < 0 ? r : generation_fill(certificate, generation, &chain, &bundle, reterr);
}

/* The names of a request that is nothing but names, each once, and with a flag where has_retry. */
static int get_names(Worker *worker, Message *request, bool has_retry, PublishItem **ret,
                     size_t *ret_n, Error *reterr)
{
        const Policy *policy = worker->program.policy;
        _cleanup_(freep) PublishItem *items = calloc(policy->n_certificates + 1, sizeof *items);
        _cleanup_(freep) bool *seen = calloc(policy->n_certificates + 1, sizeof *seen);
        int64_t now = clock_realtime();
        size_t n = 0;
        int r = items && seen ? 0 : error_oom(reterr);

        while (r >= 0 && wire_more(request)) {
                const PolicyCertificate *certificate;

                r = find_certificate(worker, request, &certificate, reterr);
                if (r < 0)
                        return r;
                /* A second one would wait for the lock that the first holds. */
                if (seen[certificate - policy->certificates])
                        return error_set(reterr, EINVAL, "the certificate %s is named twice",
                                         certificate->name);
                seen[certificate - policy->certificates] = true;
                items[n++] = (PublishItem){.certificate = certificate,
                                           .now_usec = now,
                                           .retry = has_retry && wire_get_flag(request)};
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
                r = get_names(worker, request, true, &items, &n, reterr);
        if (r >= 0)
                r = generation_publish(items, n, reterr);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = wire_make_room(fd, reply, WIRE_PUBLISH, OBSERVED_ITEM_MAX,
                                   clock_boottime() + STREAM_DEADLINE_USEC, reterr);
                wire_put_u8(reply, 1);
                wire_put_text(reply, items[i].certificate->name);
                wire_put_u32(reply, (uint32_t)items[i].error.code);
                wire_put_text(reply, items[i].error.text);
                wire_put_u32(reply, items[i].generation);
                authority_put_facts(reply, &items[i].leaf);
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
                r = get_names(worker, request, false, &items, &n, reterr);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = generation_prune(items[i].certificate, reterr);
        return r < 0 ? r : 0;
}

static int on_back(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                   Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        uint8_t served[CERT_FINGERPRINT];
        uint32_t generation = 0;
        const char *reason;
        int r = begin_certificate(worker, tag, request, &certificate, reterr);

        if (r < 0)
                return r;
        wire_get_raw(request, served, sizeof served);
        reason = wire_get_text(request, REASON_MAX);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = generation_back(certificate, served, reason, clock_realtime(), &generation,
                                    reterr);
        if (r >= 0)
                wire_put_u32(reply, generation);
        return r;
}

static int on_adopt(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCertificate *certificate;
        uint8_t leaf[CERT_FINGERPRINT];
        uint32_t generation;
        int r = begin_certificate(worker, tag, request, &certificate, reterr);

        if (r < 0)
                return r;
        wire_get_raw(request, leaf, sizeof leaf);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = adoption_run(certificate, leaf, clock_realtime(), &generation, reterr);
        if (r >= 0)
                wire_put_u32(reply, generation);
        return r;
}

static int on_configure(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                        Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        uint8_t wanted;
        int r = begin_cluster(worker, tag, request, &cluster, reterr);

        if (r < 0)
                return r;
        wanted = wire_get_u8(request);
        if (wanted > CONFIGURE_CONSENTED)
                request->bad = true;
        r = wire_end(request, reterr);
        if (r >= 0)
                r = wanted ? configuration_write(cluster, wanted == CONFIGURE_CONSENTED, reterr)
                           : configuration_remove(cluster, reterr);
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
        int r = begin_cluster(worker, tag, request, &cluster, reterr);

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
        int r = begin_cluster(worker, tag, request, &cluster, reterr);

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

static bool has_other_clients(const PolicyCluster *cluster)
{
        for (size_t i = 0; i < cluster->n_as; i++)
                if (cluster->as[i]->owner_uid != cluster->certificate->owner_uid)
                        return true;
        return false;
}

static int on_login(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                    Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        LoginResult result = {0};
        ClusterPlace place = {0};
        int64_t deadline;
        int r = begin_cluster(worker, tag, request, &cluster, reterr);

        if (r < 0)
                return r;
        deadline = get_deadline(request);
        r = wire_end(request, reterr);
        if (r >= 0)
                r = cluster_login(cluster, deadline, &result, reterr);
        if (r < 0)
                return r;
        if (has_other_clients(cluster))
                r = cluster_place(cluster, deadline, &place, reterr);
        if (r < 0)
                return r;
        wire_put_u8(reply, (uint8_t)result.outcome);
        wire_put_text(reply, result.sentence);
        wire_put_text(reply, place.address);
        wire_put_u32(reply, place.port);
        return 0;
}

/* To a cluster that may be another owner's: what is asked for is judged by the policy's `as`. */
static int on_login_as(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                       Error *reterr)
{
        Worker *worker = userdata;
        const PolicyCluster *cluster;
        LoginResult result = {0};
        ClusterPlace place = {0};
        int64_t deadline;
        uint32_t port;
        const char *name;
        int r = program_policy(&worker->program, tag, reterr);

        if (r < 0)
                return r;
        name = wire_get_text(request, POLICY_NAME_MAX);
        cluster = policy_find_cluster(worker->program.policy, name);
        deadline = get_deadline(request);
        snprintf(place.address, sizeof place.address, "%s",
                 wire_get_text(request, sizeof place.address - 1));
        port = wire_get_u32(request);
        place.port = port <= UINT16_MAX ? (uint16_t)port : 0;
        r = wire_end(request, reterr);
        if (r >= 0 && !cluster)
                r = error_set(reterr, EPERM, "the policy has no cluster \"%s\"", name);
        if (r >= 0)
                r = cluster_login_as(cluster, worker->uid, &place, deadline, &result, reterr);
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
        {WIRE_LOGIN, on_login},         {WIRE_ADOPT, on_adopt}, {WIRE_LOGIN_AS, on_login_as},
};

int main(int argc, char *argv[])
{
        Worker worker = {.uid = geteuid()};
        int r;

        /* No service then, and nothing of ours is read or written. */
        if (argc > 1 && strcmp(argv[1], "--probe") == 0)
                return probing_main(argc - 1, argv + 1);
        r = program_start(&worker.program, "pgcertd-worker", argc, argv);

        if (r >= 0)
                r = program_serve(&worker.program, requests, ELEMENTSOF(requests), &worker);
        program_done(&worker.program);
        return r < 0 ? 1 : 0;
}
