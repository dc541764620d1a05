/*
 * The directory of one certificate, opened and looked at: whose it is, which generations lie in it
 * and which one is current. What is ours and what is foreign is judged here and nowhere else.
 *
 * Everything below the directory is reached by its descriptor and never through a link.
 */
#pragma once

#include "common/observation.h"
#include "daemon/worker/manifest.h"

#define STORE_CURRENT "current"
#define STORE_ADOPTING "adopting" /* in a generation's directory: a link before its rename */
#define STORE_REFUSED "refused"   /* in a generation's directory: the reason why it was put back */

enum {
        STORE_NAME_MAX = 32,          /* generation-4294967295 */
        STORE_TEMPORARY_MAX = 40,     /* .current.0123456789abcdef */
        STORE_ENTRIES_MAX = 65536,    /* names in the directory */
        STORE_GENERATIONS_MAX = 4096, /* of them generations */
        STORE_MODE_OPEN = 0755, /* of directories that readers look into: the bundle is for all */
};

typedef enum StoreAccess {
        STORE_LOOK,  /* no lock, for reading */
        STORE_WRITE, /* locked */
        STORE_MAKE,  /* locked; the directory is made where it is missing */
} StoreAccess;

typedef struct Store {
        const PolicyCertificate *certificate;
        int fd;
        uint8_t state; /* SET_ABSENT, SET_OURS, SET_DAMAGED (current dangles) or SET_FOREIGN */
        Error problem; /* of SET_DAMAGED and SET_FOREIGN */
        bool is_current_foreign;
        unsigned names;    /* a bit for each PolicyFile whose fixed name is there */
        bool has_current;  /* current is there, though it may dangle */
        uint32_t current;  /* the generation it names */
        int current_fd;    /* its directory; -1 where it dangles or is absent */
        Manifest manifest; /* of current */
        uint32_t *numbers; /* of all names generation-N, ascending, ours or not */
        size_t n_numbers;
        char temporary[STORE_TEMPORARY_MAX]; /* a link that a crash left before its rename, or "" */
} Store;

/* Opens, locks and looks. -ENOENT where the directory is missing (not with STORE_MAKE). */
int store_open(const PolicyCertificate *certificate, StoreAccess access, Store *ret, Error *reterr);
void store_done(Store *store);
#define STORE_EMPTY ((Store){.fd = -1, .current_fd = -1})

/* -EEXIST with the problem where the store is foreign. */
int store_check_ours(const Store *store, Error *reterr);

/* Opens a directory that we made, and that was ours alone until now, for its readers. One that was
 * there before stays as it is. */
int store_let_readers_in(const Store *store, Error *reterr);

/* "generation-7", and back: one spelling alone. */
const char *store_generation_name(uint32_t number, char buffer[STORE_NAME_MAX]);
bool store_parse_generation_name(const char *name, uint32_t *ret);

/* Opens a generation that has a manifest of ours, which is told where ret_manifest is not NULL.
 * Returns a negative errno where it is missing (-ENOENT) or not ours (-EEXIST). */
int store_open_generation(const Store *store, uint32_t number, int *ret_fd, Manifest *ret_manifest,
                          Error *reterr);

bool store_is_refused(const Store *store, uint32_t number);

/* The highest generation below current that is ours and not marked refused. */
bool store_previous(const Store *store, uint32_t *ret);

/* The number for a new generation: above every name that is taken. */
uint32_t store_next(const Store *store);

/* Whether a file is as we would make it: mode, owner, and group where one is wanted. */
bool store_file_fits(const struct stat *stat, const FileMode *mode);

/* Whether the fixed name of a file is our link. Unlike `names` it is told of any name of a store
 * that is foreign by another one. */
bool store_has_link(const Store *store, PolicyFile file);

/* How the files of a set are made. */
FileMode store_file_mode(const PolicyCertificate *certificate, PolicyFile file);
