#include "daemon/usable.h"

#include "common/clock.h"

#include <stdio.h>

#define ANSWER_USEC (10 * USEC_PER_SEC)

enum { ADDRESS_MAX = 64 };

/* Where the cluster is reached, as its owner's worker says. */
typedef struct Place {
        char address[ADDRESS_MAX];
        uint32_t port;
} Place;

static bool is_other(const PolicyCluster *cluster, size_t client)
{
        return cluster->as[client]->owner_uid != cluster->certificate->owner_uid;
}

/* 0 done, 1 failed, 2 unverifiable: with nothing said against it, nothing is told. */
static int get_verdict(Message *message, char sentence[OBSERVED_PROBLEM_MAX])
{
        uint8_t outcome = wire_get_u8(message);

        snprintf(sentence, OBSERVED_PROBLEM_MAX, "%s", wire_get_text(message, ERROR_TEXT_MAX));
        return outcome == 1;
}

static int ask_owner(Work *work, const PolicyCluster *cluster, char sentence[OBSERVED_PROBLEM_MAX],
                     Place *ret, Error *reterr)
{
        const PolicyCertificate *server = cluster->certificate;
        Peer *peer;
        int verdict,
                r = peers_worker(&work->peers, server->owner, server->owner_uid, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_LOGIN, work->input.policy->tag);
        wire_put_text(peer->message, cluster->name);
        wire_put_i64(peer->message, cluster->timeout_usec);
        r = peer_call(peer, WIRE_LOGIN, cluster->timeout_usec + ANSWER_USEC, reterr);
        if (r < 0)
                return r;
        verdict = get_verdict(peer->message, sentence);
        snprintf(ret->address, sizeof ret->address, "%s",
                 wire_get_text(peer->message, ADDRESS_MAX - 1));
        ret->port = wire_get_u32(peer->message);
        r = wire_end(peer->message, reterr);
        return r < 0 ? r : verdict;
}

static int ask_client(Work *work, const PolicyCluster *cluster, const PolicyCertificate *client,
                      const Place *place, char sentence[OBSERVED_PROBLEM_MAX], Error *reterr)
{
        Peer *peer;
        int verdict, r;

        /* An owner without a worker is told as that, by its own certificates. */
        if (peers_worker(&work->peers, client->owner, client->owner_uid, &peer, NULL) < 0)
                return 0;
        wire_request(peer->message, WIRE_LOGIN_AS, work->input.policy->tag);
        wire_put_text(peer->message, cluster->name);
        wire_put_i64(peer->message, cluster->timeout_usec);
        wire_put_text(peer->message, place->address);
        wire_put_u32(peer->message, place->port);
        r = peer_call(peer, WIRE_LOGIN_AS, cluster->timeout_usec + ANSWER_USEC, reterr);
        if (r < 0)
                return r;
        verdict = get_verdict(peer->message, sentence);
        r = wire_end(peer->message, reterr);
        return r < 0 ? r : verdict;
}

/* Whether an earlier client is of the same owner: one worker tries all of its own. */
static bool is_asked(const PolicyCluster *cluster, size_t client)
{
        for (size_t i = 0; i < client; i++)
                if (cluster->as[i]->owner_uid == cluster->as[client]->owner_uid)
                        return true;
        return false;
}

int usable_ask(Work *work, size_t index, char sentence[OBSERVED_PROBLEM_MAX], Error *reterr)
{
        const PolicyCluster *cluster = &work->input.policy->clusters[index];
        Place place = {0};
        int r = ask_owner(work, cluster, sentence, &place, reterr);

        if (r != 0 || !place.address[0])
                return r;
        for (size_t i = 0; i < cluster->n_as && r == 0; i++)
                if (is_other(cluster, i) && !is_asked(cluster, i))
                        r = ask_client(work, cluster, cluster->as[i], &place, sentence, reterr);
        return r;
}
