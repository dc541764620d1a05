/*
 * For unit tests of rollovers: the turns at the test's time, and what is on disk and in the ledger
 * after them.
 */
#pragma once

#include "tests/signing.h"

_unused_ static void observe(ObservedAuthority *ret)
{
        authority_done(ret);
        ck_assert_msg(statement_make(&ca, policy_ca, now, ret, &error) == 0, "%s", error.text);
}

_unused_ static void expect_done(int r)
{
        ck_assert_msg(r == 1, "%d: %s", r, error.text);
}

_unused_ static int prepare(void)
{
        return turn_prepare(&ca, &policy, policy_ca, now, &error);
}

_unused_ static int announce(uint32_t number)
{
        return turn_announce(&ca, policy_ca, number, now, &error);
}

_unused_ static int activate(uint32_t number)
{
        return turn_activate(&ca, &policy, policy_ca, number, now, &error);
}

_unused_ static int retire(uint32_t number)
{
        return turn_retire(&ca, &policy, policy_ca, number, now, &error);
}

_unused_ static int emergency(uint32_t number)
{
        return turn_emergency(&ca, &policy, policy_ca, number, now, &error);
}

_unused_ static void expect_files(const char *expected)
{
        judge_run("ls -A ca/main | tr '\\n' ' '");
        ck_assert_str_eq(judge_output, expected);
}

_unused_ static void expect_ledger(const char *expected)
{
        judge_run("sed 's/.*\"event\":\"\\([a-z]*\\)\".*\"generation\":\\([0-9]*\\).*/\\1 \\2/' "
                  "ledger.jsonl | tr '\\n' ','");
        ck_assert_str_eq(judge_output, expected);
}

/* Generation 2 is there and signs. */
_unused_ static void roll_over(void)
{
        expect_done(prepare());
        expect_done(announce(2));
        now += 7 * DAY;
        expect_done(activate(2));
}
