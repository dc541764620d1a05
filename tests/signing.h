/*
 * For unit tests of the signer's modules: a state directory that is the judge's, a policy of one
 * authority and two leaves made by hand, and a time that the test moves. Nothing depends on today.
 */
#pragma once

#include "common/clock.h"
#include "daemon/signer/making.h"
#include "daemon/signer/statement.h"
#include "daemon/signer/turn.h"
#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define DAY (INT64_C(86400) * USEC_PER_SEC)

/* 2026-01-31T12:00:00.5Z */
#define SIGNING_NOW INT64_C(1769860800500000)

static const int64_t backdate = 300 * USEC_PER_SEC;

static int64_t now;
static Error error;
static int state_fd;
static Mint *mint;
static Ledger *ledger;
static Ca ca = {.fd = -1};
static Text notes;

static PolicyAttribute ca_subject[] = {{"C", "CN"}, {"CN", "root"}};
static PolicyAuthority policy_ca[] = {{.name = "main",
                                       .subject = {ca_subject, 2},
                                       .key = KEY_ECDSA_P256,
                                       .lifetime_usec = 100 * DAY,
                                       .distribute_usec = 7 * DAY}};
static PolicyAttribute client_subject[] = {{"CN", "app"}}, server_subject[] = {{"CN", "db"}};
static PolicyName server_name = {.text = (char *)"db"};
static PolicyCertificate policy_leaves[] = {
        {.name = "server",
         .use = POLICY_SERVER,
         .authority = policy_ca,
         .subject = {server_subject, 1},
         .names = &server_name,
         .n_names = 1,
         .key = KEY_ED25519,
         .lifetime_usec = 30 * DAY,
         .renew_before_usec = 10 * DAY},
        {.name = "app",
         .use = POLICY_CLIENT,
         .authority = policy_ca,
         .subject = {client_subject, 1},
         .key = KEY_ED25519,
         .lifetime_usec = 20 * DAY,
         .renew_before_usec = 12 * DAY},
};
_unused_ static Policy policy = {.backdate_usec = 300 * USEC_PER_SEC,
                                 .authorities = policy_ca,
                                 .n_authorities = 1,
                                 .certificates = policy_leaves,
                                 .n_certificates = 2};

static void open_all(void)
{
        ck_assert_int_eq(ledger_open(state_fd, &ledger, &error), 0);
        ck_assert_msg(ca_open(state_fd, ledger, mint, &ca, &error) == 0, "%s", error.text);
        ca.notes = &notes;
}

_unused_ static void reopen(void)
{
        ca_close(&ca);
        ledger = ledger_close(ledger);
        open_all();
}

static void setup(void)
{
        now = SIGNING_NOW;
        judge_setup();
        state_fd = open(judge_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(state_fd, 0);
        ck_assert_int_eq(mint_new(&mint, &error), 0);
        open_all();
}

static void teardown(void)
{
        ca_close(&ca);
        ledger = ledger_close(ledger);
        mint = mint_free(mint);
        text_done(&notes);
        close(state_fd);
        judge_teardown();
}

static void make_ca(void)
{
        ck_assert_msg(making_first(&ca, policy_ca, MAKING_CURRENT, now, backdate, &error) == 1,
                      "%s", error.text);
}

/* Makes a leaf with the current generation and enters it, as a request does. It becomes NAME.der;
 * the result is the generation. */
_unused_ static uint32_t issue_leaf(const PolicyCertificate *wanted, CertFacts *ret_facts)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(minted_done) Minted leaf = {0};
        LedgerEntry entry = {.event = LEDGER_ISSUED,
                             .authority = "main",
                             .certificate = wanted->name,
                             .use = wanted->use};
        char name[100];

        ck_assert_msg(ca_issuer(&ca, "main", now, &issuer, &entry.generation, &error) == 0, "%s",
                      error.text);
        ck_assert_int_eq(key_new(wanted->key, &key, &error), 0);
        ck_assert_msg(mint_leaf(mint, issuer, wanted, key, now, backdate, &leaf, &error) == 0, "%s",
                      error.text);
        entry.facts = &leaf.facts;
        ck_assert_int_eq(ledger_add(ledger, &entry, 1, now, &error), 0);
        snprintf(name, sizeof name, "%s.der", wanted->name);
        judge_write(name, leaf.der, leaf.size);
        if (ret_facts)
                *ret_facts = leaf.facts;
        return entry.generation;
}

/* All names, modes and bytes of the state. */
_unused_ static void remember_state(char ret[JUDGE_OUTPUT_MAX])
{
        judge_run("find ca ledger.jsonl -printf '%%p %%m\\n' | sort;"
                  "find ca ledger.jsonl -type f -exec sha256sum {} + | sort");
        strcpy(ret, judge_output);
}
