/*
 * The signer killed at each of its changes to disk and messages, one after another, and started
 * again: whatever was told is in the ledger, and there is one CA.
 */
#include "tests/signer_client.h"

enum { CRASH_MAX = 200 };

/* What a caller was told before the crash; "" for nothing. */
typedef struct Told {
        char authority[CERT_SERIAL_MAX];
        char leaf[CERT_SERIAL_MAX];
} Told;

/* strace counts each of them on its own. */
static const char *const calls[] = {"/^mkdir",   "/^rename",  "/^unlink", "write",  "fsync",
                                    "fdatasync", "ftruncate", "/^send",   "/^open", "/^recv"};

/* Stands in for the program: strace kills it as it enters that call for the Nth time. */
static void start_killed(const char *call, int when)
{
        char script[2000];

        snprintf(script, sizeof script,
                 "#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec strace -qq -o /dev/null "
                 "-e inject=%s:signal=KILL:when=%d %s/daemon/pgcertd-signer \"$@\"\n",
                 call, when, getenv("PGCERTD_BUILD"));
        start_script("killed", script);
}

static Told ask(void)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        CertFacts leaf;
        Told told = {0};

        if (authority("main", 1, &observed) == 0)
                strcpy(told.authority, observed.generations[0].facts.serial);
        if (issue("server-ed25519", KEY_ED25519, &leaf) == 0)
                strcpy(told.leaf, leaf.serial);
        return told;
}

static void judge_after(const Told *before, const char *name, int when)
{
        Told after;

        start();
        after = ask();
        ck_assert_int_eq(stop(), 0);
        ck_assert_msg(after.authority[0] && after.leaf[0], "%s %d: %s", name, when, error.text);
        if (before->authority[0])
                ck_assert_str_eq(before->authority, after.authority);
        judge_run(
                "grep -c '\"event\":\"authority\".*\"serial\":\"%s\".*}$' state/ledger.jsonl;"
                "grep -c '\"serial\":\"%s\".*}$' state/ledger.jsonl;"
                "grep -c '\"serial\":\"%s\".*}$' state/ledger.jsonl; ls -A state/ca state/ca/main",
                after.authority, after.leaf, before->leaf[0] ? before->leaf : after.leaf);
        ck_assert_msg(strcmp(judge_output, "1\n1\n1\nstate/ca:\nmain\n\nstate/ca/main:\n"
                                           "G1.active\nG1.crt\nG1.key\nG1.prepared\n") == 0,
                      "%s %d: %s", name, when, judge_output);
}

START_TEST(survives_a_kill_at_every_change)
{
        const char *name = calls[_i];
        int when;

        ck_assert_int_eq(stop(), 0);
        for (when = 1; when < CRASH_MAX; when++) {
                Told told;

                judge_run("rm -rf state");
                start_killed(name, when);
                told = ask();
                if (stop() == 0)
                        break;
                judge_after(&told, name, when);
        }
        /* It was killed at least once, and at last it was not. */
        ck_assert_msg(when > 1 && when < CRASH_MAX, "%s: %d", name, when);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("signer crash");
        TCase *tc = tcase_create("signer crash");

        skip_without_strace();
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 100);
        tcase_add_loop_test(tc, survives_a_kill_at_every_change, 0, ELEMENTSOF(calls));
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
