#include "daemon/signer/cafile.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "daemon/signer/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
        CAFILE_ENTRIES_MAX = 100 * 1000, /* of a directory: two for each retired generation */
        CAFILE_NAME_MAX = 32,            /* bytes of G4294967295.incomplete */
        CAFILE_KEY_MAX = 16 * 1024,
        CAFILE_MARK_MAX = 100,
};

static const char *const suffixes[CAFILE_KINDS] = {
        [CAFILE_KEY] = "key",
        [CAFILE_CERTIFICATE] = "crt",
        [CAFILE_CROSS] = "cross",
        [CAFILE_MAKING] = "making",
        [CAFILE_NEW] = "new",
        [CAFILE_PREPARED] = "prepared",
        [CAFILE_ANNOUNCED] = "announced",
        [CAFILE_ACTIVE] = "active",
        [CAFILE_STOLEN] = "stolen",
        [CAFILE_IMPORTED] = "imported",
        [CAFILE_INCOMPLETE] = "incomplete",
        [CAFILE_RETIRED] = "retired",
        [CAFILE_HEARD] = "heard",
};

static const FileMode secret = {.mode = 0600, .group = (gid_t)-1, .sync = true};
static const FileMode public = {.mode = 0644, .group = (gid_t)-1, .sync = true};

static const char *name_of(uint32_t number, Cafile kind, char buffer[CAFILE_NAME_MAX])
{
        snprintf(buffer, CAFILE_NAME_MAX, "G%" PRIu32 ".%s", number, suffixes[kind]);
        return buffer;
}

static bool parse_name(const char *name, uint32_t *ret_number, Cafile *ret_kind)
{
        char whole[CAFILE_NAME_MAX], suffix[16];

        if (sscanf(name, "G%" SCNu32 ".%15[a-z]", ret_number, suffix) != 2 || *ret_number == 0)
                return false;
        for (Cafile kind = 0; kind < CAFILE_KINDS; kind++)
                if (strcmp(name, name_of(*ret_number, kind, whole)) == 0) {
                        *ret_kind = kind;
                        return true;
                }
        return false;
}

static int add_entry(const char *name, void *userdata, Error *reterr)
{
        CafileList *list = userdata;
        CafileSet *items;
        uint32_t number;
        Cafile kind;

        if (!parse_name(name, &number, &kind))
                return 0;
        items = reallocarray(list->items, list->n + 1, sizeof *items);
        if (!items)
                return error_oom(reterr);
        list->items = items;
        items[list->n++] = (CafileSet){.number = number, .has = 1U << kind};
        return 0;
}

static int compare_numbers(const void *a, const void *b)
{
        const CafileSet *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

void cafile_list_done(CafileList *list)
{
        free(list->items);
        *list = (CafileList){0};
}

int cafile_list(int directory_fd, CafileList *ret, Error *reterr)
{
        _cleanup_(cafile_list_done) CafileList list = {0};
        size_t n = 0;
        int r = fdio_each_entry(directory_fd, CAFILE_ENTRIES_MAX, add_entry, &list, reterr);

        if (r < 0)
                return r;
        if (list.n > 0)
                qsort(list.items, list.n, sizeof *list.items, compare_numbers);
        for (size_t i = 0; i < list.n; i++)
                if (n > 0 && list.items[n - 1].number == list.items[i].number)
                        list.items[n - 1].has |= list.items[i].has;
                else
                        list.items[n++] = list.items[i];
        list.n = n;
        *ret = list;
        list = (CafileList){0};
        return 0;
}

static int remove_temporary(const char *name, void *userdata, Error *reterr)
{
        const int *directory_fd = userdata;

        if (strncmp(name, ".G", 2) == 0 || strncmp(name, ".T-", 3) == 0)
                unlinkat(*directory_fd, name, 0);
        return 0;
}

int cafile_tidy(int directory_fd, Error *reterr)
{
        return fdio_each_entry(directory_fd, CAFILE_ENTRIES_MAX, remove_temporary, &directory_fd,
                               reterr);
}

int cafile_read_mark(int directory_fd, uint32_t number, Cafile kind, int64_t *ret_usec,
                     Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char name[CAFILE_NAME_MAX], *end;
        int r = fdio_read(directory_fd, name_of(number, kind, name), CAFILE_MARK_MAX, &bytes,
                          reterr);

        if (r < 0)
                return r;
        errno = 0;
        *ret_usec = strtoll((const char *)bytes.data, &end, 10);
        if (errno != 0 || *end != ' ')
                return error_set(reterr, EINVAL, "%s: does not begin with a time", name);
        return 0;
}

/* The number counts, the words beside it are for people. */
static int format_mark(int64_t usec, char ret[CAFILE_MARK_MAX])
{
        char at[CLOCK_TEXT_MAX];

        return snprintf(ret, CAFILE_MARK_MAX, "%" PRId64 " %s\n", usec, clock_format(usec, at));
}

int cafile_write_mark(int directory_fd, uint32_t number, Cafile kind, int64_t usec, Error *reterr)
{
        char name[CAFILE_NAME_MAX], text[CAFILE_MARK_MAX];
        int size = format_mark(usec, text);

        return fdio_replace(directory_fd, name_of(number, kind, name), text, (size_t)size, &secret,
                            reterr);
}

int cafile_create_mark(int directory_fd, uint32_t number, Cafile kind, int64_t usec, Error *reterr)
{
        char name[CAFILE_NAME_MAX], text[CAFILE_MARK_MAX];
        int size = format_mark(usec, text);

        return fdio_create(directory_fd, name_of(number, kind, name), text, (size_t)size, &secret,
                           reterr);
}

int cafile_read_certificate(int directory_fd, uint32_t number, Cafile kind, Cert **ret,
                            Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList list = {0};
        char name[CAFILE_NAME_MAX];
        int r = fdio_read(directory_fd, name_of(number, kind, name), CERT_FILE_MAX, &bytes, reterr);

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

int cafile_create_certificate(int directory_fd, uint32_t number, Cafile kind, const void *der,
                              size_t size, Error *reterr)
{
        _cleanup_(text_done) Text pem = {0};
        char name[CAFILE_NAME_MAX];
        int r;

        cert_add_pem(&pem, der, size);
        r = text_check(&pem, reterr);
        return r < 0 ? r
                     : fdio_create(directory_fd, name_of(number, kind, name), text_content(&pem),
                                   pem.size, &public, reterr);
}

static int parse_key(const FileBytes *bytes, Key **ret, Error *reterr)
{
        static const char begin[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
        _cleanup_(passphrase_done) Passphrase passphrase = {0};
        int r;

        if (!memmem(bytes->data, bytes->size, begin, sizeof begin - 1))
                return key_parse(bytes->data, bytes->size, ret, reterr);
        r = passphrase_load(&passphrase, reterr);
        if (r < 0)
                return r;
        if (!passphrase.text[0])
                return error_set(reterr, EACCES,
                                 "the key is encrypted, and there is no passphrase HINT: Give the "
                                 "signer's unit the credential ca-passphrase, see pgcertd(8).");
        return key_parse_locked(bytes->data, bytes->size, passphrase.text, ret, reterr);
}

/* The mode is judged from the descriptor that the bytes came from. */
int cafile_read_key(int directory_fd, uint32_t number, Key **ret, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char name[CAFILE_NAME_MAX];
        int r = fdio_read(directory_fd, name_of(number, CAFILE_KEY, name), CAFILE_KEY_MAX, &bytes,
                          reterr);

        if (r < 0)
                return r;
        if (bytes.stat.st_uid != geteuid() || (bytes.stat.st_mode & 077) != 0)
                return error_set(reterr, EPERM,
                                 "%s: others may read it, its mode is %04o and its owner %u HINT: "
                                 "Make it 0600, and rotate the CA if somebody did.",
                                 name, (unsigned)bytes.stat.st_mode & 07777,
                                 (unsigned)bytes.stat.st_uid);
        r = parse_key(&bytes, ret, reterr);
        return r < 0 ? error_prefix(reterr, "%s", name) : 0;
}

int cafile_create_key(int directory_fd, uint32_t number, Key *key, Error *reterr)
{
        _cleanup_(key_text_done) KeyText text = {0};
        _cleanup_(passphrase_done) Passphrase passphrase = {0};
        char name[CAFILE_NAME_MAX];
        int r = passphrase_load(&passphrase, reterr);

        if (r >= 0)
                r = passphrase.text[0] ? key_format_locked(key, passphrase.text, &text, reterr)
                                       : key_format(key, &text, reterr);
        return r < 0 ? r
                     : fdio_create(directory_fd, name_of(number, CAFILE_KEY, name), text.data,
                                   text.size, &secret, reterr);
}

/* In place, so that the blocks are the same ones: a copy-on-write file system keeps the old. */
static int overwrite(int fd, const char *name, Error *reterr)
{
        static const uint8_t zeros[CAFILE_KEY_MAX];
        struct stat stat;
        int r;

        if (fstat(fd, &stat) < 0)
                return error_set(reterr, errno, "cannot look at %s: %m", name);
        if (!S_ISREG(stat.st_mode) || stat.st_size > (off_t)sizeof zeros)
                return error_set(reterr, EINVAL, "%s is not a key: it is not wiped", name);
        r = fdio_write_all(fd, zeros, (size_t)stat.st_size, name, reterr);
        return r < 0 ? r : fdio_sync(fd, name, reterr);
}

int cafile_wipe_key(int directory_fd, uint32_t number, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        char name[CAFILE_NAME_MAX];
        int r;

        fd = openat(directory_fd, name_of(number, CAFILE_KEY, name),
                    O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : error_set(reterr, errno, "cannot open %s: %m", name);
        r = overwrite(fd, name, reterr);
        if (r >= 0)
                r = cafile_remove(directory_fd, number, CAFILE_KEY, reterr);
        return r < 0 ? r : fdio_sync(directory_fd, "the CA's directory", reterr);
}

int cafile_remove(int directory_fd, uint32_t number, Cafile kind, Error *reterr)
{
        char name[CAFILE_NAME_MAX];

        if (unlinkat(directory_fd, name_of(number, kind, name), 0) < 0 && errno != ENOENT)
                return error_set(reterr, errno, "cannot remove %s: %m", name);
        return 0;
}

int cafile_discard(int directory_fd, uint32_t number, Error *reterr)
{
        int r = 0;

        for (Cafile kind = 0; kind < CAFILE_KINDS && r >= 0; kind++)
                if (kind != CAFILE_MAKING)
                        r = cafile_remove(directory_fd, number, kind, reterr);
        /* Were the mark gone before the rest, the rest would pass for a generation. */
        if (r >= 0)
                r = fdio_sync(directory_fd, "the CA's directory", reterr);
        return r < 0 ? r : cafile_remove(directory_fd, number, CAFILE_MAKING, reterr);
}

int cafile_commit(int directory_fd, uint32_t number, Error *reterr)
{
        char from[CAFILE_NAME_MAX], to[CAFILE_NAME_MAX];

        if (renameat(directory_fd, name_of(number, CAFILE_MAKING, from), directory_fd,
                     name_of(number, CAFILE_NEW, to)) < 0)
                return error_set(reterr, errno, "cannot rename %s: %m", from);
        return 0;
}
