/*
 * What a certificate's row of a plan says: its state, by precedence, its health, and a sentence.
 * Pure.
 */
#pragma once

#include "daemon/draft.h"

typedef struct DraftRow {
        CertificateState state;
        Health health;
        char *error; /* NULL, or a sentence; the caller's */
} DraftRow;

/* The row, as things stand before the steps. */
int draftrow_make(const DraftInput *input, size_t index, const Draft *draft, DraftRow *ret,
                  Error *reterr);
