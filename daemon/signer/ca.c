/*
 * What a crash may leave of a new CA, and what the next look makes of it:
 *
 * - a directory .new-*, whole or not: removed at the next start, for nobody was told of it, and no
 *   certificate names it;
 * - the authority's directory with G1.new in it: made and in place, but the rename may not be on
 * disk and the ledger may not know it. settle() syncs, enters it once, and takes the mark away;
 * - the same without the mark: done.
 *
 * Nothing else is repaired. A directory without a certificate, a key that is not the certificate's
 * or that others may read, are told: making another CA in its place would cut off every reader that
 * trusts the first.
 */
#include "daemon/signer/ca.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
        CA_ENTRIES_MAX = 1000, /* of an authority's directory; more are none of ours */
        CA_AUTHORITIES_MAX = 10 * POLICY_CERTIFICATES_MAX, /* those that were once, too */
        CA_NAME_MAX = 32,                                  /* bytes of G4294967295.crt */
        CA_KEY_MAX = 16 * 1024,
        CA_SUBJECT_MAX = 512,
};

static const char temporary_prefix[] = ".new-"; /* no authority's name begins with a dot */

static const char *file_name(uint32_t number, const char *suffix, char buffer[CA_NAME_MAX])
{
        snprintf(buffer, CA_NAME_MAX, "G%" PRIu32 ".%s", number, suffix);
        return buffer;
}

/* What cannot be removed stays: its name is no authority's, and nobody reads it. */
static void remove_temporary(int ca_fd, const char *name)
{
        static const char *const suffixes[] = {"key", "crt", "new"};
        _cleanup_(closep) int fd = -1;
        char file[CA_NAME_MAX];

        if (fdio_open_directory(ca_fd, name, &fd, NULL) < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                unlinkat(fd, file_name(1, suffixes[i], file), 0);
        unlinkat(ca_fd, name, AT_REMOVEDIR);
}

static int visit_temporary(const char *name, void *userdata, Error *reterr)
{
        const int *ca_fd = userdata;

        if (strncmp(name, temporary_prefix, strlen(temporary_prefix)) == 0)
                remove_temporary(*ca_fd, name);
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
        r = fdio_each_entry(fd, CA_AUTHORITIES_MAX, visit_temporary, &fd, reterr);
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

static int compare_numbers(const void *a, const void *b)
{
        const ObservedGeneration *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

/* Adds the generation that a file belongs to, once. Files of other names are not ours to judge. */
static int add_number(const char *name, void *userdata, Error *reterr)
{
        ObservedAuthority *authority = userdata;
        ObservedGeneration *items;
        char whole[CA_NAME_MAX], suffix[4];
        uint32_t number;

        if (sscanf(name, "G%" SCNu32 ".%3[a-z]", &number, suffix) != 2 || number == 0 ||
            strcmp(name, file_name(number, suffix, whole)) != 0 ||
            (strcmp(suffix, "key") != 0 && strcmp(suffix, "crt") != 0))
                return 0;
        for (size_t i = 0; i < authority->n_generations; i++)
                if (authority->generations[i].number == number)
                        return 0;
        if (authority->n_generations == OBSERVED_GENERATIONS_MAX)
                return error_set(reterr, E2BIG, "more than %d generations",
                                 OBSERVED_GENERATIONS_MAX);
        items = reallocarray(authority->generations, authority->n_generations + 1, sizeof *items);
        if (!items)
                return error_oom(reterr);
        authority->generations = items;
        items[authority->n_generations++] = (ObservedGeneration){.number = number};
        return 0;
}

static int find_numbers(int fd, ObservedAuthority *authority, Error *reterr)
{
        int r = fdio_each_entry(fd, CA_ENTRIES_MAX, add_number, authority, reterr);

        if (r < 0)
                return r;
        if (authority->n_generations == 0)
                return error_set(reterr, EINVAL,
                                 "its directory is there, but no CA is in it HINT: Restore it from "
                                 "a backup; remove it only if no certificate of it is in use.");
        qsort(authority->generations, authority->n_generations, sizeof *authority->generations,
              compare_numbers);
        return 0;
}

static int read_certificate(int fd, uint32_t number, Cert **ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList list = {0};
        char name[CA_NAME_MAX];
        int r = fdio_read(fd, file_name(number, "crt", name), CERT_FILE_MAX, &bytes, reterr);

        if (r < 0)
                return r;
        r = cert_list_parse(bytes.data, bytes.size, &list, reterr);
        if (r < 0)
                return error_prefix(reterr, "%s", name);
        if (list.n != 1)
                return error_set(reterr, EINVAL, "%s: %zu certificates instead of one", name,
                                 list.n);
        *ret = TAKE_PTR(list.items[0]);
        return 0;
}

/* The mode is judged from the descriptor that the bytes came from. Whether somebody did read a key
 * that was open to others is not known here, so it is not closed in silence. */
static int read_key(int fd, uint32_t number, Key **ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char name[CA_NAME_MAX];
        int r = fdio_read(fd, file_name(number, "key", name), CA_KEY_MAX, &bytes, reterr);

        if (r < 0)
                return r;
        if (bytes.stat.st_uid != geteuid() || (bytes.stat.st_mode & 077) != 0)
                return error_set(reterr, EPERM,
                                 "%s: others may read it, its mode is %04o and its owner %u HINT: "
                                 "Make it 0600, and rotate the CA if somebody did.",
                                 name, (unsigned)bytes.stat.st_mode & 07777,
                                 (unsigned)bytes.stat.st_uid);
        r = key_parse(bytes.data, bytes.size, ret, reterr);
        return r < 0 ? error_prefix(reterr, "%s", name) : 0;
}

static int read_issuer(int fd, uint32_t number, MintIssuer **ret, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        _cleanup_(key_freep) Key *key = NULL;
        int r = read_certificate(fd, number, &certificate, reterr);

        if (r >= 0)
                r = read_key(fd, number, &key, reterr);
        if (r < 0)
                return r;
        r = mint_issuer_new(certificate, key, ret, reterr);
        return r < 0 ? error_prefix(reterr, "G%" PRIu32, number) : 0;
}

static int fill_generation(int fd, ObservedGeneration *generation, Error *reterr)
{
        _cleanup_(cert_freep) Cert *certificate = NULL;
        char subject[CA_SUBJECT_MAX];
        int r = read_certificate(fd, generation->number, &certificate, reterr);

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

/* Enters a new generation into the ledger where a crash came between, and forgets the mark. */
static int settle(const Ca *ca, int fd, const char *authority, const ObservedGeneration *generation,
                  int64_t now_usec, Error *reterr)
{
        LedgerEntry entry = {.event = LEDGER_AUTHORITY,
                             .authority = authority,
                             .generation = generation->number,
                             .facts = &generation->facts};
        char name[CA_NAME_MAX];
        int r;

        if (faccessat(fd, file_name(generation->number, "new", name), F_OK, AT_SYMLINK_NOFOLLOW) <
            0)
                return errno == ENOENT ? 0
                                       : error_set(reterr, errno, "cannot look at %s: %m", name);
        /* The rename may have been seen, but not be on disk yet. */
        r = fdio_sync(ca->fd, "the directory of the CAs", reterr);
        if (r >= 0)
                r = ledger_knows(ca->ledger, authority, generation->facts.serial, reterr);
        if (r == 0)
                r = ledger_add(ca->ledger, &entry, 1, now_usec, reterr);
        if (r < 0)
                return r;
        if (unlinkat(fd, name, 0) < 0)
                return error_set(reterr, errno, "cannot remove %s: %m", name);
        return 0;
}

static int look_at(const Ca *ca, int fd, const char *authority, int64_t now_usec,
                   ObservedAuthority *observed, MintIssuer **ret_issuer, Error *reterr)
{
        int r = find_numbers(fd, observed, reterr);

        for (size_t i = 0; i < observed->n_generations && r >= 0; i++) {
                ObservedGeneration *generation = &observed->generations[i];
                bool is_last = i + 1 == observed->n_generations;

                /* No other CA is made while one is there, so the newest is the one that signs. */
                generation->phase = is_last ? AUTHORITY_CURRENT : AUTHORITY_RETIRING;
                r = fill_generation(fd, generation, reterr);
                if (r >= 0 && is_last)
                        r = read_issuer(fd, generation->number, ret_issuer, reterr);
                if (r >= 0)
                        r = settle(ca, fd, authority, generation, now_usec, reterr);
        }
        return r;
}

/* ret_issuer stays NULL on a blank slate. */
static int look(const Ca *ca, const char *authority, int64_t now_usec, ObservedAuthority *ret,
                MintIssuer **ret_issuer, Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority observed = {.known = true};
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        _cleanup_(closep) int fd = -1;
        int r = fdio_open_directory(ca->fd, authority, &fd, reterr);

        if (r >= 0)
                r = look_at(ca, fd, authority, now_usec, &observed, &issuer, reterr);
        else if (r == -ENOENT)
                r = 0;
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority);
        *ret = observed;
        observed = (ObservedAuthority){0};
        *ret_issuer = TAKE_PTR(issuer);
        return 0;
}

int ca_observe(const Ca *ca, const char *authority, int64_t now_usec, ObservedAuthority *ret,
               Error *reterr)
{
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;

        return look(ca, authority, now_usec, ret, &issuer, reterr);
}

/* The three files of a generation, synced, in a directory that is synced. */
static int write_generation(int fd, const KeyText *key, const Minted *certificate, Error *reterr)
{
        const FileMode secret = {.mode = 0600, .group = (gid_t)-1, .sync = true};
        const FileMode public = {.mode = 0644, .group = (gid_t)-1, .sync = true};
        _cleanup_(text_done) Text pem = {0};
        char name[CA_NAME_MAX];
        int r;

        /* The mark is last: it is there only beside a whole generation. */
        cert_add_pem(&pem, certificate->der, certificate->size);
        r = text_check(&pem, reterr);
        if (r >= 0)
                r = fdio_create(fd, file_name(1, "key", name), key->data, key->size, &secret,
                                reterr);
        if (r >= 0)
                r = fdio_create(fd, file_name(1, "crt", name), text_content(&pem), pem.size,
                                &public, reterr);
        if (r >= 0)
                r = fdio_create(fd, file_name(1, "new", name), "", 0, &secret, reterr);
        return r < 0 ? r : fdio_sync(fd, "the new CA's directory", reterr);
}

/* Writes them under a name of its own, then gives it the authority's. */
static int publish(const Ca *ca, const char *authority, const KeyText *key,
                   const Minted *certificate, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char temporary[CA_NAME_MAX];
        uint64_t random;
        int r;

        if (getrandom(&random, sizeof random, 0) != sizeof random)
                return error_set(reterr, EIO, "no random bytes");
        snprintf(temporary, sizeof temporary, "%s%016" PRIx64, temporary_prefix, random);
        if (mkdirat(ca->fd, temporary, 0700) < 0)
                return error_set(reterr, errno, "cannot make a directory for the new CA: %m");
        r = fdio_open_directory(ca->fd, temporary, &fd, reterr);
        if (r >= 0)
                r = write_generation(fd, key, certificate, reterr);
        /* Nobody else is here: we hold the lock, and a directory that is not empty stops it. */
        if (r >= 0 && renameat(ca->fd, temporary, ca->fd, authority) < 0)
                r = error_set(reterr, errno, "cannot put the new CA in place: %m");
        if (r < 0) {
                remove_temporary(ca->fd, temporary);
                return r;
        }
        return fdio_sync(ca->fd, "the directory of the CAs", reterr);
}

static int make(const Ca *ca, const PolicyAuthority *authority, int64_t now_usec,
                int64_t backdate_usec, Error *reterr)
{
        _cleanup_(key_freep) Key *key = NULL;
        _cleanup_(key_text_done) KeyText text = {0};
        _cleanup_(minted_done) Minted minted = {0};
        int r = key_new(authority->key, &key, reterr);

        if (r >= 0)
                r = mint_authority(ca->mint, authority, 1, key, now_usec, backdate_usec, &minted,
                                   reterr);
        if (r >= 0)
                r = key_format(key, &text, reterr);
        return r < 0 ? r : publish(ca, authority->name, &text, &minted, reterr);
}

int ca_make(const Ca *ca, const PolicyAuthority *authority, int64_t now_usec, int64_t backdate_usec,
            Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority before = {0}, after = {0};
        LedgerSummary known;
        int r = ca_observe(ca, authority->name, now_usec, &before, reterr);

        if (r < 0 || before.n_generations > 0)
                return r;
        /* The files are gone, but were they ever there? A second CA of that name would be trusted
         * by none of those who trust the first. */
        r = ledger_summarize(ca->ledger, authority->name, 0, &known, reterr);
        if (r < 0)
                return r;
        if (known.authorities > 0 || known.issued > 0)
                return error_set(reterr, ENOKEY,
                                 "the CA of authority %s is lost: the ledger knows it, but its "
                                 "files are gone HINT: Restore the signer's state directory from a "
                                 "backup.",
                                 authority->name);
        r = make(ca, authority, now_usec, backdate_usec, reterr);
        if (r < 0)
                return error_prefix(reterr, "the CA of authority %s", authority->name);
        /* The look settles it: nobody is told of it before it is in the ledger. */
        r = ca_observe(ca, authority->name, now_usec, &after, reterr);
        return r < 0 ? r : 1;
}

int ca_issuer(const Ca *ca, const char *authority, int64_t now_usec, MintIssuer **ret,
              uint32_t *ret_generation, Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        _cleanup_(mint_issuer_freep) MintIssuer *issuer = NULL;
        int r = look(ca, authority, now_usec, &observed, &issuer, reterr);

        if (r < 0)
                return r;
        if (!issuer)
                return error_set(reterr, ENOENT, "authority %s has no CA yet", authority);
        *ret_generation = authority_current(&observed)->number;
        *ret = TAKE_PTR(issuer);
        return 0;
}
