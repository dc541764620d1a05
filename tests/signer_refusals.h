/*
 * Requests that the signer refuses as a whole, and with what. Each puts what it wants into the
 * message.
 */
#pragma once

#include "tests/signer_client.h"

static void ask_unknown_authority(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "nobody's");
        wire_put_u8(message, 1);
        wire_put_u8(message, 0);
}

static void ask_path_authority(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "../ca/main");
        wire_put_u8(message, 1);
        wire_put_u8(message, 0);
}

static void ask_odd_make(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "other");
        wire_put_u8(message, 3);
        wire_put_u8(message, 0);
}

static void ask_long_name(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        wire_put_u8(message, 1);
        wire_put_u8(message, 0);
}

static void ask_trailing_bytes(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "other");
        wire_put_u8(message, 1);
        wire_put_u8(message, 1);
        wire_put_u8(message, 0);
}

static void ask_without_make(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "other");
}

static void ask_other_tag(void)
{
        wire_request(message, WIRE_AUTHORITY, tag + 1);
        wire_put_text(message, "other");
        wire_put_u8(message, 1);
        wire_put_u8(message, 0);
}

static void ask_nothing(void)
{
        wire_request(message, WIRE_ISSUE, tag);
}

static void ask_too_many(void)
{
        wire_request(message, WIRE_ISSUE, tag);
        for (size_t i = 0; i < WIRE_BATCH_MAX + 1; i++)
                put_item("server-ed25519", KEY_ED25519);
}

static void ask_half_an_item(void)
{
        wire_request(message, WIRE_ISSUE, tag);
        put_item("server-ed25519", KEY_ED25519);
        wire_put_text(message, "server-ed25519");
}

static void ask_huge_csr(void)
{
        static const uint8_t junk[CSR_MAX + 1];

        wire_request(message, WIRE_ISSUE, tag);
        put_item("server-ed25519", KEY_ED25519);
        wire_put_text(message, "server-ed25519");
        wire_put_bytes(message, junk, sizeof junk);
}

static void ask_issue_with_other_tag(void)
{
        wire_request(message, WIRE_ISSUE, ~tag);
        put_item("server-ed25519", KEY_ED25519);
}

static void ask_worker_verb(void)
{
        wire_request(message, WIRE_PUBLISH, tag);
        wire_put_text(message, "server-ed25519");
}

/* The turns of a rollover. */
static void ask_turn(WireVerb verb, uint64_t with_tag, const char *name)
{
        wire_request(message, verb, with_tag);
        wire_put_text(message, name);
}

static void ask_prepare_of_nobody(void)
{
        ask_turn(WIRE_PREPARE, tag, "nobody's");
}

static void ask_prepare_of_nothing(void)
{
        ask_turn(WIRE_PREPARE, tag, "other");
}

static void ask_prepare_with_more(void)
{
        ask_turn(WIRE_PREPARE, tag, "main");
        wire_put_u32(message, 2);
}

static void ask_prepare_with_other_tag(void)
{
        ask_turn(WIRE_PREPARE, tag + 1, "main");
}

static void ask_announce_of_no_number(void)
{
        ask_turn(WIRE_ANNOUNCE, tag, "main");
}

static void ask_announce_of_current(void)
{
        ask_turn(WIRE_ANNOUNCE, tag, "main");
        wire_put_u32(message, 2);
}

static void ask_activate_of_path(void)
{
        ask_turn(WIRE_ACTIVATE, tag, "../ca/main");
        wire_put_u32(message, 1);
}

static void ask_activate_with_other_tag(void)
{
        ask_turn(WIRE_ACTIVATE, ~tag, "main");
        wire_put_u32(message, 1);
}

static void ask_retire_of_current(void)
{
        ask_turn(WIRE_RETIRE, tag, "main");
        wire_put_u32(message, 1);
}

static void ask_emergency_with_more(void)
{
        ask_turn(WIRE_EMERGENCY, tag, "main");
        wire_put_u32(message, 1);
        wire_put_u8(message, 1);
}

static void ask_emergency_with_other_tag(void)
{
        ask_turn(WIRE_EMERGENCY, tag + 1, "main");
        wire_put_u32(message, 1);
}

static void ask_emergency_of_nothing(void)
{
        ask_turn(WIRE_EMERGENCY, tag, "other");
        wire_put_u32(message, 1);
}

static void ask_half_an_end(void)
{
        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, "main");
        wire_put_u8(message, 1);
        wire_put_u8(message, 2);
        wire_put_raw(message, "01234567890123456789", CERT_KEY_ID);
        wire_put_i64(message, INT64_MAX);
}

static const struct {
        void (*ask)(void);
        WireVerb verb;
        int code;
} refusals[] = {
        {ask_prepare_of_nobody, WIRE_PREPARE, -ENOENT},
        {ask_prepare_of_nothing, WIRE_PREPARE, -ENOENT},
        {ask_prepare_with_more, WIRE_PREPARE, -EBADMSG},
        {ask_prepare_with_other_tag, WIRE_PREPARE, -ESTALE},
        {ask_announce_of_no_number, WIRE_ANNOUNCE, -EBADMSG},
        {ask_announce_of_current, WIRE_ANNOUNCE, -ENOENT},
        {ask_activate_of_path, WIRE_ACTIVATE, -ENOENT},
        {ask_activate_with_other_tag, WIRE_ACTIVATE, -ESTALE},
        {ask_retire_of_current, WIRE_RETIRE, -EINVAL},
        {ask_emergency_with_more, WIRE_EMERGENCY, -EBADMSG},
        {ask_emergency_with_other_tag, WIRE_EMERGENCY, -ESTALE},
        {ask_emergency_of_nothing, WIRE_EMERGENCY, -ENOENT},
        {ask_half_an_end, WIRE_AUTHORITY, -EBADMSG},
        {ask_unknown_authority, WIRE_AUTHORITY, -ENOENT},
        {ask_path_authority, WIRE_AUTHORITY, -ENOENT},
        {ask_odd_make, WIRE_AUTHORITY, -EBADMSG},
        {ask_long_name, WIRE_AUTHORITY, -EBADMSG},
        {ask_trailing_bytes, WIRE_AUTHORITY, -EBADMSG},
        {ask_without_make, WIRE_AUTHORITY, -EBADMSG},
        {ask_other_tag, WIRE_AUTHORITY, -ESTALE},
        {ask_nothing, WIRE_ISSUE, -EINVAL},
        {ask_too_many, WIRE_ISSUE, -E2BIG},
        {ask_half_an_item, WIRE_ISSUE, -EBADMSG},
        {ask_huge_csr, WIRE_ISSUE, -EBADMSG},
        {ask_issue_with_other_tag, WIRE_ISSUE, -ESTALE},
        {ask_worker_verb, WIRE_PUBLISH, -EOPNOTSUPP},
};
