/*
 * The generations of the CAs: what is on disk (cafile.h), and where each stands. The keys never
 * leave the signer's directory but into the memory of this process.
 *
 * Where a generation stands is derived from its files at every look, so there is no state that a
 * crash could leave behind the files:
 *
 * - NEXT: made, without the mark that it signs;
 * - CURRENT: the newest that has it. One that was made before there were marks has none: it is
 *   generation 1 and signs;
 * - RETIRING: those before it;
 * - retired: told by its key identifier alone. Its certificate stays for the record.
 *
 * A look also carries on what was decided and then broken off: it removes what is not whole, enters
 * what is new into the ledger, and wipes the keys that nobody may need again. Whatever is damaged
 * is told and left alone: making another CA in its place would cut off every reader.
 */
#pragma once

#include "common/observation.h"
#include "daemon/signer/cafile.h"
#include "daemon/signer/ledger.h"
#include "daemon/signer/mint.h"

/* What is made in ca/ has such a name until it is whole; no authority's begins with a dot. */
#define CA_TEMPORARY_PREFIX ".new-"

/* Where the CAs are, and what makes and remembers their certificates. Nothing is owned but fd. */
typedef struct Ca {
        int fd; /* the directory of all authorities */
        Ledger *ledger;
        const Mint *mint;
        Text *notes; /* gets a line for each thing that somebody ought to know; may be NULL */
} Ca;

/* Opens STATE/ca, made where it is missing, and removes what a crash left half made. */
int ca_open(int state_fd, Ledger *ledger, const Mint *mint, Ca *ret, Error *reterr);
/* Removes a first generation that is not whole. What cannot be removed stays: its name is no
 * authority's, and nobody reads it. */
void ca_remove_temporary(int ca_fd, const char *name);
void ca_close(Ca *ca); /* ledger and mint stay: they are the caller's */

/* Adds a line to the notes. */
void ca_note(const Ca *ca, const char *format, ...) _printf_(2, 3);

/* What a look has seen of one authority. */
typedef struct CaView {
        int fd;                     /* the authority's directory; -1 on a blank slate */
        CafileList files;           /* retired generations too */
        ObservedAuthority observed; /* without trust, retired and the last leaves */
} CaView;
void caview_done(CaView *view);

/* The files of a generation; NULL where there is none. */
const CafileSet *caview_files(const CaView *view, uint32_t number);

/* Looks at the files of an authority, and no key: none of them is needed to see where it stands. */
int ca_look(const Ca *ca, const char *authority, int64_t now_usec, CaView *ret, Error *reterr);

/* A generation of the view with its key, ready to sign. */
int ca_load(const CaView *view, uint32_t number, MintIssuer **ret, Error *reterr);

/* The current generation with its key, ready to sign. -ENOENT where there is none. */
int ca_issuer(const Ca *ca, const char *authority, int64_t now_usec, MintIssuer **ret,
              uint32_t *ret_generation, Error *reterr);
