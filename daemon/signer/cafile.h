/*
 * The files of one CA's generations, in the signer's directory of that CA: Gn.crt, Gn.key (PKCS#8
 * PEM, 0600), Gn.cross, and small marks that hold the time at which something became so. n counts
 * from 1. Each change is one file that appears or goes at once, and is on disk when a function here
 * returns 0.
 *
 * This is the only place that reads, writes and wipes the key of a CA.
 */
#pragma once

#include "common/cert.h"

typedef enum Cafile {
        CAFILE_KEY,
        CAFILE_CERTIFICATE,
        CAFILE_CROSS,      /* the same name and key, certified by the generation before */
        CAFILE_MAKING,     /* not whole yet: nobody was told of it, the next look removes it */
        CAFILE_NEW,        /* whole, but the ledger may not know it yet */
        CAFILE_PREPARED,   /* the marks: when it was made, */
        CAFILE_ANNOUNCED,  /* when it was in every bundle, */
        CAFILE_ACTIVE,     /* since when it signs, */
        CAFILE_STOLEN,     /* when its key was said to be stolen, */
        CAFILE_IMPORTED,   /* when it was taken over from somebody else, */
        CAFILE_INCOMPLETE, /* when a leaf was seen that the ledger does not know, */
        CAFILE_RETIRED,    /* since when it is trusted no longer */
        CAFILE_HEARD,      /* no event: until when the ledger is known to have leaves of it */
        CAFILE_KINDS,
} Cafile;

/* Which files of a generation are there. */
typedef struct CafileSet {
        uint32_t number;
        unsigned has; /* a bit for each Cafile */
} CafileSet;

typedef struct CafileList {
        CafileSet *items; /* by number */
        size_t n;
} CafileList;

static inline bool cafile_has(const CafileSet *set, Cafile kind)
{
        return set->has & (1U << kind);
}

/* Names of other forms are left out: they are not ours to judge. */
int cafile_list(int directory_fd, CafileList *ret, Error *reterr);
void cafile_list_done(CafileList *list);

/* Removes the temporary files that a crash left of marks. What cannot be removed stays, nobody
 * reads it. */
int cafile_tidy(int directory_fd, Error *reterr);

/* A mark's time. -EINVAL where it holds none. */
int cafile_read_mark(int directory_fd, uint32_t number, Cafile kind, int64_t *ret_usec,
                     Error *reterr);
int cafile_write_mark(int directory_fd, uint32_t number, Cafile kind, int64_t usec, Error *reterr);

/* CAFILE_CERTIFICATE or CAFILE_CROSS; exactly one certificate. */
int cafile_read_certificate(int directory_fd, uint32_t number, Cafile kind, Cert **ret,
                            Error *reterr);

/* -EPERM where others may read it: whether somebody did is not known here, so it is not closed in
 * silence. */
int cafile_read_key(int directory_fd, uint32_t number, Key **ret, Error *reterr);

/* Makes the files; none of them is there yet. The directory is not synced. */
int cafile_create_key(int directory_fd, uint32_t number, Key *key, Error *reterr);
int cafile_create_certificate(int directory_fd, uint32_t number, Cafile kind, const void *der,
                              size_t size, Error *reterr);
int cafile_create_mark(int directory_fd, uint32_t number, Cafile kind, int64_t usec, Error *reterr);

/* Overwrites the key before it is removed. What a journal or a solid-state disk keeps of it is out
 * of reach. Nothing is done where there is none. */
int cafile_wipe_key(int directory_fd, uint32_t number, Error *reterr);

/* Removes one file, or what is not whole: all of them, the mark that says so last. */
int cafile_remove(int directory_fd, uint32_t number, Cafile kind, Error *reterr);
int cafile_discard(int directory_fd, uint32_t number, Error *reterr);

/* Makes a generation that is being made a whole one, in one step. The directory is not synced. */
int cafile_commit(int directory_fd, uint32_t number, Error *reterr);
