/*
 * A request to pgcertd, timed from the connection to the end of the answer: pgcertctl without the
 * start of a process. And what a pair of files does that is renamed one after the other.
 */
#include "tests/bench.h"

#include "common/clock.h"
#include "common/wire.h"
#include "common/wire_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES_MAX = 1000000 };

/* The exit status that pgcertctl would have. */
static int answer(int fd, Message *message)
{
        for (int i = 0; i < MESSAGES_MAX; i++) {
                Error error = {0};

                bench_check(wire_receive(fd, message, USEC_INFINITY, &error) >= 0 &&
                                    wire_get_reply(message, WIRE_CONTROL, &error) >= 0,
                            error.text);
                if (wire_get_u8(message) == CONTROL_END)
                        return wire_get_u8(message);
        }
        return 3;
}

int bench_request(int argc, char **argv)
{
        _cleanup_(message_freep) Message *message = NULL;
        _cleanup_(closep) int fd = -1;
        int64_t deadline_usec = clock_boottime() + 5 * USEC_PER_SEC;
        double begin_at = bench_now();
        Error error = {0};
        int status;

        bench_check(argc >= 4 && message_new(&message, &error) >= 0, "usage");
        bench_check(wire_connect(argv[1], deadline_usec, &fd, &error) >= 0, error.text);
        wire_request(message, WIRE_CONTROL, 0);
        wire_put_u8(message, (uint8_t)strtoul(argv[2], NULL, 10));
        for (int i = 3; i < argc; i++)
                wire_put_text(message, argv[i]);
        bench_check(wire_send(fd, message, deadline_usec, &error) >= 0, error.text);
        status = answer(fd, message);
        bench_tell("seconds", bench_now() - begin_at);
        bench_tell("status", status);
        return 0;
}

static void put(int fd, const char *from, const char *name)
{
        bench_check((unlinkat(fd, ".new", 0) == 0 || errno == ENOENT) &&
                            linkat(fd, from, fd, ".new", 0) == 0 &&
                            renameat(fd, ".new", fd, name) == 0,
                    name);
}

/* Until it is ended: postgresql.key, then postgresql.crt, from the pairs a and b by turns. */
int bench_swap(int argc, char **argv)
{
        int fd = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        bench_check(fd >= 0, "usage");
        for (;;) {
                put(fd, "b.key", "postgresql.key");
                put(fd, "b.crt", "postgresql.crt");
                usleep((useconds_t)strtoul(argv[2], NULL, 10));
                put(fd, "a.key", "postgresql.key");
                put(fd, "a.crt", "postgresql.crt");
                usleep((useconds_t)strtoul(argv[2], NULL, 10));
        }
}
