/*
 * The passphrase of the CA keys, where there is one: the credential `ca-passphrase` of the signer's
 * unit (LoadCredential= or LoadCredentialEncrypted=, systemd.exec(5)). With it keys are written as
 * encrypted PKCS#8; keys that are not encrypted are read all the same.
 */
#pragma once

#include "common/error.h"

enum { PASSPHRASE_MAX = 512 };

typedef struct Passphrase {
        char text[PASSPHRASE_MAX + 1]; /* "" for none */
} Passphrase;

/* Reads it anew, so that none stays in memory: the first line of the credential. -EINVAL for an
 * empty or too long one. */
int passphrase_load(Passphrase *ret, Error *reterr);

/* Wipes it. */
void passphrase_done(Passphrase *passphrase);
