#include "daemon/worker/handshake.h"

#include "tests/postgres.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* What a server that is no PostgreSQL, or one in trouble, does with a connection. */
typedef enum Fake {
        FAKE_GARBAGE,
        FAKE_CLOSE,
        FAKE_SILENT,
        FAKE_ERROR,
        FAKE_PLAIN,
        FAKE_TLS_CLOSE,
        FAKE_TLS_SILENT,
        FAKE_TLS_GARBAGE,
        FAKE_TLS_GONE,
        FAKE_TLS_FLOOD,
        FAKE_FLOOD,
        FAKES,
} Fake;

static pid_t servers[FAKES];

static void say(int fd, const char *text, size_t size)
{
        if (send(fd, text, size, MSG_NOSIGNAL) < 0)
                _exit(0);
}

static void serve(Fake fake, int fd)
{
        static const char error[] = "E\0\0\0\x20SFATAL\0C53300\0Mtoo\x01many\0";
        char junk[8192];

        memset(junk, 'S', sizeof junk);
        switch (fake) {
        case FAKE_GARBAGE:
                say(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
                break;
        case FAKE_CLOSE:
                return;
        case FAKE_ERROR:
                say(fd, error, sizeof error);
                break;
        case FAKE_PLAIN:
                say(fd, "N", 1);
                break;
        case FAKE_TLS_CLOSE:
                say(fd, "S", 1);
                return;
        case FAKE_TLS_SILENT:
                say(fd, "S", 1);
                break;
        case FAKE_TLS_GARBAGE:
                say(fd, "Sthis is not a TLS record", 25);
                break;
        case FAKE_TLS_GONE: /* closed before the client's alert about it can be sent */
                if (recv(fd, junk, 8, MSG_WAITALL) == 8)
                        say(fd, "S\x16\x03\x03\0\5hello", 11);
                return;
        case FAKE_TLS_FLOOD: /* the same byte for ever: 'S' first */
                for (;;)
                        say(fd, junk, sizeof junk);
        case FAKE_FLOOD:
                memset(junk, 'x', sizeof junk);
                for (;;)
                        say(fd, junk, sizeof junk);
        case FAKE_SILENT:
        case FAKES:
                break;
        }
        poll(NULL, 0, 10000);
}

/* A loopback server in a process of its own; returns its port. */
static uint16_t start_fake(Fake fake)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address;

        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        ck_assert_int_eq(listen(fd, 5), 0);
        servers[fake] = fork();
        if (servers[fake] == 0) {
                int client = accept(fd, NULL, NULL);

                serve(fake, client);
                _exit(0);
        }
        return ntohs(address.sin_port);
}

static void stop_fakes(void)
{
        for (size_t i = 0; i < FAKES; i++) {
                if (servers[i] <= 0)
                        continue;
                kill(servers[i], SIGKILL);
                waitpid(servers[i], NULL, 0);
                servers[i] = 0;
        }
}

static void aim(HandshakeTarget *target, uint16_t port)
{
        *target = (HandshakeTarget){.port = port, .name = "localhost"};
        strcpy(target->address, "127.0.0.1");
}

START_TEST(tells_what_answered_and_waits_for_all_at_once)
{
        static const struct {
                HandshakeOutcome outcome;
                const char *said;
                bool is_tls_refused;
        } table[FAKES] = {
                [FAKE_GARBAGE] = {HANDSHAKE_BROKEN, "not a PostgreSQL", false},
                [FAKE_CLOSE] = {HANDSHAKE_BROKEN, "", false}, /* closed, or reset */
                [FAKE_SILENT] = {HANDSHAKE_TIMEOUT, "timed out", false},
                [FAKE_ERROR] = {HANDSHAKE_BROKEN, "too many", false},
                [FAKE_PLAIN] = {HANDSHAKE_PLAIN, "no TLS", false},
                [FAKE_TLS_CLOSE] = {HANDSHAKE_BROKEN, "TLS handshake failed", true},
                [FAKE_TLS_SILENT] = {HANDSHAKE_TIMEOUT, "timed out", false},
                [FAKE_TLS_GARBAGE] = {HANDSHAKE_BROKEN, "TLS handshake failed", true},
                [FAKE_TLS_GONE] = {HANDSHAKE_BROKEN, "TLS handshake failed", true},
                [FAKE_TLS_FLOOD] = {HANDSHAKE_BROKEN, "TLS handshake failed", true},
                [FAKE_FLOOD] = {HANDSHAKE_BROKEN, "not a PostgreSQL", false},
        };
        HandshakeTarget targets[FAKES];
        int64_t before, spent;

        for (Fake i = 0; i < FAKES; i++)
                aim(&targets[i], start_fake(i));
        before = clock_boottime();
        ck_assert_int_eq(handshake_run(targets, FAKES, postgres_within(300), NULL), 0);
        spent = clock_boottime() - before;
        ck_assert_int_ge(spent, 300 * USEC_PER_MSEC);
        ck_assert_int_lt(spent, 600 * USEC_PER_MSEC);
        for (Fake i = 0; i < FAKES; i++) {
                ck_assert_msg(targets[i].served.outcome == table[i].outcome, "%d: %s", i,
                              targets[i].problem);
                ck_assert_msg(strstr(targets[i].problem, table[i].said) != NULL, "%d: %s", i,
                              targets[i].problem);
                ck_assert_int_eq(targets[i].is_tls_refused, table[i].is_tls_refused);
                for (const char *p = targets[i].problem; *p; p++)
                        ck_assert((unsigned char)*p >= 0x20);
        }
}
END_TEST

START_TEST(tells_that_nothing_listens)
{
        HandshakeTarget targets[3];

        for (size_t i = 0; i < ELEMENTSOF(targets); i++)
                aim(&targets[i], postgres.port);
        strcpy(targets[1].address, "localhost");
        strcpy(targets[2].address, "no such host.invalid");
        ck_assert_int_eq(handshake_run(targets, 3, postgres_within(3000), NULL), 0);
        ck_assert_int_eq(targets[0].served.outcome, HANDSHAKE_REFUSED);
        ck_assert_int_eq(targets[1].served.outcome, HANDSHAKE_REFUSED);
        ck_assert_int_eq(targets[2].served.outcome, HANDSHAKE_BROKEN);
        ck_assert_int_eq(handshake_run(NULL, 0, postgres_within(3000), NULL), 0);
}
END_TEST

static void turn_on(const char *certificate)
{
        postgres_must("printf \"ssl = on\\nssl_cert_file = '%s/%s'\\nssl_key_file = "
                      "'%s/server/server.key'\\n\" >pgcertd.conf",
                      postgres.directory, certificate, postgres.directory);
}

static void reload(void)
{
        Postmaster postmaster;

        postgres_find(&postmaster);
        ck_assert_int_eq(postmaster_reload(postgres.data, &postmaster, NULL), 0);
}

START_TEST(sees_tls_turned_on_and_each_new_leaf)
{
        uint8_t first[32], second[32];
        HandshakeTarget target;

        postgres_fingerprint("server/server.crt", first);
        postgres_fingerprint("others/second.crt", second);
        postgres_start("");
        aim(&target, postgres.port);
        ck_assert_int_eq(handshake_run(&target, 1, postgres_within(5000), NULL), 0);
        ck_assert_int_eq(target.served.outcome, HANDSHAKE_PLAIN);
        turn_on("server/server.crt");
        reload();
        ck_assert_int_eq(handshake_await(&target, first, postgres_within(5000), NULL), 1);
        ck_assert_int_eq(target.served.outcome, HANDSHAKE_TLS);
        ck_assert_str_eq(target.served.protocol, "TLSv1.3");
        ck_assert_uint_eq(target.served.chain, 1);
        postgres_must("openssl x509 -in server/server.crt -noout -serial | tr A-F a-f");
        ck_assert_ptr_nonnull(strstr(postgres.output, target.served.leaf.serial));
        postgres_must("cat others/second.crt root.crt >server/server.crt");
        reload();
        ck_assert_int_eq(handshake_await(&target, second, postgres_within(5000), NULL), 1);
        ck_assert_uint_eq(target.served.chain, 2);
}
END_TEST

START_TEST(gives_up_at_the_deadline_or_when_the_server_is_gone)
{
        uint8_t second[32];
        HandshakeTarget target;
        int64_t before;

        postgres_fingerprint("others/second.crt", second);
        turn_on("server/server.crt");
        postgres_start("");
        aim(&target, postgres.port);
        before = clock_boottime();
        ck_assert_int_eq(handshake_await(&target, second, postgres_within(300), NULL), 0);
        ck_assert_int_ge(clock_boottime() - before, 290 * USEC_PER_MSEC);
        ck_assert_int_lt(clock_boottime() - before, 900 * USEC_PER_MSEC);
        ck_assert_int_eq(target.served.outcome, HANDSHAKE_TLS);
        postgres_must("pg_ctl -m immediate stop");
        before = clock_boottime();
        ck_assert_int_eq(handshake_await(&target, second, postgres_within(5000), NULL), 0);
        ck_assert_int_lt(clock_boottime() - before, USEC_PER_SEC);
        ck_assert_int_eq(target.served.outcome, HANDSHAKE_REFUSED);
}
END_TEST

/* listen_addresses = 'localhost' is written so in postmaster.pid, and may mean ::1 first. */
START_TEST(tries_every_address_of_a_name)
{
        HandshakeTarget target;

        turn_on("server/server.crt");
        postgres_start("");
        aim(&target, postgres.port);
        strcpy(target.address, "localhost");
        ck_assert_int_eq(handshake_run(&target, 1, postgres_within(5000), NULL), 0);
        ck_assert_msg(target.served.outcome == HANDSHAKE_TLS, "%s", target.problem);
}
END_TEST

START_TEST(offers_only_what_is_older)
{
        static const char *const below[] = {"TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
        static const char *const met[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
        HandshakeTarget target;

        turn_on("server/server.crt");
        postgres_must("printf \"ssl_min_protocol_version = TLSv1\\nssl_ciphers = "
                      "'DEFAULT@SECLEVEL=0'\\n\" >>pgcertd.conf");
        postgres_start("");
        for (size_t i = 0; i < ELEMENTSOF(below); i++) {
                aim(&target, postgres.port);
                target.below = below[i];
                ck_assert_int_eq(handshake_run(&target, 1, postgres_within(5000), NULL), 0);
                ck_assert_msg(target.served.outcome == HANDSHAKE_TLS, "%s", target.problem);
                ck_assert_str_eq(target.served.protocol, met[i]);
        }
        target.below = "TLSv1";
        ck_assert_int_eq(handshake_run(&target, 1, postgres_within(5000), NULL), 0);
        ck_assert_int_eq(target.served.outcome, HANDSHAKE_NOT_TRIED);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("handshake");
        TCase *c = tcase_create("handshake");

        postgres_become();
        tcase_set_timeout(c, 30);
        tcase_add_unchecked_fixture(c, postgres_create, postgres_remove);
        tcase_add_checked_fixture(c, postgres_reset, stop_fakes);
        tcase_add_test(c, tells_what_answered_and_waits_for_all_at_once);
        tcase_add_test(c, tells_that_nothing_listens);
        tcase_add_test(c, sees_tls_turned_on_and_each_new_leaf);
        tcase_add_test(c, gives_up_at_the_deadline_or_when_the_server_is_gone);
        tcase_add_test(c, tries_every_address_of_a_name);
        tcase_add_test(c, offers_only_what_is_older);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
