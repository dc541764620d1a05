/*
 * Requests to a worker as pgcertd sends them, whole and granted.
 */
#pragma once

#include "tests/worker_client.h"

static X509 *leaf;       /* for what is staged of `server` */
static uint32_t number;  /* of that generation */
static X509 *other_leaf; /* for a key that is nowhere */

static void make_leaves(void)
{
        const PolicyCertificate *certificate = policy_find_certificate(policy, "server");
        int64_t now = clock_realtime();
        Key *key;

        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &key, NULL), 0);
        other_leaf = issuing_leaf(key, certificate, now - TEST_DAY, now + 30 * TEST_DAY);
        key_free(key);
        number = stage("server", &leaf);
}

static void free_leaves(void)
{
        X509_free(leaf);
        X509_free(other_leaf);
}

/* Whole requests, as pgcertd sends them once `server` is staged. */
static void valid_stage(void)
{
        ask(WIRE_STAGE, "server");
        wire_put_u8(message, 0);
}

static void valid_fill(void)
{
        ask_fill("server", number, leaf);
}

static void valid_publish(void)
{
        ask(WIRE_PUBLISH, "server");
        wire_put_u8(message, 0);
}

static void valid_back(void)
{
        ask(WIRE_BACK, "server");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
        wire_put_text(message, "it was refused");
}

static void valid_prove(void)
{
        ask(WIRE_PROVE, "main");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
        wire_put_i64(message, 0);
}

static void valid_observe(void)
{
        wire_request(message, WIRE_OBSERVE, tag);
        wire_put_u8(message, 1);
        wire_put_text(message, "server");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
}

static void valid_prune(void)
{
        ask(WIRE_PRUNE, "server");
}

static void valid_adopt(void)
{
        ask(WIRE_ADOPT, "server");
        wire_put_raw(message, (uint8_t[CERT_FINGERPRINT]){0}, CERT_FINGERPRINT);
}

static void valid_configure(void)
{
        ask(WIRE_CONFIGURE, "main");
        wire_put_u8(message, 1);
}

static void valid_load(void)
{
        ask(WIRE_LOAD, "main");
}

static void valid_login(void)
{
        ask(WIRE_LOGIN, "main");
        wire_put_i64(message, 0);
}

static void valid_login_as(void)
{
        ask(WIRE_LOGIN_AS, "main");
        wire_put_i64(message, 0);
        wire_put_text(message, "127.0.0.1");
        wire_put_u32(message, 1);
}

static void (*const valid[])(void) = {valid_observe, valid_stage,     valid_fill,  valid_publish,
                                      valid_back,    valid_configure, valid_load,  valid_prove,
                                      valid_login,   valid_login_as,  valid_prune, valid_adopt};
