/*
 * One look at the files of a certificate, before anything is parsed: what lies there, whose it is,
 * its bytes and modes, and a digest of all that. Where the digest is known, nothing has changed and
 * nothing has to be parsed; neither a time nor a size of a file is believed.
 *
 * Looking at two sets at the same time, from two threads, is safe.
 */
#pragma once

#include "common/observation.h"
#include "daemon/worker/store.h"

typedef struct Look {
        Error error; /* why nothing could be looked at, ENOENT for no directory; code 0 otherwise:
                        then what follows holds */
        Store store;
        FileBytes files[POLICY_FILES]; /* of the published generation, or of a foreign set */
        int codes[POLICY_FILES];       /* of reading them */
        uint8_t service;               /* ConfigurationState of the service file */
        char *service_problem;
        uint32_t refused;                 /* the newest generation marked refused; 0 for none */
        uint8_t digest[CERT_FINGERPRINT]; /* of every byte and mode looked at, and the tag */
} Look;

#define LOOK_EMPTY ((Look){.store = STORE_EMPTY})

/* What cannot be looked at is told by ret->error and has a digest too. The certificate must outlive
 * the look. */
void look_take(const PolicyCertificate *certificate, uint64_t tag, Look *ret);
void look_done(Look *look);
