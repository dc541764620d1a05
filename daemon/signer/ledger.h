/*
 * What was issued, for ever: an append-only file of JSON lines. A line is on disk before the
 * certificate that it tells of leaves the signer, so the file may tell of certificates that nobody
 * ever got, never the other way round. That is how a CA whose files were lost is told from one that
 * was never made, and how long its last leaf lives.
 *
 * A crash may leave the last line torn: it is ended with a newline before anything is added, so
 * that no line is ever glued to its rest. Readers skip a line that is not whole.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

enum {
        LEDGER_BATCH_MAX = 64,  /* entries added at once */
        LEDGER_LINE_MAX = 2048, /* bytes; a longer line is none of ours */
};

typedef enum LedgerEvent {
        LEDGER_AUTHORITY,  /* a first CA was made, and signs */
        LEDGER_ISSUED,     /* a leaf; all others are of a generation of a CA */
        LEDGER_PREPARED,   /* made, to be trusted before it signs */
        LEDGER_ANNOUNCED,  /* in every bundle */
        LEDGER_ACTIVATED,  /* signs */
        LEDGER_RETIRED,    /* trusted no longer */
        LEDGER_DISCARDED,  /* never signed, and never will */
        LEDGER_STOLEN,     /* its key is, says somebody */
        LEDGER_IMPORTED,   /* a foreign CA was taken over with its key, and signs */
        LEDGER_INCOMPLETE, /* a leaf of it was seen that is not in here */
        LEDGER_EVENTS,
} LedgerEvent;

typedef struct LedgerEntry {
        LedgerEvent event;
        const char *authority;
        uint32_t generation;     /* of the authority */
        const char *certificate; /* LEDGER_ISSUED: its name in the policy, and its use */
        PolicyUse use;
        const CertFacts *facts;
} LedgerEntry;

typedef struct Ledger Ledger;

/* Opens DIRECTORY/ledger.jsonl, made where it is missing. The caller holds the lock. */
int ledger_open(int directory_fd, Ledger **ret, Error *reterr);
Ledger *ledger_close(Ledger *ledger);
DEFINE_CLEANUP(Ledger *, ledger_close);

/* Adds entries, all with one write and one sync; they are on disk when it returns 0. */
int ledger_add(Ledger *ledger, const LedgerEntry *entries, size_t n, int64_t now_usec,
               Error *reterr);

/* What the ledger knows of an authority, or of one of its generations. */
typedef struct LedgerSummary {
        uint64_t authorities;        /* lines of generations */
        uint32_t last_generation;    /* the highest number; 0 for none */
        uint64_t issued;             /* leaves */
        int64_t last_not_after_usec; /* of leaves; INT64_MIN where there are none */
} LedgerSummary;

/* generation 0 stands for all. Reads the whole file. */
int ledger_summarize(Ledger *ledger, const char *authority, uint32_t generation, LedgerSummary *ret,
                     Error *reterr);

/* 1 where a certificate of that authority and serial was entered, 0 where not. */
int ledger_knows(Ledger *ledger, const char *authority, const char *serial, Error *reterr);
