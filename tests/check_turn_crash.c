/*
 * The signer killed at each of its changes to disk in each turn of a rollover, and started again:
 * what it had told is still so, and asked again it finishes.
 */
#include "tests/signer_client.h"

enum { CRASH_MAX = 100 };

static const char *const calls[] = {"/^mkdir",  "/^rename", "/^unlink",  "write",
                                    "pwrite64", "fsync",    "fdatasync", "/^send"};

/* Stamps of long ago, so that nothing has to be waited for. */
#define LONG_AGO                                                                                   \
        "for f in state/ca/main/*.prepared state/ca/main/*.announced; do echo '1 x' >$f; done"
#define G1 "G1.active G1.crt G1.key G1.prepared "

static const struct {
        WireVerb verb;
        uint32_t number;
        const char *from; /* the turn before, whose state this one begins with; "" for none */
        const char *name;
        const char *files; /* afterwards */
        const char *entry; /* in the ledger */
        uint32_t current;
} turns[] = {
        {WIRE_AUTHORITY, 1, "nothing", "made", G1,
         "authority\",\"authority\":\"main\",\"generation\":1", 1},
        {WIRE_PREPARE, 0, "made", "prepared", G1 "G2.cross G2.crt G2.key G2.prepared ",
         "prepared\",\"authority\":\"main\",\"generation\":2", 1},
        {WIRE_ANNOUNCE, 2, "prepared", "announced",
         G1 "G2.announced G2.cross G2.crt G2.key G2.prepared ",
         "announced\",\"authority\":\"main\",\"generation\":2", 1},
        {WIRE_ACTIVATE, 2, "announced", "activated",
         G1 "G2.active G2.announced G2.cross G2.crt G2.key G2.prepared ",
         "activated\",\"authority\":\"main\",\"generation\":2", 2},
        {WIRE_RETIRE, 1, "activated", "retired",
         "G1.crt G1.retired G2.active G2.announced G2.cross G2.crt G2.key G2.prepared ",
         "retired\",\"authority\":\"main\",\"generation\":1", 2},
        {WIRE_EMERGENCY, 1, "prepared", "replaced",
         "G1.active G1.crt G1.key G1.prepared G1.stolen G2.crt G2.retired G3.active G3.cross "
         "G3.crt "
         "G3.key G3.prepared ",
         "activated\",\"authority\":\"main\",\"generation\":3", 3},
        {WIRE_AUTHORITY, 1, "foreign", "imported", "G1.active G1.crt G1.imported G1.key ",
         "imported\",\"authority\":\"main\",\"generation\":1", 1},
        {WIRE_ACTIVATE, 2, "followed", "wiped",
         "G1.active G1.crt G1.imported G2.active G2.announced G2.cross G2.crt G2.key G2.prepared ",
         "activated\",\"authority\":\"main\",\"generation\":2", 2},
};

static void start_killed(const char *call, int when)
{
        char script[2000];

        snprintf(script, sizeof script,
                 "#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec strace -qq -o /dev/null "
                 "-e inject=%s:signal=KILL:when=%d %s/daemon/pgcertd-signer \"$@\"\n",
                 call, when, getenv("PGCERTD_BUILD"));
        start_script("killed", script);
}

static int ask(WireVerb verb, uint32_t number, ObservedAuthority *ret)
{
        int r;

        if (verb == WIRE_AUTHORITY)
                return authority("main", (uint8_t)number, ret);
        wire_request(message, verb, tag);
        wire_put_text(message, "main");
        if (verb != WIRE_PREPARE)
                wire_put_u32(message, number);
        r = call(verb);
        return r < 0 ? r : authority_get(message, ret, &error);
}

static void step(WireVerb verb, uint32_t number)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        ck_assert_msg(ask(verb, number, &observed) == 0, "%s", error.text);
}

static void keep(const char *name)
{
        ck_assert_int_eq(judge_run("cp -a state %s", name), 0);
}

/* The states that turns begin with. */
static void make_states(void)
{
        ck_assert_int_eq(stop(), 0);
        judge_run("mkdir nothing foreign; chown %s nothing foreign", user);
        start();
        step(WIRE_AUTHORITY, 1);
        keep("made");
        step(WIRE_PREPARE, 0);
        keep("prepared");
        step(WIRE_ANNOUNCE, 2);
        ck_assert_int_eq(judge_run(LONG_AGO), 0);
        keep("announced");
        step(WIRE_ACTIVATE, 2);
        keep("activated");
        ck_assert_int_eq(stop(), 0);
}

static void make_foreign(void)
{
        ck_assert_int_eq(
                judge_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                          "-keyout old.key -subj /CN=root -days 36500 -out old.crt && "
                          "chown %s old.key && sed -i '0,/^    key:/s//    adopt: { certificate: "
                          "%s\\/old.crt, key: %s\\/old.key }\\n    key:/' policy.yaml",
                          user, "OLD", "OLD"),
                0);
        ck_assert_int_eq(judge_run("sed -i \"s#OLD/#$PWD/#g\" policy.yaml"), 0);
        ck_assert_msg(policy_tag(policy_path, &tag, &error) == 0, "%s", error.text);
        judge_run("rm -rf state");
        start();
        step(WIRE_AUTHORITY, 1);
        step(WIRE_PREPARE, 0);
        step(WIRE_ANNOUNCE, 2);
        ck_assert_int_eq(judge_run(LONG_AGO " 2>/dev/null"), 0);
        keep("followed");
        ck_assert_int_eq(stop(), 0);
}

static void judge_after(size_t turn, const ObservedAuthority *told, const char *name, int when)
{
        _cleanup_(authority_done) ObservedAuthority after = {0};
        const ObservedGeneration *before = authority_find(told, AUTHORITY_NEXT);
        char expected[1000];

        if (!before)
                before = authority_current(told);
        start();
        ck_assert_msg(ask(turns[turn].verb, turns[turn].number, &after) == 0, "%s %s %d: %s",
                      turns[turn].name, name, when, error.text);
        ck_assert_uint_eq(authority_current(&after)->number, turns[turn].current);
        /* What was told is still so. */
        ck_assert(!before || authority_find_key(&after, before->facts.key_id));
        ck_assert_int_eq(stop(), 0);
        judge_run("ls -A state/ca state/ca/main | tr '\\n' ' '");
        snprintf(expected, sizeof expected, "state/ca: main  state/ca/main: %s", turns[turn].files);
        ck_assert_msg(strcmp(judge_output, expected) == 0, "%s %s %d: %s", turns[turn].name, name,
                      when, judge_output);
        ck_assert_msg(judge_run("grep -q '\"event\":\"%s' state/ledger.jsonl", turns[turn].entry) ==
                              0,
                      "%s %s %d: %s", turns[turn].name, name, when, judge_output);
}

/* Returns how often it was killed. */
static int kill_at_each(size_t turn, const char *name)
{
        int when;

        for (when = 1; when < CRASH_MAX; when++) {
                _cleanup_(authority_done) ObservedAuthority told = {0};

                ck_assert_int_eq(judge_run("rm -rf state; cp -a %s state", turns[turn].from), 0);
                start_killed(name, when);
                if (ask(turns[turn].verb, turns[turn].number, &told) < 0)
                        authority_done(&told);
                if (stop() == 0)
                        break;
                judge_after(turn, &told, name, when);
        }
        ck_assert_int_lt(when, CRASH_MAX);
        return when - 1;
}

START_TEST(finishes_after_a_kill_at_every_change)
{
        int n_killed = 0;

        make_states();
        if (strcmp(turns[_i].from, "foreign") == 0 || strcmp(turns[_i].from, "followed") == 0)
                make_foreign();
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                n_killed += kill_at_each(_i, calls[i]);
        ck_assert_int_ge(n_killed, 6);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("turn crash");
        TCase *tc = tcase_create("turn crash");

        skip_without_strace();
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 100);
        tcase_add_loop_test(tc, finishes_after_a_kill_at_every_change, 0, ELEMENTSOF(turns));
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
