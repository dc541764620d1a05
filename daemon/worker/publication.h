/*
 * The switch: what is staged becomes what readers see, by one rename of `current` each, after it
 * was synced and judged. Also the switch back.
 */
#pragma once

#include "daemon/worker/store.h"

typedef struct PublishItem {
        const PolicyCertificate *certificate;
        int64_t now_usec; /* the time that dates are compared with */
        bool retry;       /* the newest generation that was refused is tried again */
        Error error;
        CertFacts leaf; /* of the set that is published now */
        uint32_t generation;
} PublishItem;
/* generation_publish() and generation_back(), the latter for a store that is open and locked. */
int publication_run(PublishItem *items, size_t n, Error *reterr);
int publication_back(const Store *store, const uint8_t served[CERT_FINGERPRINT], const char *reason,
                     int64_t now_usec, uint32_t *ret_number, Error *reterr);
