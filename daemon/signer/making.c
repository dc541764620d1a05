/*
 * The first generation and the later ones differ in what must never be seen: of the first, a
 * directory without a CA in it, which would be taken for one that was lost, so the whole directory
 * appears at once; of the later ones, a part, so a mark stands there before the first file and
 * becomes another one (by one rename) after the last.
 */
#include "daemon/signer/making.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "daemon/signer/import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

/* A generation in memory. */
typedef struct Made {
        uint32_t number;
        Key *key;
        Minted certificate;
        Minted cross; /* no bytes where there is none */
        int64_t now_usec;
        bool is_prepared, is_active, is_imported; /* its marks */
} Made;

static void made_done(Made *made)
{
        key_free(made->key);
        minted_done(&made->certificate);
        minted_done(&made->cross);
}

static int make(const Ca *ca, const PolicyAuthority *authority, int64_t backdate_usec, Made *made,
                Error *reterr)
{
        int r = key_new(authority->key, &made->key, reterr);

        return r < 0 ? r
                     : mint_authority(ca->mint, authority, made->number, made->key, made->now_usec,
                                      backdate_usec, &made->certificate, reterr);
}

static int import(const PolicyAuthority *authority, Made *made, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        int r = import_read(authority, made->now_usec, &certificate, &made->key, reterr);

        if (r >= 0)
                r = cert_facts(certificate, &made->certificate.facts, reterr);
        return r < 0 ? r
                     : cert_format(certificate, &made->certificate.der, &made->certificate.size,
                                   reterr);
}

static int write_files(int fd, const Made *made, Error *reterr)
{
        const struct {
                bool is_wanted;
                Cafile kind;
        } marks[] = {
                {made->is_prepared, CAFILE_PREPARED},
                {made->is_active, CAFILE_ACTIVE},
                {made->is_imported, CAFILE_IMPORTED},
        };
        int r = cafile_create_key(fd, made->number, made->key, reterr);

        if (r >= 0)
                r = cafile_create_certificate(fd, made->number, CAFILE_CERTIFICATE,
                                              made->certificate.der, made->certificate.size,
                                              reterr);
        if (r >= 0 && made->cross.size > 0)
                r = cafile_create_certificate(fd, made->number, CAFILE_CROSS, made->cross.der,
                                              made->cross.size, reterr);
        for (size_t i = 0; i < ELEMENTSOF(marks) && r >= 0; i++)
                if (marks[i].is_wanted)
                        r = cafile_create_mark(fd, made->number, marks[i].kind, made->now_usec,
                                               reterr);
        return r < 0 ? r : fdio_sync(fd, "the CA's directory", reterr);
}

/* The first generation's files in a directory of their own. */
static int fill_directory(const Ca *ca, const char *name, const Made *made, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        int r = fdio_open_directory(ca->fd, name, &fd, reterr);

        if (r >= 0)
                r = cafile_create_mark(fd, made->number, CAFILE_NEW, made->now_usec, reterr);
        return r < 0 ? r : write_files(fd, made, reterr);
}

/* Writes them under a name of its own, then gives it the authority's. What an error leaves here the
 * next start removes. */
static int publish(const Ca *ca, const char *authority, const Made *made, Error *reterr)
{
        char temporary[64];
        uint64_t random;
        int r;

        if (getrandom(&random, sizeof random, 0) != sizeof random)
                return error_set(reterr, EIO, "no random bytes");
        snprintf(temporary, sizeof temporary, CA_TEMPORARY_PREFIX "%016" PRIx64, random);
        if (mkdirat(ca->fd, temporary, 0700) < 0)
                return error_set(reterr, errno, "cannot make a directory for the new CA: %m");
        r = fill_directory(ca, temporary, made, reterr);
        /* Nobody else is here: we hold the lock, and a directory that is not empty stops it. */
        if (r >= 0 && renameat(ca->fd, temporary, ca->fd, authority) < 0)
                r = error_set(reterr, errno, "cannot put the new CA in place: %m");
        if (r < 0) {
                ca_remove_temporary(ca->fd, temporary);
                return r;
        }
        return fdio_sync(ca->fd, "the directory of the CAs", reterr);
}

/* The files are gone, but were they ever there? A second CA of that name would be trusted by none
 * of those who trust the first. */
static int check_blank(const Ca *ca, const char *authority, Error *reterr)
{
        LedgerSummary known;
        int r = ledger_summarize(ca->ledger, authority, 0, &known, reterr);

        if (r < 0)
                return r;
        if (known.authorities > 0 || known.issued > 0)
                return error_set(reterr, ENOKEY,
                                 "the CA of authority %s is lost: the ledger knows it, but its "
                                 "files are gone HINT: Restore the signer's state directory from a "
                                 "backup.",
                                 authority);
        return 0;
}

int making_first(const Ca *ca, const PolicyAuthority *authority, MakingFirst how, int64_t now_usec,
                 int64_t backdate_usec, Error *reterr)
{
        _cleanup_(caview_done) CaView before = {.fd = -1}, after = {.fd = -1};
        _cleanup_(made_done) Made made = {.number = 1, .now_usec = now_usec};
        int r = ca_look(ca, authority->name, now_usec, &before, reterr);

        if (r < 0 || before.observed.n_generations > 0)
                return r;
        r = check_blank(ca, authority->name, reterr);
        if (r < 0)
                return r;
        made.is_active = how == MAKING_CURRENT;
        made.is_imported = made.is_active && authority->adopt_certificate;
        /* When a foreign CA was made is in its certificate, and its stamp counts for nothing. */
        made.is_prepared = !made.is_imported;
        r = made.is_imported ? import(authority, &made, reterr)
                             : make(ca, authority, backdate_usec, &made, reterr);
        if (r >= 0)
                r = publish(ca, authority->name, &made, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority->name);
        /* The look settles it: nobody is told of it before it is in the ledger. */
        r = ca_look(ca, authority->name, now_usec, &after, reterr);
        return r < 0 ? r : 1;
}

/* No number is used twice: not one that was discarded, nor one that only the ledger remembers. */
static int next_number(const Ca *ca, const CaView *view, const char *authority, uint32_t *ret,
                       Error *reterr)
{
        LedgerSummary known;
        int r = ledger_summarize(ca->ledger, authority, 0, &known, reterr);

        if (r < 0)
                return r;
        *ret = known.last_generation;
        if (view->files.n > 0 && view->files.items[view->files.n - 1].number > *ret)
                *ret = view->files.items[view->files.n - 1].number;
        ++*ret;
        return 0;
}

/* A reader that has the old CA alone cannot verify without it, but all the others can: better a
 * rollover without a cross-certificate than none. */
static int make_cross(const Ca *ca, const MintIssuer *issuer, int64_t backdate_usec, Made *made,
                      Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        Error error = {0};
        int r = cert_parse(made->certificate.der, made->certificate.size, &certificate, reterr);

        if (r < 0)
                return r;
        r = mint_cross(ca->mint, issuer, certificate, made->now_usec, backdate_usec, &made->cross,
                       &error);
        if (r == -EOPNOTSUPP) {
                ca_note(ca, "no cross-certificate is made: %s", error.text);
                return 0;
        }
        if (r < 0 && reterr)
                *reterr = error;
        return r;
}

static int write_next(int fd, const Made *made, Error *reterr)
{
        int r = cafile_create_mark(fd, made->number, CAFILE_MAKING, made->now_usec, reterr);

        if (r < 0)
                return r;
        /* The mark first: without it the rest would pass for a generation. */
        r = fdio_sync(fd, "the CA's directory", reterr);
        if (r >= 0)
                r = write_files(fd, made, reterr);
        if (r >= 0)
                r = cafile_commit(fd, made->number, reterr);
        if (r < 0)
                (void)cafile_discard(fd, made->number, NULL);
        return r;
}

int making_next(const Ca *ca, const CaView *view, const PolicyAuthority *authority,
                const MintIssuer *issuer, bool is_active, int64_t now_usec, int64_t backdate_usec,
                Error *reterr)
{
        _cleanup_(made_done)
                Made made = {.now_usec = now_usec, .is_prepared = true, .is_active = is_active};
        _cleanup_(caview_done) CaView after = {.fd = -1};
        int r = next_number(ca, view, authority->name, &made.number, reterr);

        if (r >= 0)
                r = make(ca, authority, backdate_usec, &made, reterr);
        if (r >= 0 && issuer)
                r = make_cross(ca, issuer, backdate_usec, &made, reterr);
        if (r >= 0)
                r = write_next(view->fd, &made, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority->name);
        return ca_look(ca, authority->name, now_usec, &after, reterr);
}
