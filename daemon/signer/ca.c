/*
 * What a crash may leave, and what the next look makes of it:
 *
 * - a directory .new-*, whole or not: removed at the next start, for nobody was told of it, and no
 *   certificate names it;
 * - Gn.making: the same of a later generation. Its files go first and the mark last, or they would
 *   pass for a generation that somebody damaged;
 * - Gn.new: made and in place, but the renames may not be on disk and the ledger may not know it.
 *   settle() syncs, enters it once, and takes the mark away before anybody is told of it;
 * - Gn.retired beside the key, or an imported CA with its key after the next one signs: decided,
 *   and the key not wiped yet;
 * - a line in the ledger without its mark: what it tells of was not done. Asked again it is entered
 *   a second time, which harms nobody: the ledger may tell too much, never too little.
 *
 * Nothing else is repaired. A directory without a certificate, a key that is not the certificate's
 * or that others may read, a mark that is gone, are told.
 */
#include "daemon/signer/ca.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
        CA_AUTHORITIES_MAX = 10 * POLICY_CERTIFICATES_MAX, /* those that were once, too */
        CA_SUBJECT_MAX = 512,
};

void ca_remove_temporary(int ca_fd, const char *name)
{
        _cleanup_(closep) int fd = -1;

        if (fdio_open_directory(ca_fd, name, &fd, NULL) < 0)
                return;
        if (cafile_discard(fd, 1, NULL) >= 0)
                unlinkat(ca_fd, name, AT_REMOVEDIR);
}

static int visit_authority(const char *name, void *userdata, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        const int *ca_fd = userdata;

        if (strncmp(name, CA_TEMPORARY_PREFIX, strlen(CA_TEMPORARY_PREFIX)) == 0)
                ca_remove_temporary(*ca_fd, name);
        else if (name[0] != '.' && fdio_open_directory(*ca_fd, name, &fd, NULL) >= 0)
                (void)cafile_tidy(fd, NULL);
        return 0;
}

int ca_open(int state_fd, Ledger *ledger, const Mint *mint, Ca *ret, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        struct stat stat;
        int r;

        if (mkdirat(state_fd, "ca", 0700) < 0 && errno != EEXIST)
                return error_set(reterr, errno, "cannot make the directory of the CAs: %m");
        r = fdio_open_directory(state_fd, "ca", &fd, reterr);
        if (r < 0)
                return r;
        r = fdio_each_entry(fd, CA_AUTHORITIES_MAX, visit_authority, &fd, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CAs");
        if (fstat(fd, &stat) < 0)
                return error_set(reterr, errno, "cannot look at the directory of the CAs: %m");
        /* Before the first CA is made in it; a directory within counts as a link. */
        if (stat.st_nlink <= 2)
                r = fdio_sync(state_fd, "the signer's state directory", reterr);
        if (r < 0)
                return r;
        *ret = (Ca){.fd = TAKE_FD(fd), .ledger = ledger, .mint = mint};
        return 0;
}

void ca_close(Ca *ca)
{
        closep(&ca->fd);
        ca->fd = -1;
}

void ca_note(const Ca *ca, const char *format, ...)
{
        char line[ERROR_TEXT_MAX];
        va_list ap;

        if (!ca->notes)
                return;
        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        text_addf(ca->notes, "%s\n", line);
}

void caview_done(CaView *view)
{
        closep(&view->fd);
        cafile_list_done(&view->files);
        authority_done(&view->observed);
        *view = (CaView){.fd = -1};
}

const CafileSet *caview_files(const CaView *view, uint32_t number)
{
        for (size_t i = 0; i < view->files.n; i++)
                if (view->files.items[i].number == number)
                        return &view->files.items[i];
        return NULL;
}

/* States of before there were marks have generation 1 alone, and it signs. Of any other the missing
 * mark counts: to take a damaged next one for the current one would be to sign too early. */
static bool is_activated(const CafileSet *set)
{
        return cafile_has(set, CAFILE_ACTIVE) ||
               (set->number == 1 && !cafile_has(set, CAFILE_PREPARED));
}

/* The number of the one that signs; 0 for none. A later one has taken over from all before it. */
static uint32_t current_number(const CafileList *files)
{
        for (size_t i = files->n; i-- > 0;)
                if (is_activated(&files->items[i]) && !cafile_has(&files->items[i], CAFILE_RETIRED))
                        return files->items[i].number;
        return 0;
}

/* The mark that says why was seen, but need not be on disk yet. */
static int wipe_key(int fd, const CafileSet *set, Error *reterr)
{
        int r = fdio_sync(fd, "the CA's directory", reterr);

        return r < 0 ? r : cafile_wipe_key(fd, set->number, reterr);
}

/* What nobody needs of a retired generation. Its stamps are in the ledger. */
static int clear_retired(int fd, CafileSet *set, Error *reterr)
{
        static const Cafile unneeded[] = {CAFILE_CROSS,     CAFILE_NEW,        CAFILE_PREPARED,
                                          CAFILE_ACTIVE,    CAFILE_STOLEN,     CAFILE_IMPORTED,
                                          CAFILE_ANNOUNCED, CAFILE_INCOMPLETE, CAFILE_HEARD};
        int r = 0;

        if (cafile_has(set, CAFILE_KEY))
                r = wipe_key(fd, set, reterr);
        for (size_t i = 0; i < ELEMENTSOF(unneeded) && r >= 0; i++)
                if (cafile_has(set, unneeded[i]))
                        r = cafile_remove(fd, set->number, unneeded[i], reterr);
        set->has = 1U << CAFILE_RETIRED | (set->has & 1U << CAFILE_CERTIFICATE);
        return r;
}

/* Carries on what was broken off. A foreign CA's key was imported to certify the next one, and
 * that is done once the next one signs. */
static int recover(CaView *view, Error *reterr)
{
        uint32_t current;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < view->files.n && r >= 0; i++)
                if (cafile_has(&view->files.items[i], CAFILE_MAKING))
                        r = cafile_discard(view->fd, view->files.items[i].number, reterr);
                else
                        view->files.items[n++] = view->files.items[i];
        view->files.n = n;
        current = current_number(&view->files);
        for (size_t i = 0; i < n && r >= 0; i++) {
                CafileSet *set = &view->files.items[i];

                if (cafile_has(set, CAFILE_RETIRED))
                        r = clear_retired(view->fd, set, reterr);
                else if (cafile_has(set, CAFILE_IMPORTED) && cafile_has(set, CAFILE_KEY) &&
                         set->number < current)
                        r = wipe_key(view->fd, set, reterr);
        }
        return r;
}

static int fill_certificate(int fd, ObservedGeneration *generation, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        char subject[CA_SUBJECT_MAX];
        int r = cafile_read_certificate(fd, generation->number, CAFILE_CERTIFICATE, &certificate,
                                        reterr);

        if (r >= 0)
                r = cert_facts(certificate, &generation->facts, reterr);
        if (r >= 0)
                r = cert_subject(certificate, subject, sizeof subject, reterr);
        if (r >= 0)
                r = cert_format(certificate, &generation->der, &generation->der_size, reterr);
        if (r < 0)
                return r;
        generation->subject = strdup(subject);
        return generation->subject ? 0 : error_oom(reterr);
}

static int fill_cross(int fd, ObservedGeneration *generation, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        int r = cafile_read_certificate(fd, generation->number, CAFILE_CROSS, &certificate, reterr);

        if (r >= 0)
                r = cert_facts(certificate, &generation->cross_facts, reterr);
        return r < 0 ? r
                     : cert_format(certificate, &generation->cross, &generation->cross_size,
                                   reterr);
}

static int fill_generation(int fd, const CafileSet *set, ObservedGeneration *generation,
                           Error *reterr)
{
        const struct {
                Cafile kind;
                int64_t *ret;
        } stamps[] = {
                {CAFILE_PREPARED, &generation->prepared_usec},
                {CAFILE_ANNOUNCED, &generation->announced_usec},
                {CAFILE_ACTIVE, &generation->activated_usec},
        };
        int r = fill_certificate(fd, generation, reterr);

        generation->is_stolen = cafile_has(set, CAFILE_STOLEN);
        generation->is_imported = cafile_has(set, CAFILE_IMPORTED);
        /* Nobody knows what it had signed before. */
        generation->is_incomplete = generation->is_imported || cafile_has(set, CAFILE_INCOMPLETE);
        generation->last_leaf_usec = INT64_MIN;
        if (r >= 0 && cafile_has(set, CAFILE_CROSS))
                r = fill_cross(fd, generation, reterr);
        for (size_t i = 0; i < ELEMENTSOF(stamps) && r >= 0; i++)
                if (cafile_has(set, stamps[i].kind))
                        r = cafile_read_mark(fd, set->number, stamps[i].kind, stamps[i].ret,
                                             reterr);
        return r;
}

/* Enters a new generation into the ledger where a crash came between, and forgets the mark. */
static int settle(const Ca *ca, const CaView *view, const char *authority, const CafileSet *set,
                  const ObservedGeneration *generation, int64_t now_usec, Error *reterr)
{
        bool is_first = set->number == 1 && is_activated(set);
        LedgerEntry entries[2] = {
                {.event = generation->is_imported ? LEDGER_IMPORTED
                          : is_first              ? LEDGER_AUTHORITY
                                                  : LEDGER_PREPARED,
                 .authority = authority,
                 .generation = set->number,
                 .facts = &generation->facts},
        };
        size_t n = 1;
        int r;

        /* One that replaced a stolen CA signs from the start. */
        if (!is_first && is_activated(set)) {
                entries[n] = entries[0];
                entries[n++].event = LEDGER_ACTIVATED;
        }
        /* The renames may have been seen, but not be on disk yet. */
        r = fdio_sync(ca->fd, "the directory of the CAs", reterr);
        if (r >= 0)
                r = fdio_sync(view->fd, "the CA's directory", reterr);
        if (r >= 0)
                r = ledger_knows(ca->ledger, authority, generation->facts.serial, reterr);
        if (r == 0)
                r = ledger_add(ca->ledger, entries, n, now_usec, reterr);
        return r < 0 ? r : cafile_remove(view->fd, set->number, CAFILE_NEW, reterr);
}

static int add_generation(const Ca *ca, CaView *view, const char *authority, const CafileSet *set,
                          uint32_t current, int64_t now_usec, Error *reterr)
{
        ObservedAuthority *observed = &view->observed;
        ObservedGeneration *generation;
        int r;

        if (observed->n_generations == OBSERVED_GENERATIONS_MAX)
                return error_set(reterr, E2BIG, "more than %d generations",
                                 OBSERVED_GENERATIONS_MAX);
        /* Counted before it is whole: what is there in part is freed, too. */
        generation = &observed->generations[observed->n_generations++];
        *generation = (ObservedGeneration){.number = set->number};
        generation->phase = set->number == current ? AUTHORITY_CURRENT
                            : is_activated(set)    ? AUTHORITY_RETIRING
                                                   : AUTHORITY_NEXT;
        if (set->number > 1 && !cafile_has(set, CAFILE_PREPARED))
                return error_set(reterr, ENOENT,
                                 "G%" PRIu32 ".prepared is missing HINT: Restore "
                                 "the signer's state directory from a backup.",
                                 set->number);
        r = fill_generation(view->fd, set, generation, reterr);
        if (r >= 0 && cafile_has(set, CAFILE_NEW))
                r = settle(ca, view, authority, set, generation, now_usec, reterr);
        return r;
}

static int look_at(const Ca *ca, CaView *view, const char *authority, int64_t now_usec,
                   Error *reterr)
{
        uint32_t current;
        int r = cafile_list(view->fd, &view->files, reterr);

        if (r >= 0)
                r = recover(view, reterr);
        if (r < 0)
                return r;
        view->observed.generations =
                calloc(OBSERVED_GENERATIONS_MAX, sizeof *view->observed.generations);
        if (!view->observed.generations)
                return error_oom(reterr);
        current = current_number(&view->files);
        for (size_t i = 0; i < view->files.n && r >= 0; i++)
                if (!cafile_has(&view->files.items[i], CAFILE_RETIRED))
                        r = add_generation(ca, view, authority, &view->files.items[i], current,
                                           now_usec, reterr);
        if (r >= 0 && view->observed.n_generations == 0)
                return error_set(reterr, EINVAL,
                                 "its directory is there, but no CA is in it HINT: Restore it from "
                                 "a backup; remove it only if no certificate of it is in use.");
        return r;
}

int ca_look(const Ca *ca, const char *authority, int64_t now_usec, CaView *ret, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1, .observed.known = true};
        int r = fdio_open_directory(ca->fd, authority, &view.fd, reterr);

        if (r >= 0)
                r = look_at(ca, &view, authority, now_usec, reterr);
        else if (r == -ENOENT)
                r = 0;
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority);
        *ret = view;
        view = (CaView){.fd = -1};
        return 0;
}

int ca_load(const CaView *view, uint32_t number, MintIssuer **ret, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        _cleanup_(key_freep) Key *key = NULL;
        int r = cafile_read_certificate(view->fd, number, CAFILE_CERTIFICATE, &certificate, reterr);

        if (r >= 0)
                r = cafile_read_key(view->fd, number, &key, reterr);
        if (r < 0)
                return r;
        r = mint_issuer_new(certificate, key, ret, reterr);
        return r < 0 ? error_prefix(reterr, "G%" PRIu32, number) : 0;
}

int ca_issuer(const Ca *ca, const char *authority, int64_t now_usec, MintIssuer **ret,
              uint32_t *ret_generation, Error *reterr)
{
        _cleanup_(caview_done) CaView view = {.fd = -1};
        const ObservedGeneration *current;
        int r = ca_look(ca, authority, now_usec, &view, reterr);

        if (r < 0)
                return r;
        current = authority_current(&view.observed);
        if (!current)
                return error_set(reterr, ENOENT, "authority %s has no CA%s yet", authority,
                                 view.observed.n_generations > 0 ? " that signs" : "");
        r = ca_load(&view, current->number, ret, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority);
        *ret_generation = current->number;
        return 0;
}
