/*
 * Reaching peers at their sockets, losing them, and ending it all from another thread. Fakes stand
 * for workers and the signer; programs are started only where there are none.
 */
#include "tests/fake_peer.h"

static Peers peers;
static Error error;
static const int64_t timeout = 5 * USEC_PER_SEC;

static void begin(bool sockets)
{
        PeerPlaces places = {.policy_file = "/nonexistent",
                             .state_dir = judge_directory,
                             .runtime_dir = judge_directory,
                             .sockets = sockets};

        judge_setup();
        error = (Error){0};
        peers_init(&peers, &places);
}

static void setup(void)
{
        begin(true);
}

static void teardown(void)
{
        peers_done(&peers);
        judge_teardown();
}

/* Answers every LOAD with its own fields, until the end. */
static void echo(int fd, Message *message)
{
        do {
                wire_reply(message, WIRE_LOAD);
                wire_put_text(message, "done");
                fake_send(fd, message);
        } while (wire_receive(fd, message, clock_boottime() + timeout, NULL) == 0);
}

/* Answers every LOAD with its number. */
static void count(int fd, Message *message)
{
        uint32_t number = 0;

        do {
                wire_reply(message, WIRE_LOAD);
                wire_put_u32(message, number++);
                fake_send(fd, message);
        } while (wire_receive(fd, message, clock_boottime() + timeout, NULL) == 0);
}

static void refuse(int fd, Message *message)
{
        do {
                Error refusal;

                error_set(&refusal, EPERM, "not granted");
                wire_reply_error(message, WIRE_LOAD, &refusal);
                fake_send(fd, message);
        } while (wire_receive(fd, message, clock_boottime() + timeout, NULL) == 0);
}

static void hang_up(int fd, Message *message)
{
}

static void answer_something_else(int fd, Message *message)
{
        wire_reply(message, WIRE_PROVE);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + timeout, NULL);
}

static void answer_junk(int fd, Message *message)
{
        message->size = 3;
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + timeout, NULL);
}

static void stay_silent(int fd, Message *message)
{
        while (wire_receive(fd, message, clock_boottime() + 60 * USEC_PER_SEC, NULL) == 0)
                continue;
}

static int load(Peer *peer, int64_t timeout_usec)
{
        wire_request(peer->message, WIRE_LOAD, 1);
        return peer_call(peer, WIRE_LOAD, timeout_usec, &error);
}

START_TEST(calls_a_worker_and_the_signer)
{
        Fake worker, signer;
        Peer *one, *two, *again;

        fake_start(&worker, "worker-alice.sock", echo);
        fake_start(&signer, "signer.sock", echo);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &one, &error), 0);
        ck_assert_int_eq(peers_signer(&peers, &two, &error), 0);
        for (unsigned i = 0; i < 3; i++) {
                ck_assert_int_eq(load(one, timeout), 0);
                ck_assert_str_eq(wire_get_text(one->message, 63), "done");
                ck_assert_int_eq(load(two, timeout), 0);
        }
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &again, &error), 0);
        ck_assert_ptr_eq(one, again);
        ck_assert_uint_eq(peers.n, 2);
        peers_done(&peers);
        fake_stop(&worker);
        fake_stop(&signer);
}
END_TEST

START_TEST(says_who_is_not_there)
{
        Peer *peer;

        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), -ENOENT);
                ck_assert_ptr_eq(strstr(error.text, "no worker for alice: cannot connect"),
                                 error.text);
                ck_assert_int_eq(peers_signer(&peers, &peer, &error), -ENOENT);
                ck_assert_ptr_eq(strstr(error.text, "no signer: cannot connect"), error.text);
        }
        ck_assert_uint_eq(peers.n, 2);
}
END_TEST

START_TEST(keeps_a_peer_that_refuses)
{
        Fake worker;
        Peer *peer;

        fake_start(&worker, "worker-alice.sock", refuse);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(load(peer, timeout), -EPERM);
                ck_assert_str_eq(error.text, "not granted");
                ck_assert(!peer->is_lost);
        }
        ck_assert_int_eq(peer_call(peer, WIRE_LOAD, timeout, NULL), -EPERM);
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

static const struct {
        FakePeer play;
        int64_t timeout_usec;
        int code;
        const char *text;
} losses[] = {
        {hang_up, 5 * USEC_PER_SEC, -EPIPE, "pgcertd-worker ended in the middle of its work"},
        {answer_something_else, 5 * USEC_PER_SEC, -EBADMSG, "pgcertd-worker: a reply to something"},
        {answer_junk, 5 * USEC_PER_SEC, -EBADMSG, "pgcertd-worker: a reply to something else"},
        {stay_silent, USEC_PER_SEC / 20, -ETIMEDOUT, "pgcertd-worker: no answer within"},
        {stay_silent, -1, -ETIMEDOUT, "pgcertd-worker: no answer within"},
};

START_TEST(loses_a_peer_whose_connection_fails)
{
        Fake worker;
        Peer *peer, *other;

        fake_start(&worker, "worker-alice.sock", losses[_i].play);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        ck_assert_int_eq(load(peer, losses[_i].timeout_usec), losses[_i].code);
        ck_assert_msg(strstr(error.text, losses[_i].text) != NULL, "%s", error.text);
        ck_assert(peer->is_lost);
        /* Nothing more is asked of it. */
        ck_assert_int_eq(load(peer, timeout), losses[_i].code);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &other, &error), losses[_i].code);
        ck_assert_ptr_nonnull(strstr(error.text, losses[_i].text));
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

static int ask(Peer *peer)
{
        wire_request(peer->message, WIRE_LOAD, 1);
        return peer_ask(peer, timeout, &error);
}

START_TEST(takes_answers_in_the_order_of_the_requests)
{
        Fake worker;
        Peer *peer;

        fake_start(&worker, "worker-alice.sock", count);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        for (uint32_t i = 0; i < 5; i++)
                ck_assert_int_eq(ask(peer), 0);
        for (uint32_t i = 0; i < 5; i++) {
                ck_assert_int_eq(peer_answer(peer, WIRE_LOAD, timeout, &error), 0);
                ck_assert_uint_eq(wire_get_u32(peer->message), i);
        }
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

/* A program that was asked does not end before it has answered; one that has answered may, and
 * nobody knows when that was. */
START_TEST(leaves_no_peer_behind_that_owes_an_answer)
{
        Fake worker;
        Peer *peer, *same;
        struct pollfd pollfd = {.events = POLLIN};

        fake_start(&worker, "worker-alice.sock", count);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        ck_assert_int_eq(ask(peer), 0);
        peer->used_boot_usec = 0; /* long ago */
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &same, &error), 0);
        ck_assert_ptr_eq(peer, same);
        pollfd.fd = peer->fd;
        ck_assert_int_eq(poll(&pollfd, 1, -1), 1);
        ck_assert_int_eq(peer_answer(peer, WIRE_LOAD, timeout, &error), 0);
        ck_assert_int_eq(peer->used_boot_usec, 0);
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

START_TEST(owes_nothing_once_it_is_lost)
{
        Fake worker;
        Peer *peer;

        fake_start(&worker, "worker-alice.sock", stay_silent);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        ck_assert_int_eq(ask(peer), 0);
        ck_assert_int_eq(ask(peer), 0);
        ck_assert_int_eq(peer_answer(peer, WIRE_LOAD, USEC_PER_SEC / 20, &error), -ETIMEDOUT);
        /* It is not waited for again. */
        ck_assert_int_eq(peer_answer(peer, WIRE_LOAD, 3600 * USEC_PER_SEC, &error), -ETIMEDOUT);
        ck_assert_int_eq(ask(peer), -ETIMEDOUT);
        ck_assert_uint_eq(peer->n_owed, 0);
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

static void *cancel_soon(void *userdata)
{
        poll(NULL, 0, 50);
        peers_cancel(&peers);
        return NULL;
}

START_TEST(ends_a_call_that_is_under_way)
{
        int64_t begin = clock_boottime();
        pthread_t thread;
        Fake worker;
        Peer *peer;

        fake_start(&worker, "worker-alice.sock", stay_silent);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), 0);
        ck_assert(!peers_is_cancelled(&peers));
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
        ck_assert_int_eq(load(peer, 60 * USEC_PER_SEC), -EPIPE);
        ck_assert_int_lt(clock_boottime() - begin, 10 * USEC_PER_SEC);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert(peers_is_cancelled(&peers));
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), -EPIPE);
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

START_TEST(opens_nothing_once_cancelled)
{
        Fake worker;
        Peer *peer;

        fake_start(&worker, "worker-alice.sock", echo);
        peers_cancel(&peers);
        ck_assert_int_eq(peers_worker(&peers, "alice", 12345, &peer, &error), -ECANCELED);
        ck_assert_str_eq(error.text, "pgcertd is ending");
        peers_done(&peers);
        fake_stop(&worker);
}
END_TEST

static void setup_started(void)
{
        begin(false);
}

/* Beside this test there is no worker; where one is installed, it ends by itself. */
START_TEST(starts_a_worker_for_its_own_user_only)
{
        Peer *peer = NULL;
        int r;

        ck_assert_int_eq(peers_worker(&peers, "alice", geteuid() + 1, &peer, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "no worker for alice HINT: Run pgcertd as alice"));
        ck_assert_uint_eq(peers.n, 0);
        r = peers_worker(&peers, "me", geteuid(), &peer, &error);
        if (r < 0) {
                ck_assert_int_eq(r, -ENOENT);
                ck_assert_ptr_nonnull(strstr(error.text, "cannot find the program pgcertd-worker"));
        }
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("peer");
        TCase *sockets = tcase_create("sockets"), *started = tcase_create("started");

        tcase_add_checked_fixture(sockets, setup, teardown);
        tcase_set_timeout(sockets, 60);
        tcase_add_test(sockets, calls_a_worker_and_the_signer);
        tcase_add_test(sockets, says_who_is_not_there);
        tcase_add_test(sockets, keeps_a_peer_that_refuses);
        tcase_add_test(sockets, takes_answers_in_the_order_of_the_requests);
        tcase_add_test(sockets, leaves_no_peer_behind_that_owes_an_answer);
        tcase_add_test(sockets, owes_nothing_once_it_is_lost);
        tcase_add_loop_test(sockets, loses_a_peer_whose_connection_fails, 0, ELEMENTSOF(losses));
        tcase_add_test(sockets, ends_a_call_that_is_under_way);
        tcase_add_test(sockets, opens_nothing_once_cancelled);
        suite_add_tcase(suite, sockets);
        tcase_add_checked_fixture(started, setup_started, teardown);
        tcase_add_test(started, starts_a_worker_for_its_own_user_only);
        suite_add_tcase(suite, started);
        return suite;
}

#include "tests/check_main.h"
