#include "daemon/survey.h"

#include "common/clock.h"

#include <errno.h>
#include <string.h>

/* A worker is its owner's own process, who may stop it or have it dawdle: the look at the other
 * owners' files must not wait for it for long. A worker that works tells of something well within
 * the first, and of 10,000 sets within the second. */
#define OBSERVE_SILENCE_USEC (15 * USEC_PER_SEC)
#define OBSERVE_TIMEOUT_USEC (90 * USEC_PER_SEC)
#define AUTHORITY_TIMEOUT_USEC (60 * USEC_PER_SEC)

static void replace_problem(char **problem, const char *sentence)
{
        free(*problem);
        *problem = strdup(sentence); /* without memory the state alone tells */
}

/* Everything of an owner becomes unknown. */
static void owner_unknown(const Policy *policy, uid_t uid, const Error *error,
                          Observation *observation)
{
        for (size_t i = 0; i < policy->n_certificates; i++) {
                if (policy->certificates[i].owner_uid != uid)
                        continue;
                observed_set_done(&observation->sets[i]);
                replace_problem(&observation->sets[i].problem, error->text);
        }
        for (size_t i = 0; i < policy->n_clusters; i++) {
                if (policy->clusters[i].certificate->owner_uid != uid)
                        continue;
                observed_cluster_done(&observation->clusters[i]);
                replace_problem(&observation->clusters[i].problem, error->text);
        }
}

/* Sends the digests of what is known, in as many messages as it takes. */
static int send_known(Peer *peer, const Policy *policy, uid_t uid, const Observation *observation,
                      Error *reterr)
{
        size_t last = 0;

        for (;;) {
                Message *message = peer->message;
                size_t room_for = POLICY_NAME_MAX + CERT_FINGERPRINT + 16, flag;
                int r;

                wire_request(message, WIRE_OBSERVE, policy->tag);
                flag = message->size;
                wire_put_u8(message, 0);
                for (; last < policy->n_certificates && wire_room(message) > room_for; last++) {
                        const ObservedSet *set = &observation->sets[last];

                        if (policy->certificates[last].owner_uid != uid ||
                            set->state == SET_UNKNOWN)
                                continue;
                        wire_put_text(message, policy->certificates[last].name);
                        wire_put_raw(message, set->digest, sizeof set->digest);
                }
                message->data[flag] = last == policy->n_certificates;
                r = peer_send(peer, OBSERVE_SILENCE_USEC, reterr);
                if (r < 0 || last == policy->n_certificates)
                        return r;
        }
}

/* A certificate or cluster that is the owner's to tell about; NULL otherwise. */
static const PolicyCertificate *granted_certificate(const Policy *policy, const char *name,
                                                    uid_t uid)
{
        const PolicyCertificate *certificate = policy_find_certificate(policy, name);

        return certificate && certificate->owner_uid == uid ? certificate : NULL;
}

static int take_set(Message *message, const Policy *policy, uid_t uid, Observation *observation,
                    bool *seen, Error *reterr)
{
        const PolicyCertificate *certificate =
                granted_certificate(policy, wire_get_text(message, POLICY_NAME_MAX), uid);
        ObservedSet set;
        size_t i;
        int r = observation_get_set(message, observation, &set, reterr);

        if (r < 0 || !certificate || message->bad) {
                observed_set_done(&set);
                return r < 0 ? r : error_set(reterr, EBADMSG, "it told of what is not its own");
        }
        i = (size_t)(certificate - policy->certificates);
        observed_set_done(&observation->sets[i]);
        observation->sets[i] = set;
        seen[i] = true;
        return 0;
}

static int take_cluster(Message *message, const Policy *policy, uid_t uid, Observation *observation,
                        Error *reterr)
{
        const PolicyCluster *cluster =
                policy_find_cluster(policy, wire_get_text(message, POLICY_NAME_MAX));
        ObservedCluster observed;
        size_t i;
        int r = observation_get_cluster(message, &observed, reterr);

        if (r < 0 || !cluster || cluster->certificate->owner_uid != uid || message->bad) {
                observed_cluster_done(&observed);
                return r < 0 ? r : error_set(reterr, EBADMSG, "it told of what is not its own");
        }
        i = (size_t)(cluster - policy->clusters);
        observed_cluster_done(&observation->clusters[i]);
        observation->clusters[i] = observed;
        return 0;
}

/* One message of the stream; 1 where it was the last. */
static int take_message(Message *message, const Policy *policy, uid_t uid, Observation *observation,
                        bool *seen, Error *reterr)
{
        int r = 0;

        while (r == 0 && wire_more(message)) {
                const PolicyCertificate *certificate;

                switch ((ObservedKind)wire_get_u8(message)) {
                case OBSERVED_SET:
                        r = take_set(message, policy, uid, observation, seen, reterr);
                        continue;
                case OBSERVED_UNCHANGED:
                        certificate = granted_certificate(
                                policy, wire_get_text(message, POLICY_NAME_MAX), uid);
                        if (certificate)
                                seen[certificate - policy->certificates] = true;
                        else
                                message->bad = true;
                        continue;
                case OBSERVED_CLUSTER:
                        r = take_cluster(message, policy, uid, observation, reterr);
                        continue;
                case OBSERVED_LAST:
                        r = wire_end(message, reterr);
                        return r < 0 ? r : 1;
                }
                message->bad = true;
        }
        return r < 0 ? r : wire_end(message, reterr);
}

static int ask_owner(Peers *peers, const Policy *policy, const PolicyCertificate *certificate,
                     Observation *observation, bool *seen, Error *reterr)
{
        uid_t uid = certificate->owner_uid;
        size_t limit = policy->n_certificates + policy->n_clusters + 1;
        int64_t deadline_usec = clock_boottime() + OBSERVE_TIMEOUT_USEC, left;
        Error error = {0};
        Peer *peer;
        int r = peers_worker(peers, certificate->owner, uid, &peer, reterr);

        if (r >= 0)
                r = send_known(peer, policy, uid, observation, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i <= limit; i++) {
                left = deadline_usec - clock_boottime();
                r = peer_receive(peer, WIRE_OBSERVE,
                                 left < OBSERVE_SILENCE_USEC ? left : OBSERVE_SILENCE_USEC, reterr);
                if (r < 0)
                        return r;
                r = take_message(peer->message, policy, uid, observation, seen, &error);
                if (r < 0)
                        return peer_lose(peer, &error, reterr);
                if (r == 1)
                        return 0;
        }
        error_set(&error, EBADMSG, "it told more than it has");
        return peer_lose(peer, &error, reterr);
}

static void survey_owner(Peers *peers, const Policy *policy, const PolicyCertificate *certificate,
                         Observation *observation, bool *seen)
{
        uid_t uid = certificate->owner_uid;
        Error error = {0};

        if (ask_owner(peers, policy, certificate, observation, seen, &error) < 0) {
                owner_unknown(policy, uid, &error, observation);
                return;
        }
        error_set(&error, EBADMSG, "the worker of %s did not tell of it", certificate->owner);
        for (size_t i = 0; i < policy->n_certificates; i++) {
                if (policy->certificates[i].owner_uid != uid || seen[i])
                        continue;
                observed_set_done(&observation->sets[i]);
                replace_problem(&observation->sets[i].problem, error.text);
        }
}

/* Widens the end of the generation's leaves by one leaf that was seen. */
static void take_end(const CertFacts *leaf, const ObservedGeneration *generation, int64_t *end_usec)
{
        if (memcmp(leaf->issuer_key_id, generation->facts.key_id, CERT_KEY_ID) == 0 &&
            leaf->not_after_usec > *end_usec)
                *end_usec = leaf->not_after_usec;
}

/* The latest end of a leaf of that generation that lies on disk or is served; INT64_MIN for none.
 */
static int64_t last_end(const Observation *observation, const ObservedGeneration *generation)
{
        int64_t end = INT64_MIN;

        for (size_t i = 0; i < observation->n_sets; i++)
                if (observation->sets[i].has_leaf)
                        take_end(&observation->sets[i].leaf, generation, &end);
        for (size_t i = 0; i < observation->n_clusters; i++)
                if (observation->clusters[i].served.outcome == HANDSHAKE_TLS)
                        take_end(&observation->clusters[i].served.leaf, generation, &end);
        return end;
}

/* The signer tells by them whether its ledger is whole, before anything is retired. */
static void put_ends(Message *message, const Observation *observation,
                     const ObservedAuthority *known)
{
        size_t place = message->size;
        uint8_t n = 0;

        wire_put_u8(message, 0);
        for (size_t i = 0; i < known->n_generations; i++) {
                int64_t end = last_end(observation, &known->generations[i]);

                if (end == INT64_MIN)
                        continue;
                wire_put_raw(message, known->generations[i].facts.key_id, CERT_KEY_ID);
                wire_put_i64(message, end);
                n++;
        }
        if (!message->bad)
                message->data[place] = n;
}

/* known is what the ends of leaves are told of. */
static int send_authority(Peers *peers, const Policy *policy, size_t index,
                          const Observation *observation, const ObservedAuthority *known,
                          Peer **ret, Error *reterr)
{
        Peer *peer;
        int r = peers_signer(peers, &peer, reterr);

        if (r < 0)
                return r;
        wire_request(peer->message, WIRE_AUTHORITY, policy->tag);
        wire_put_text(peer->message, policy->authorities[index].name);
        wire_put_u8(peer->message, 0); /* only look */
        put_ends(peer->message, observation, known);
        *ret = peer;
        return peer_send(peer, AUTHORITY_TIMEOUT_USEC, reterr);
}

static int take_authority(Peer *peer, ObservedAuthority *ret, Error *reterr)
{
        int r = peer_receive(peer, WIRE_AUTHORITY, AUTHORITY_TIMEOUT_USEC, reterr);

        *ret = (ObservedAuthority){0};
        if (r >= 0)
                r = authority_get(peer->message, ret, reterr);
        return r < 0 ? r : wire_end(peer->message, reterr);
}

static int ask_authority(Peers *peers, const Policy *policy, size_t index,
                         const Observation *observation, const ObservedAuthority *known,
                         ObservedAuthority *ret, Error *reterr)
{
        Peer *peer;
        int r = send_authority(peers, policy, index, observation, known, &peer, reterr);

        *ret = (ObservedAuthority){0};
        return r < 0 ? r : take_authority(peer, ret, reterr);
}

static const ObservedAuthority nothing;

/* The first authority is asked for before the workers are: the signer reads its policy while they
 * read theirs. NULL where that failed, which is told when it is asked again. */
static Peer *ask_early(Peers *peers, const Policy *policy, const Observation *observation)
{
        Peer *peer;

        if (policy->n_authorities == 0 ||
            send_authority(peers, policy, 0, observation, &nothing, &peer, NULL) < 0)
                return NULL;
        return peer;
}

/* Its answer may lie there since long ago, and the signer have ended for having nothing to do. */
static int take_early(Peer *peer, ObservedAuthority *ret, Error *reterr)
{
        int64_t asked_usec = peer->used_boot_usec;
        int r = take_authority(peer, ret, reterr);

        peer->used_boot_usec = asked_usec;
        return r;
}

/* One authority. With a single generation nothing can be retired, and no leaf needs to be told.
 * early has been asked for it already, or is NULL. */
static int survey_authority(Peers *peers, const Policy *policy, size_t index, Peer *early,
                            Observation *observation, Error *reterr)
{
        ObservedAuthority first = {0}, second = {0};
        int r = early ? take_early(early, &first, reterr)
                      : ask_authority(peers, policy, index, observation, &nothing, &first, reterr);

        if (r >= 0 && first.n_generations > 1) {
                r = ask_authority(peers, policy, index, observation, &first, &second, reterr);
                authority_done(&first);
                first = second;
        }
        if (r < 0) {
                authority_done(&first);
                return r;
        }
        authority_done(&observation->authorities[index]);
        observation->authorities[index] = first;
        return 0;
}

int survey_run(Peers *peers, const Policy *policy, Observation *observation, Error *reterr)
{
        _cleanup_(freep) bool *seen = calloc(policy->n_certificates + 1, sizeof *seen);
        _cleanup_(freep) uid_t *asked = calloc(policy->n_certificates + 1, sizeof *asked);
        size_t n_asked = 0;
        Peer *early;

        if (!seen || !asked)
                return error_oom(reterr);
        early = ask_early(peers, policy, observation);
        for (size_t i = 0; i < policy->n_certificates; i++) {
                size_t j = 0;

                /* Owners are few; most certificates in a row have the same. */
                while (j < n_asked && asked[j] != policy->certificates[i].owner_uid)
                        j++;
                if (j < n_asked)
                        continue;
                asked[n_asked++] = policy->certificates[i].owner_uid;
                survey_owner(peers, policy, &policy->certificates[i], observation, seen);
        }
        for (size_t i = 0; i < policy->n_authorities; i++) {
                Error error = {0};

                if (survey_authority(peers, policy, i, i == 0 ? early : NULL, observation,
                                     &error) >= 0)
                        continue;
                authority_done(&observation->authorities[i]);
                replace_problem(&observation->authorities[i].problem, error.text);
        }
        if (peers_is_cancelled(peers))
                return error_set(reterr, ECANCELED, "pgcertd is ending");
        return 0;
}
