/*
 * The connection to a worker or to the signer: started by us over a socketpair, or reached at the
 * socket where systemd listens for it. The code above does not know which.
 *
 * A call blocks until its deadline. peers_cancel() is the one function that another thread may
 * call: it ends what is under way at once.
 */
#pragma once

#include "common/wire.h"

#include <pthread.h>

typedef enum PeerKind { PEER_WORKER, PEER_SIGNER } PeerKind;

/* How peers are had. The strings are the caller's and must outlive it. */
typedef struct PeerPlaces {
        const char *policy_file;
        const char *state_dir;
        const char *runtime_dir;
        bool sockets; /* reached at RUNTIMEDIR/..., never started */
} PeerPlaces;

enum { PEERS_MAX = 1024 }; /* owners of one policy, and the signer */

typedef struct Peer {
        int fd;
        pid_t pid; /* of a started program; 0 otherwise */
        PeerKind kind;
        char *owner;            /* of a worker */
        int64_t used_boot_usec; /* when it was last asked or answered */
        unsigned n_owed;        /* answers to peer_ask() that were not taken yet */
        Message *message;       /* the request that is built, then its reply */
        bool is_lost; /* a call failed below the level of replies: nothing more is asked */
        Error error;  /* why it is lost */
} Peer;

/* The peers of one pass, opened when first asked for. */
typedef struct Peers {
        PeerPlaces places;
        Peer **items;
        size_t n;
        pthread_mutex_t lock; /* items and is_cancelled, against peers_cancel() */
        bool is_cancelled;
} Peers;

void peers_init(Peers *peers, const PeerPlaces *places);

/* Ends every connection, and waits for the programs that were started: a few seconds for each at
 * most, then it is killed. */
void peers_done(Peers *peers);

/* From another thread: connections are shut down, started programs are asked to end. */
void peers_cancel(Peers *peers);
bool peers_is_cancelled(Peers *peers);

/* The signer, or the worker of an owner. Without sockets there is one worker, for the user that we
 * run as; for another owner -ENOENT, "no worker for OWNER". A peer that was lost in this pass is
 * not opened again: its error is given. */
int peers_signer(Peers *peers, Peer **ret, Error *reterr);
int peers_worker(Peers *peers, const char *owner, uid_t owner_uid, Peer **ret, Error *reterr);

/* Sends peer->message and receives the reply into it, its header read. A failure of the connection
 * loses the peer; an error in the reply does not. */
int peer_call(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr);

/* The halves of a call, for requests that do not wait for one another: answers come in the order of
 * the requests, and each is to be taken. Until then no peer_call() is made. Of what is under way at
 * once, requests or answers must be small: a socket's buffer holds some 100 KiB. */
int peer_ask(Peer *peer, int64_t timeout_usec, Error *reterr);
int peer_answer(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr);

/* The halves of a stream: send without waiting for a reply, receive one message of it. */
int peer_send(Peer *peer, int64_t timeout_usec, Error *reterr);
int peer_receive(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr);

/* Marks a peer that answers nonsense, or none, as lost; reterr gets that loss. Returns -code. */
int peer_lose(Peer *peer, const Error *error, Error *reterr);
