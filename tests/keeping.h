/*
 * For tests of what keeps time: a state over a policy in a directory of the test's own, whose
 * workers and signer are not there unless the test listens at their sockets. Passes are quick then,
 * and change nothing.
 */
#pragma once

#include "common/clock.h"
#include "daemon/keeper.h"
#include "tests/judge.h"

#include <signal.h>

static State state;
static sd_event *event;

static const char policy_text[] = "version: 1\n"
                                  "authorities:\n"
                                  "  main: { subject: { CN: root } }\n"
                                  "certificates:\n"
                                  "  one: { use: server, authority: main, names: [a.example.com],\n"
                                  "         directory: /nonexistent/one, owner: daemon }\n";

static const char two_text[] =
        "  two: { use: client, authority: main, role: app, directory: /nonexistent/two,\n"
        "         owner: daemon }\n";

/* The policy with one certificate, and what comes after it. */
static void write_policy(const char *more)
{
        char text[2048];

        snprintf(text, sizeof text, "%s%s", policy_text, more);
        judge_write("policy.yaml", text, strlen(text));
}

static void load(void)
{
        static char file[JUDGE_COMMAND_MAX];
        PeerPlaces places = {.policy_file = file, .sockets = true};
        Errors errors = {0};
        sigset_t signals;

        judge_setup();
        snprintf(file, sizeof file, "%s/policy.yaml", judge_directory);
        places.state_dir = places.runtime_dir = judge_directory;
        write_policy(two_text);
        state_init(&state, &places);
        if (state_load(&state, &errors) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        errors_done(&errors);
        sigemptyset(&signals);
        sigaddset(&signals, SIGHUP);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &signals, NULL), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
}

static void unload(void)
{
        event = sd_event_unref(event);
        state_done(&state);
        judge_teardown();
}

/* Turns the loop until it is so. Fails after 10 s: no pass of these tests waits for anything. */
static void run_until(bool (*is_so)(void))
{
        int64_t deadline = clock_boottime() + 10 * USEC_PER_SEC;

        while (!is_so()) {
                ck_assert_int_lt(clock_boottime(), deadline);
                ck_assert_int_ge(sd_event_run(event, 10 * USEC_PER_MSEC), 0);
        }
}
