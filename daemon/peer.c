#include "daemon/peer.h"

#include "common/clock.h"
#include "common/program.h"
#include "daemon/notify.h"
#include "daemon/sockets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

#define CONNECT_TIMEOUT_USEC (2 * USEC_PER_SEC)
/* Workers and signers end when they were idle for 1 s. One that might be about to is left behind,
 * and a new one is started, long before a request could cross its end. */
#define IDLE_USEC (500 * USEC_PER_MSEC)
/* Ending takes a few milliseconds; the pause is what a pass may lose by not being told. */
enum { END_TIMEOUT_MSEC = 2000, END_PAUSE_MSEC = 2 };

static const char *program_name(PeerKind kind)
{
        return kind == PEER_SIGNER ? "pgcertd-signer" : "pgcertd-worker";
}

void peers_init(Peers *peers, const PeerPlaces *places)
{
        *peers = (Peers){.places = *places, .lock = PTHREAD_MUTEX_INITIALIZER};
}

/* Whether the program ended within END_TIMEOUT_MSEC. */
static bool has_ended(pid_t pid)
{
        for (int waited = 0; waited < END_TIMEOUT_MSEC; waited += END_PAUSE_MSEC) {
                if (waitpid(pid, NULL, WNOHANG) != 0)
                        return true;
                poll(NULL, 0, END_PAUSE_MSEC);
        }
        return false;
}

/* A started program ends by itself once its connection is closed. One that is stopped, or at
 * something that hangs, must not keep the pass, and with it pgcertd, from ending: it is killed, as
 * it may be at any instant. What not even that ends (a dead file system) is left to init. */
static void end_program(pid_t pid)
{
        if (has_ended(pid))
                return;
        kill(pid, SIGKILL);
        has_ended(pid);
}

static Peer *peer_free(Peer *peer)
{
        if (!peer)
                return NULL;
        closep(&peer->fd);
        if (peer->pid > 0)
                end_program(peer->pid);
        message_free(peer->message);
        free(peer->owner);
        free(peer);
        return NULL;
}
DEFINE_CLEANUP(Peer *, peer_free);

void peers_done(Peers *peers)
{
        for (size_t i = 0; i < peers->n; i++)
                peer_free(peers->items[i]);
        free(peers->items);
        pthread_mutex_destroy(&peers->lock);
        *peers = (Peers){0};
}

void peers_cancel(Peers *peers)
{
        pthread_mutex_lock(&peers->lock);
        peers->is_cancelled = true;
        for (size_t i = 0; i < peers->n; i++) {
                /* Every program of ours may die at any instant; the next pass finishes its work. */
                shutdown(peers->items[i]->fd, SHUT_RDWR);
                if (peers->items[i]->pid > 0)
                        kill(peers->items[i]->pid, SIGTERM);
        }
        pthread_mutex_unlock(&peers->lock);
}

bool peers_is_cancelled(Peers *peers)
{
        bool is_cancelled;

        pthread_mutex_lock(&peers->lock);
        is_cancelled = peers->is_cancelled;
        pthread_mutex_unlock(&peers->lock);
        return is_cancelled;
}

/* Starts a program with the socket as its standard input, no signal blocked, and our standard
 * error. */
static int spawn(const char *path, char *const arguments[], int fd, pid_t *ret, Error *reterr)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int r;

        sigemptyset(&none);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        r = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
                                                     0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        if (r == 0)
                r = posix_spawn(ret, path, &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r == 0 ? 0 : error_set(reterr, r, "cannot start %s: %s", path, strerror(r));
}

static int start(const PeerPlaces *places, PeerKind kind, Peer *peer, Error *reterr)
{
        _cleanup_(closep) int ours = -1, theirs = -1;
        char path[PATH_MAX], state[PATH_MAX];
        char *arguments[] = {(char *)program_name(kind),
                             "--policy",
                             (char *)places->policy_file,
                             kind == PEER_SIGNER ? "--state-dir" : NULL,
                             state,
                             NULL};
        int r, fds[2];

        r = program_find(program_name(kind), path, reterr);
        if (r < 0)
                return r;
        if (snprintf(state, sizeof state, "%s/signer", places->state_dir) >= (int)sizeof state)
                return error_set(reterr, ENAMETOOLONG, "the state directory's path is too long");
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return error_set(reterr, errno, "cannot make a pair of sockets: %m");
        ours = fds[0];
        theirs = fds[1];
        r = spawn(path, arguments, theirs, &peer->pid, reterr);
        if (r < 0)
                return r;
        peer->fd = TAKE_FD(ours);
        return 0;
}

static int reach(const PeerPlaces *places, PeerKind kind, Peer *peer, Error *reterr)
{
        const char *owner = kind == PEER_WORKER ? peer->owner : NULL;
        char path[SOCKETS_PATH_MAX];
        int r = sockets_path(places->runtime_dir, owner, path, reterr);

        if (r < 0)
                return r;
        r = wire_connect(path, clock_boottime() + CONNECT_TIMEOUT_USEC, &peer->fd, reterr);
        return r < 0 ? sockets_explain(owner, reterr) : 0;
}

/* Adds the peer, unless all is cancelled. */
static int enter(Peers *peers, Peer *peer, Error *reterr)
{
        Peer **items;
        int r = 0;

        pthread_mutex_lock(&peers->lock);
        items = peers->n < PEERS_MAX ? reallocarray(peers->items, peers->n + 1, sizeof *items)
                                     : NULL;
        if (items) {
                peers->items = items;
                peers->items[peers->n++] = peer;
        } else {
                r = error_oom(reterr);
        }
        if (items && peers->is_cancelled) {
                shutdown(peer->fd, SHUT_RDWR);
                r = error_set(reterr, ECANCELED, "pgcertd is ending");
        }
        pthread_mutex_unlock(&peers->lock);
        if (!items)
                peer_free(peer);
        return r;
}

static int open_peer(Peers *peers, PeerKind kind, const char *owner, Peer **ret, Error *reterr)
{
        _cleanup_(peer_freep) Peer *peer = calloc(1, sizeof *peer);
        Error error = {0};
        int r;

        if (!peer)
                return error_oom(reterr);
        peer->fd = -1;
        peer->kind = kind;
        peer->owner = strdup(owner);
        if (!peer->owner)
                return error_oom(reterr);
        r = message_new(&peer->message, reterr);
        if (r < 0)
                return r;
        r = peers->places.sockets ? reach(&peers->places, kind, peer, &error)
                                  : start(&peers->places, kind, peer, &error);
        /* One that cannot be opened is remembered too, so that it is not waited for again. */
        if (r < 0) {
                peer->is_lost = true;
                peer->error = error;
        }
        *ret = peer;
        return enter(peers, TAKE_PTR(peer), reterr);
}

static void drop(Peers *peers, size_t index)
{
        Peer *peer = peers->items[index];

        pthread_mutex_lock(&peers->lock);
        peers->items[index] = peers->items[--peers->n];
        pthread_mutex_unlock(&peers->lock);
        peer_free(peer);
}

static int find_peer(Peers *peers, PeerKind kind, const char *owner, Peer **ret, Error *reterr)
{
        Peer *peer = NULL;
        int r;

        for (size_t i = 0; i < peers->n && !peer; i++) {
                if (peers->items[i]->kind != kind || strcmp(peers->items[i]->owner, owner) != 0)
                        continue;
                peer = peers->items[i];
                if (!peer->is_lost && peer->n_owed == 0 &&
                    clock_boottime() - peer->used_boot_usec > IDLE_USEC) {
                        drop(peers, i);
                        peer = NULL;
                        break;
                }
        }
        if (!peer) {
                r = open_peer(peers, kind, owner, &peer, reterr);
                if (r < 0)
                        return r;
        }
        if (peer->is_lost)
                return error_set(reterr, peer->error.code, "%s", peer->error.text);
        if (peer->n_owed == 0)
                peer->used_boot_usec = clock_boottime();
        *ret = peer;
        return 0;
}

int peers_signer(Peers *peers, Peer **ret, Error *reterr)
{
        return find_peer(peers, PEER_SIGNER, "", ret, reterr);
}

int peers_worker(Peers *peers, const char *owner, uid_t owner_uid, Peer **ret, Error *reterr)
{
        if (!peers->places.sockets && owner_uid != geteuid())
                return error_set(reterr, ENOENT,
                                 "no worker for %s HINT: Run pgcertd as %s, or as a service with "
                                 "--sockets.",
                                 owner, owner);
        return find_peer(peers, PEER_WORKER, owner, ret, reterr);
}

int peer_lose(Peer *peer, const Error *error, Error *reterr)
{
        peer->is_lost = true;
        peer->error = *error;
        if (error->code == EPIPE)
                error_set(&peer->error, EPIPE, "%s ended in the middle of its work",
                          program_name(peer->kind));
        else
                error_prefix(&peer->error, "%s", program_name(peer->kind));
        if (reterr)
                *reterr = peer->error;
        return -peer->error.code;
}

int peer_send(Peer *peer, int64_t timeout_usec, Error *reterr)
{
        Error error = {0};

        if (peer->is_lost)
                return error_set(reterr, peer->error.code, "%s", peer->error.text);
        if (wire_send(peer->fd, peer->message, usec_add(clock_boottime(), timeout_usec), &error) <
            0)
                return peer_lose(peer, &error, reterr);
        return 0;
}

/* Reads one message, which may have lain there for a while. */
static int receive(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr)
{
        Error error = {0};
        int r = wire_receive(peer->fd, peer->message, usec_add(clock_boottime(), timeout_usec),
                             &error);

        notify_progress();
        if (r < 0)
                return peer_lose(peer, &error, reterr);
        r = wire_get_reply(peer->message, verb, &error);
        if (r == -EBADMSG)
                return peer_lose(peer, &error, reterr);
        if (r < 0 && reterr)
                *reterr = error;
        return r;
}

int peer_receive(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr)
{
        int r = receive(peer, verb, timeout_usec, reterr);

        peer->used_boot_usec = clock_boottime();
        return r;
}

int peer_ask(Peer *peer, int64_t timeout_usec, Error *reterr)
{
        int r = peer_send(peer, timeout_usec, reterr);

        if (r >= 0)
                peer->n_owed++;
        return r;
}

/* When an answer that is there already was given is not known: the peer may be idle since it was
 * asked. */
static bool has_answered(const Peer *peer)
{
        struct pollfd pollfd = {.fd = peer->fd, .events = POLLIN};

        return poll(&pollfd, 1, 0) != 0;
}

int peer_answer(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr)
{
        bool is_late;
        int r;

        assert(peer->n_owed > 0);
        peer->n_owed--;
        if (peer->is_lost)
                return error_set(reterr, peer->error.code, "%s", peer->error.text);
        is_late = has_answered(peer);
        r = receive(peer, verb, timeout_usec, reterr);
        if (!is_late)
                peer->used_boot_usec = clock_boottime();
        return r;
}

int peer_call(Peer *peer, WireVerb verb, int64_t timeout_usec, Error *reterr)
{
        int r = peer_send(peer, timeout_usec, reterr);

        assert(peer->n_owed == 0);
        return r < 0 ? r : peer_receive(peer, verb, timeout_usec, reterr);
}
