/*
 * Requests that a worker must refuse: malformed ones, and those that the policy does not grant.
 */
#pragma once

#include "tests/worker_requests.h"

/* What is refused: each puts a request into the message. */
static void stage_stale(void)
{
        wire_request(message, WIRE_STAGE, tag + 1);
        wire_put_text(message, "server");
        wire_put_u8(message, 0);
}

static void stage_of(const char *name)
{
        ask(WIRE_STAGE, name);
        wire_put_u8(message, 0);
}

static void stage_foreign(void)
{
        stage_of("foreign");
}

static void stage_unknown(void)
{
        stage_of("unknown");
}

static void stage_nameless(void)
{
        stage_of("");
}

static void stage_path(void)
{
        stage_of("../other");
}

static void stage_cluster(void)
{
        stage_of("main");
}

static void stage_long_name(void)
{
        stage_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

static void stage_trailing(void)
{
        stage_of("server");
        wire_put_u8(message, 0);
}

static void stage_short(void)
{
        ask(WIRE_STAGE, "server");
}

static void stage_odd_flag(void)
{
        ask(WIRE_STAGE, "server");
        wire_put_u8(message, 2);
}

static void fill_foreign(void)
{
        ask_fill("foreign", number, leaf);
}

static void fill_unstaged(void)
{
        ask_fill("client", 1, leaf);
}

static void fill_next_generation(void)
{
        ask_fill("server", number + 1, leaf);
}

static void fill_generation_0(void)
{
        ask_fill("server", 0, leaf);
}

static void fill_last_generation(void)
{
        ask_fill("server", UINT32_MAX, leaf);
}

static void fill_other_key(void)
{
        ask_fill("server", number, other_leaf);
}

static void fill_trailing(void)
{
        ask_fill("server", number, leaf);
        wire_put_u8(message, 0);
}

static void fill_short(void)
{
        ask_fill("server", number, leaf);
        message->size--;
}

static void fill_junk(void)
{
        ask(WIRE_FILL, "server");
        wire_put_u32(message, number);
        wire_put_bytes(message, "junk", 4);
        wire_put_u8(message, 0);
        wire_put_u8(message, 0);
}

static void fill_huge_size(void)
{
        uint32_t size = UINT32_MAX;

        ask(WIRE_FILL, "server");
        wire_put_u32(message, number);
        wire_put_raw(message, &size, sizeof size);
}

static void fill_many(uint8_t n_chain, uint8_t n_bundle)
{
        ask(WIRE_FILL, "server");
        wire_put_u32(message, number);
        put_der(leaf);
        wire_put_u8(message, n_chain);
        for (uint8_t i = 0; i < n_chain; i++)
                put_der(issuing.ca);
        wire_put_u8(message, n_bundle);
        for (uint8_t i = 0; i < n_bundle; i++)
                put_der(issuing.ca);
}

static void fill_long_chain(void)
{
        fill_many(CERT_CHAIN_MAX + 1, 1);
}

static void fill_full_chain(void)
{
        fill_many(CERT_CHAIN_MAX, 1); /* with the leaf it is one more */
}

static void fill_long_bundle(void)
{
        fill_many(0, CERT_CHAIN_MAX + 1);
}

static void publish_foreign(void)
{
        ask(WIRE_PUBLISH, "foreign");
        wire_put_u8(message, 0);
}

static void publish_mine_and_foreign(void)
{
        ask(WIRE_PUBLISH, "client");
        wire_put_u8(message, 0);
        wire_put_text(message, "foreign");
        wire_put_u8(message, 0);
}

static void publish_twice(void)
{
        ask(WIRE_PUBLISH, "client");
        wire_put_u8(message, 0);
        wire_put_text(message, "server");
        wire_put_u8(message, 0);
        wire_put_text(message, "client");
        wire_put_u8(message, 0);
}

static void prune_twice(void)
{
        ask(WIRE_PRUNE, "client");
        wire_put_text(message, "client");
}

static void publish_short(void)
{
        ask(WIRE_PUBLISH, "client");
}

static void prune_foreign(void)
{
        ask(WIRE_PRUNE, "foreign");
}

static void prune_half_a_name(void)
{
        ask(WIRE_PRUNE, "server");
        wire_put_u8(message, 3);
}

static void back_of(const char *name, size_t reason)
{
        char text[1000];

        ask(WIRE_BACK, name);
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
        memset(text, 'r', reason);
        text[reason] = '\0';
        wire_put_text(message, text);
}

static void back_foreign(void)
{
        back_of("foreign", 3);
}

static void back_nothing(void)
{
        back_of("client", 3);
}

static void back_long_reason(void)
{
        back_of("client", 999);
}

static void adopt_of(const char *name, size_t size)
{
        ask(WIRE_ADOPT, name);
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, size);
}

static void adopt_foreign(void)
{
        adopt_of("foreign", CERT_FINGERPRINT);
}

static void adopt_cluster(void)
{
        adopt_of("main", CERT_FINGERPRINT);
}

static void adopt_short(void)
{
        adopt_of("client", CERT_FINGERPRINT - 1);
}

static void adopt_nothing(void)
{
        adopt_of("client", CERT_FINGERPRINT);
}

static void configure_odd(void)
{
        ask(WIRE_CONFIGURE, "main");
        wire_put_u8(message, 3);
}

static void configure_others(void)
{
        ask(WIRE_CONFIGURE, "others");
        wire_put_u8(message, 1);
}

static void configure_certificate(void)
{
        ask(WIRE_CONFIGURE, "server");
        wire_put_u8(message, 1);
}

static void configure_trailing(void)
{
        ask(WIRE_CONFIGURE, "main");
        wire_put_u8(message, 1);
        wire_put_u8(message, 1);
}

static void load_others(void)
{
        ask(WIRE_LOAD, "others");
}

static void load_down(void)
{
        ask(WIRE_LOAD, "main");
}

static void prove_others(void)
{
        ask(WIRE_PROVE, "others");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
        wire_put_i64(message, 0);
}

static void prove_short(void)
{
        ask(WIRE_PROVE, "main");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
}

static void login_others(void)
{
        ask(WIRE_LOGIN, "others");
        wire_put_i64(message, 0);
}

static void login_as(const char *cluster, const char *address, uint32_t port)
{
        ask(WIRE_LOGIN_AS, cluster);
        wire_put_i64(message, 0);
        wire_put_text(message, address);
        wire_put_u32(message, port);
}

static void login_as_nobody(void)
{
        login_as("others", "127.0.0.1", 5432);
}

static void login_elsewhere(void)
{
        login_as("main", "192.0.2.1", 5432);
}

static void login_by_name(void)
{
        login_as("main", "db1.example.com", 5432);
}

static void login_without_port(void)
{
        login_as("main", "127.0.0.1", 0);
}

static void observe_stale(void)
{
        wire_request(message, WIRE_OBSERVE, ~tag);
        wire_put_u8(message, 1);
}

static void observe_short(void)
{
        wire_request(message, WIRE_OBSERVE, tag);
        wire_put_u8(message, 1);
        wire_put_text(message, "server");
}

static void signer_verb(void)
{
        ask(WIRE_ISSUE, "server");
}

static void unknown_verb(void)
{
        ask((WireVerb)255, "server");
}

static const struct {
        void (*ask)(void);
        int code; /* 0: any failure */
} refusals[] = {
        {stage_stale, -ESTALE},
        {stage_foreign, -EPERM},
        {stage_unknown, -EPERM},
        {stage_nameless, -EPERM},
        {stage_path, -EPERM},
        {stage_cluster, -EPERM},
        {stage_long_name, 0},
        {stage_trailing, -EBADMSG},
        {stage_short, -EBADMSG},
        {stage_odd_flag, -EBADMSG},
        {fill_foreign, -EPERM},
        {fill_unstaged, 0},
        {fill_next_generation, 0},
        {fill_generation_0, 0},
        {fill_last_generation, 0},
        {fill_other_key, 0},
        {fill_trailing, -EBADMSG},
        {fill_short, 0},
        {fill_junk, 0},
        {fill_huge_size, 0},
        {fill_long_chain, -E2BIG},
        {fill_full_chain, 0},
        {fill_long_bundle, -E2BIG},
        {publish_foreign, -EPERM},
        {publish_mine_and_foreign, -EPERM},
        {publish_twice, -EINVAL},
        {prune_twice, -EINVAL},
        {publish_short, -EBADMSG},
        {prune_foreign, -EPERM},
        {prune_half_a_name, 0},
        {back_foreign, -EPERM},
        {back_nothing, -ENOENT},
        {back_long_reason, -EBADMSG},
        {adopt_foreign, -EPERM},
        {adopt_cluster, -EPERM},
        {adopt_short, -EBADMSG},
        {adopt_nothing, -ENOENT},
        {configure_odd, -EBADMSG},
        {configure_others, -EPERM},
        {configure_certificate, -EPERM},
        {configure_trailing, -EBADMSG},
        {load_others, -EPERM},
        {load_down, -ESRCH},
        {prove_others, -EPERM},
        {prove_short, -EBADMSG},
        {login_others, -EPERM},
        {login_as_nobody, -EPERM},
        {login_elsewhere, -EPERM},
        {login_by_name, -EPERM},
        {login_without_port, -EPERM},
        {observe_stale, -ESTALE},
        {observe_short, -EBADMSG},
        {signer_verb, -EOPNOTSUPP},
        {unknown_verb, -EOPNOTSUPP},
};
