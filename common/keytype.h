/*
 * The kinds of private keys that a policy may ask for, as plain names, so that pgcertd can speak of
 * them without libcrypto.
 */
#pragma once

#include <stdbool.h>

typedef enum KeyType {
        KEY_ECDSA_P256,
        KEY_ECDSA_P384,
        KEY_RSA_2048,
        KEY_RSA_3072,
        KEY_RSA_4096,
        KEY_ED25519, /* leaves only: SCRAM cannot bind to a certificate signed with it */
        KEY_TYPE_COUNT,
} KeyType;

/* The policy's word: ecdsa-p256 ... */
const char *key_type_name(KeyType type);

/* Finds the type of a word; false where there is none. */
bool key_type_parse(const char *name, KeyType *ret);
