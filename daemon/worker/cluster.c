#include "daemon/worker/cluster.h"

#include "common/clock.h"
#include "daemon/worker/configuration.h"
#include "daemon/worker/handshake.h"
#include "daemon/worker/serverlog.h"
#include "daemon/worker/settings.h"
#include "daemon/worker/startup.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* A query for the settings must not hold up a look at many clusters. */
#define SETTINGS_TIMEOUT_USEC (2 * USEC_PER_SEC)
#define RELOAD_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* The name that clients verify: the server's first DNS name. */
static const char *server_name(const PolicyCluster *cluster)
{
        for (size_t i = 0; i < cluster->certificate->n_names; i++)
                if (!cluster->certificate->names[i].is_address)
                        return cluster->certificate->names[i].text;
        return NULL;
}

static void aim(const PolicyCluster *cluster, const Postmaster *postmaster, HandshakeTarget *ret)
{
        *ret = (HandshakeTarget){.port = postmaster->port, .name = server_name(cluster)};
        snprintf(ret->address, sizeof ret->address, "%s", postmaster->address);
}

static void add_problem(ObservedCluster *observed, const char *sentence)
{
        if (!observed->problem && sentence[0])
                observed->problem = strdup(sentence); /* without memory the state alone tells */
}

static ClusterState cluster_state(PostmasterOutcome outcome)
{
        switch (outcome) {
        case POSTMASTER_ABSENT:
                return CLUSTER_ABSENT;
        case POSTMASTER_RUNNING:
                return CLUSTER_RUNNING;
        case POSTMASTER_DOWN:
        case POSTMASTER_STARTING:
        case POSTMASTER_SINGLE:
                return CLUSTER_DOWN;
        case POSTMASTER_ELSEWHERE:
                return CLUSTER_UNKNOWN;
        }
        return CLUSTER_UNKNOWN;
}

static void look_for_postmaster(const PolicyCluster *cluster, Postmaster *postmaster,
                                ObservedCluster *observed)
{
        PostmasterOutcome outcome = POSTMASTER_DOWN;
        Error error;

        if (postmaster_find(cluster->data_directory, &outcome, postmaster, &error) < 0) {
                observed->state = CLUSTER_UNKNOWN;
                add_problem(observed, error.text);
                return;
        }
        observed->state = (uint8_t)cluster_state(outcome);
        if (observed->state == CLUSTER_RUNNING) {
                observed->pid = postmaster->pid;
                observed->started_sec = postmaster->started_sec;
        }
        if (outcome == POSTMASTER_ELSEWHERE)
                add_problem(observed, "the postmaster runs in another container or as another user "
                                      "HINT: Run pgcertd beside it, as its user.");
        if (outcome == POSTMASTER_STARTING)
                add_problem(observed, "PostgreSQL is starting");
        if (outcome == POSTMASTER_SINGLE)
                add_problem(observed, "PostgreSQL runs in single-user mode");
}

/* Who else sets what our configuration sets. */
static void look_at_settings(const PolicyCluster *cluster, const Postmaster *postmaster,
                             int64_t deadline_usec, ObservedCluster *observed)
{
        _cleanup_(settings_result_done) SettingsResult settings = {0};
        int64_t deadline = clock_boottime() + SETTINGS_TIMEOUT_USEC;
        bool is_running = observed->state == CLUSTER_RUNNING;
        Error error;

        if (observed->state != CLUSTER_RUNNING && observed->state != CLUSTER_DOWN)
                return;
        if (settings_check(cluster, is_running ? postmaster : NULL,
                           deadline < deadline_usec ? deadline : deadline_usec, &settings,
                           &error) < 0)
                return; /* not known, which is no failure */
        observed->in_force_known = settings.known;
        observed->override = TAKE_PTR(settings.override);
        add_problem(observed, settings.advice ? settings.advice : "");
}

/* Shakes hands with all that run at once. */
static int look_at_served(const PolicyCluster *const *clusters, size_t n,
                          const Postmaster *postmasters, int64_t deadline_usec,
                          ObservedCluster *observed, Error *reterr)
{
        _cleanup_(freep) HandshakeTarget *targets = calloc(n + 1, sizeof *targets);
        _cleanup_(freep) size_t *of = calloc(n + 1, sizeof *of);
        int64_t deadline = clock_boottime();
        size_t n_targets = 0;
        int r;

        if (!targets || !of)
                return error_oom(reterr);
        for (size_t i = 0; i < n; i++) {
                int64_t own = clock_boottime() + clusters[i]->timeout_usec;

                if (observed[i].state != CLUSTER_RUNNING || !postmasters[i].address[0])
                        continue;
                deadline = own > deadline ? own : deadline;
                aim(clusters[i], &postmasters[i], &targets[n_targets]);
                of[n_targets++] = i;
        }
        r = handshake_run(targets, n_targets, deadline < deadline_usec ? deadline : deadline_usec,
                          reterr);
        for (size_t i = 0; r >= 0 && i < n_targets; i++) {
                observed[of[i]].served = targets[i].served;
                if (targets[i].served.outcome != HANDSHAKE_TLS &&
                    targets[i].served.outcome != HANDSHAKE_PLAIN)
                        add_problem(&observed[of[i]], targets[i].problem);
        }
        return r;
}

int cluster_observe(const PolicyCluster *const *clusters, size_t n, int64_t deadline_usec,
                    ObservedCluster *ret, Error *reterr)
{
        _cleanup_(freep) Postmaster *postmasters = calloc(n + 1, sizeof *postmasters);
        int r;

        if (!postmasters)
                return error_oom(reterr);
        for (size_t i = 0; i < n; i++) {
                char *problem = NULL;

                ret[i] = (ObservedCluster){0};
                look_for_postmaster(clusters[i], &postmasters[i], &ret[i]);
                ret[i].configuration = (uint8_t)configuration_observe(clusters[i], &problem);
                add_problem(&ret[i], problem ? problem : "");
                free(problem);
        }
        r = look_at_served(clusters, n, postmasters, deadline_usec, ret, reterr);
        /* One after another, so one that hangs is not asked: it would hold up the others. */
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (ret[i].served.outcome != HANDSHAKE_TIMEOUT)
                        look_at_settings(clusters[i], &postmasters[i], deadline_usec, &ret[i]);
        return r;
}

static int find_running(const PolicyCluster *cluster, Postmaster *ret, Error *reterr)
{
        PostmasterOutcome outcome;
        int r = postmaster_find(cluster->data_directory, &outcome, ret, reterr);

        if (r < 0)
                return r;
        if (outcome != POSTMASTER_RUNNING)
                return error_set(reterr, ESRCH, "no postmaster runs on %s",
                                 cluster->data_directory);
        return 0;
}

int cluster_load(const PolicyCluster *cluster, int64_t *ret_pid, int64_t *ret_started_sec,
                 Error *reterr)
{
        _cleanup_(freep) char *rows = NULL;
        Postmaster postmaster;
        int r = find_running(cluster, &postmaster, reterr);

        if (r < 0)
                return r;
        if (cluster->reload == POLICY_RELOAD_SQL)
                r = login_query(&postmaster, cluster->certificate->owner, "select pg_reload_conf()",
                                clock_boottime() + RELOAD_TIMEOUT_USEC, &rows, reterr);
        else
                r = postmaster_reload(cluster->data_directory, &postmaster, reterr);
        if (r < 0)
                return r;
        *ret_pid = postmaster.pid;
        *ret_started_sec = postmaster.started_sec;
        return 0;
}

/* What a PostgreSQL that answered with something else has to say. */
static void tell_refusal(const PolicyCluster *cluster, const Postmaster *postmaster,
                         ProveResult *ret)
{
        _cleanup_(settings_result_done) SettingsResult settings = {0};
        int64_t deadline = clock_boottime() + SETTINGS_TIMEOUT_USEC;
        Error error;
        int r = settings_check(cluster, postmaster, deadline, &settings, &error);

        /* What was never read was not refused: with the old set it would be the same. */
        if (r >= 0 && settings.override && !settings.included)
                ret->outcome = PROVE_OWED;
        if (r >= 0 && (settings.override || settings.advice))
                snprintf(ret->sentence, sizeof ret->sentence, "%s",
                         settings.override ? settings.override : settings.advice);
        else if (serverlog_refusal(cluster->data_directory, postmaster, ret->sentence,
                                   sizeof ret->sentence))
                return;
        else if (ret->served.outcome == HANDSHAKE_PLAIN)
                snprintf(ret->sentence, sizeof ret->sentence,
                         "PostgreSQL still has no TLS HINT: Look into its log for \"SSL "
                         "configuration was not reloaded\".");
        else
                snprintf(ret->sentence, sizeof ret->sentence,
                         "PostgreSQL still serves serial %s HINT: Look into its log for \"SSL "
                         "configuration was not reloaded\".",
                         ret->served.leaf.serial);
}

/* Judges an answer that is not the leaf: only the same postmaster's own word is a refusal. */
static int judge(const PolicyCluster *cluster, const Postmaster *before,
                 const HandshakeTarget *target, ProveResult *ret, Error *reterr)
{
        PostmasterOutcome outcome;
        Postmaster now;
        int r = postmaster_find(cluster->data_directory, &outcome, &now, reterr);

        if (r < 0)
                return r;
        ret->outcome = PROVE_OWED;
        if (outcome != POSTMASTER_RUNNING || now.pid != before->pid ||
            now.started_sec != before->started_sec) {
                snprintf(ret->sentence, sizeof ret->sentence,
                         "the postmaster ended or was restarted meanwhile");
        } else if (target->served.outcome == HANDSHAKE_TLS ||
                   target->served.outcome == HANDSHAKE_PLAIN) {
                ret->outcome = PROVE_REFUSED;
                tell_refusal(cluster, before, ret);
        } else {
                snprintf(ret->sentence, sizeof ret->sentence, "PostgreSQL did not answer: %s",
                         target->problem);
        }
        return 0;
}

int cluster_prove(const PolicyCluster *cluster, const uint8_t leaf[CERT_FINGERPRINT],
                  int64_t deadline_usec, ProveResult *ret, Error *reterr)
{
        HandshakeTarget target;
        Postmaster postmaster;
        int r = find_running(cluster, &postmaster, reterr);

        *ret = (ProveResult){.outcome = PROVE_OWED};
        if (r == -ESRCH) {
                snprintf(ret->sentence, sizeof ret->sentence, "no postmaster runs on %.400s",
                         cluster->data_directory);
                return 0;
        }
        if (r < 0)
                return r;
        if (!postmaster.address[0]) {
                ret->outcome = PROVE_UNVERIFIABLE;
                snprintf(ret->sentence, sizeof ret->sentence,
                         "PostgreSQL listens on no TCP address");
                return 0;
        }
        aim(cluster, &postmaster, &target);
        r = handshake_await(&target, leaf, deadline_usec, reterr);
        ret->served = target.served;
        if (r < 0)
                return r;
        if (r == 0)
                return judge(cluster, &postmaster, &target, ret, reterr);
        ret->outcome = PROVE_PROVEN;
        return 0;
}

/* 0 where the check went as the policy wants or cannot be made now, 1 where it did not. */
static int take_result(const char *what, const LoginResult *one, LoginResult *ret)
{
        switch (one->outcome) {
        case LOGIN_DONE:
                return 0;
        case LOGIN_UNVERIFIABLE:
                if (ret->outcome == LOGIN_DONE)
                        *ret = *one;
                return 0;
        case LOGIN_FAILED:
                ret->outcome = LOGIN_FAILED;
                snprintf(ret->sentence, sizeof ret->sentence, "%.100s: %.400s", what,
                         one->sentence);
                return 1;
        }
        return 0;
}

/* With the client certificates of one owner: a key is read by its owner's worker alone. */
static int log_in_as(const PolicyCluster *cluster, uid_t owner, const Postmaster *postmaster,
                     int64_t deadline_usec, LoginResult *ret, Error *reterr)
{
        int r = 0;

        for (size_t i = 0; i < cluster->n_as && r == 0; i++) {
                LoginResult one = {0};
                char what[POLICY_NAME_MAX + 32];

                if (cluster->as[i]->owner_uid != owner)
                        continue;
                r = login_with_certificate(cluster, cluster->as[i], postmaster, deadline_usec, &one,
                                           reterr);
                snprintf(what, sizeof what, "the login with %s failed", cluster->as[i]->name);
                if (r >= 0)
                        r = take_result(what, &one, ret);
        }
        return r;
}

int cluster_login(const PolicyCluster *cluster, int64_t deadline_usec, LoginResult *ret,
                  Error *reterr)
{
        LoginResult one = {0};
        Postmaster postmaster;
        int r = find_running(cluster, &postmaster, reterr);

        *ret = (LoginResult){.outcome = LOGIN_DONE};
        if (r == -ESRCH || (r >= 0 && !postmaster.address[0])) {
                ret->outcome = LOGIN_UNVERIFIABLE;
                snprintf(ret->sentence, sizeof ret->sentence, "no PostgreSQL is reached over TCP");
                return 0;
        }
        if (r >= 0)
                r = log_in_as(cluster, cluster->certificate->owner_uid, &postmaster, deadline_usec,
                              ret, reterr);
        if (r == 0 && cluster->plaintext == POLICY_PLAINTEXT_REFUSED) {
                const char *role =
                        cluster->n_as ? cluster->as[0]->role : cluster->certificate->owner;

                r = login_plaintext(cluster, role, &postmaster, deadline_usec, &one, reterr);
                if (r >= 0)
                        r = take_result("plaintext is not refused", &one, ret);
        }
        if (r == 0 && cluster->min_protocol) {
                one = (LoginResult){0};
                r = login_old_protocol(cluster, &postmaster, deadline_usec, &one, reterr);
                if (r >= 0)
                        r = take_result("an old protocol is not refused", &one, ret);
        }
        return r < 0 ? r : 0;
}

int cluster_place(const PolicyCluster *cluster, int64_t deadline_usec, ClusterPlace *ret,
                  Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        Postmaster postmaster;
        int r = find_running(cluster, &postmaster, reterr);

        *ret = (ClusterPlace){0};
        if (r == -ESRCH || (r >= 0 && !postmaster.address[0]))
                return 0;
        if (r >= 0 && startup_connect(postmaster.address, postmaster.port, deadline_usec, &fd,
                                      ret->address, NULL) >= 0)
                ret->port = postmaster.port;
        return r < 0 ? r : 0;
}

/* An address of this machine, in numbers: whoever asks must not send us anywhere else. */
static bool is_here(const char *address)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST};
        struct addrinfo *found = NULL;
        _cleanup_(closep) int fd = -1;
        bool is_here;

        if (getaddrinfo(address, NULL, &hints, &found) != 0)
                return false;
        fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        is_here = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0;
        freeaddrinfo(found);
        return is_here;
}

int cluster_login_as(const PolicyCluster *cluster, uid_t owner, const ClusterPlace *place,
                     int64_t deadline_usec, LoginResult *ret, Error *reterr)
{
        Postmaster postmaster = {.port = place->port};
        bool is_asked = false;
        int r;

        for (size_t i = 0; i < cluster->n_as; i++)
                is_asked |= cluster->as[i]->owner_uid == owner;
        if (!is_asked)
                return error_set(reterr, EPERM,
                                 "the policy has this owner log in to no cluster \"%s\"",
                                 cluster->name);
        if (!is_here(place->address) || place->port == 0)
                return error_set(reterr, EPERM, "\"%.60s\" is no address of this machine",
                                 place->address);
        snprintf(postmaster.address, sizeof postmaster.address, "%s", place->address);
        *ret = (LoginResult){.outcome = LOGIN_DONE};
        r = log_in_as(cluster, owner, &postmaster, deadline_usec, ret, reterr);
        return r < 0 ? r : 0;
}
