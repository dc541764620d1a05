/*
 * Fake workers and a fake signer at their sockets in a runtime directory of the test's own: threads
 * that run one function of the test for each connection.
 */
#pragma once

#include "common/clock.h"
#include "daemon/peer.h"
#include "tests/judge.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

/* What a fake does with its connection. message holds the first request, received. */
typedef void (*FakePeer)(int fd, Message *message);

typedef struct Fake {
        pthread_t thread;
        int listening_fd;
        int connection_fd;
        FakePeer play;
        Message *message;
} Fake;

static void *fake_run(void *userdata)
{
        Fake *fake = userdata;
        uid_t uid;

        /* The listening descriptor becomes readable when somebody connects, or when it is shut. */
        for (;;) {
                int r = wire_accept(fake->listening_fd, &fake->connection_fd, &uid, NULL);

                if (r == 0)
                        break;
                if (r != -EAGAIN)
                        return NULL;
                poll(&(struct pollfd){.fd = fake->listening_fd, .events = POLLIN}, 1, 1000);
        }
        if (wire_receive(fake->connection_fd, fake->message, clock_boottime() + 5 * USEC_PER_SEC,
                         NULL) == 0)
                fake->play(fake->connection_fd, fake->message);
        close(fake->connection_fd);
        return NULL;
}

/* name is that of the socket: signer.sock or worker-OWNER.sock. */
static void fake_start(Fake *fake, const char *name, FakePeer play)
{
        char path[100];

        *fake = (Fake){.connection_fd = -1, .play = play};
        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        ck_assert_int_eq(message_new(&fake->message, NULL), 0);
        ck_assert_int_eq(wire_listen(path, 0600, &fake->listening_fd, NULL), 0);
        ck_assert_int_eq(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

/* After the peers are done, or nobody ever connects. */
static void fake_stop(Fake *fake)
{
        shutdown(fake->listening_fd, SHUT_RDWR);
        pthread_join(fake->thread, NULL);
        close(fake->listening_fd);
        message_free(fake->message);
}

_unused_ static void fake_send(int fd, Message *message)
{
        wire_send(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}
