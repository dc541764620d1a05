/*
 * Why anchors are remembered: a bundle on disk may hold one that no file of the policy names any
 * more. Was its line taken out, or has somebody restored an old policy, or an old state? Only what
 * was told once and is not listed now is known to be given up; every other unknown anchor stops the
 * publication (rule: no unexpired anchor is lost).
 */
#include "daemon/signer/trust.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
        TRUST_ENTRIES_MAX = 100 * 1000, /* of the authority's directory */
        TRUST_REMEMBERED_MAX = 1000,
        TRUST_NAME_MAX = 64, /* bytes of T-KEYIDENTIFIER.expired */
        TRUST_SUBJECT_MAX = 512,
};

typedef uint8_t KeyId[CERT_KEY_ID];

typedef struct Trust {
        int fd;
        const PolicyAuthority *authority;
        int64_t now_usec;
        ObservedAuthority *observed;
        Text *notes;
        KeyId *listed; /* in the policy's files now, expired or not */
        size_t n_listed;
        KeyId *remembered;
        size_t n_remembered;
} Trust;

static void trust_done(Trust *trust)
{
        free(trust->listed);
        free(trust->remembered);
}

static int add_id(KeyId **ids, size_t *n, const KeyId id, Error *reterr)
{
        KeyId *items = reallocarray(*ids, *n + 1, sizeof *items);

        if (!items)
                return error_oom(reterr);
        *ids = items;
        memcpy(items[(*n)++], id, CERT_KEY_ID);
        return 0;
}

static bool has_id(const KeyId *ids, size_t n, const KeyId id)
{
        for (size_t i = 0; i < n; i++)
                if (memcmp(ids[i], id, CERT_KEY_ID) == 0)
                        return true;
        return false;
}

static const char *name_of(const KeyId id, const char *suffix, char buffer[TRUST_NAME_MAX])
{
        char hex[2 * CERT_KEY_ID + 1];

        for (size_t i = 0; i < CERT_KEY_ID; i++)
                snprintf(hex + 2 * i, 3, "%02x", id[i]);
        snprintf(buffer, TRUST_NAME_MAX, "T-%s%s", hex, suffix);
        return buffer;
}

static int visit_remembered(const char *name, void *userdata, Error *reterr)
{
        Trust *trust = userdata;
        char whole[TRUST_NAME_MAX];
        KeyId id;
        int end = 0;

        if (strncmp(name, "T-", 2) != 0 || strlen(name) != 2 + 2 * CERT_KEY_ID + 4)
                return 0;
        for (size_t i = 0; i < CERT_KEY_ID; i++)
                if (sscanf(name + 2 + 2 * i, "%2hhx%n", &id[i], &end) != 1 || end != 2)
                        return 0;
        if (strcmp(name, name_of(id, ".crt", whole)) != 0)
                return 0;
        if (trust->n_remembered == TRUST_REMEMBERED_MAX)
                return error_set(reterr, E2BIG, "more than %d foreign anchors are remembered",
                                 TRUST_REMEMBERED_MAX);
        return add_id(&trust->remembered, &trust->n_remembered, id, reterr);
}

static int remember(const Trust *trust, const CertFacts *facts, const uint8_t *der, size_t size,
                    Error *reterr)
{
        const FileMode mode = {.mode = 0644, .group = (gid_t)-1, .sync = true};
        _cleanup_(text_done) Text pem = {0};
        char name[TRUST_NAME_MAX];
        int r;

        if (trust->fd < 0 || has_id(trust->remembered, trust->n_remembered, facts->key_id))
                return 0;
        cert_add_pem(&pem, der, size);
        r = text_check(&pem, reterr);
        return r < 0 ? r
                     : fdio_replace(trust->fd, name_of(facts->key_id, ".crt", name),
                                    text_content(&pem), pem.size, &mode, reterr);
}

/* Once: the file says that it was told. */
static int note_expired(const Trust *trust, const char *path, const char *subject,
                        const CertFacts *facts, Error *reterr)
{
        const FileMode mode = {.mode = 0600, .group = (gid_t)-1, .sync = true};
        char name[TRUST_NAME_MAX], at[CLOCK_TEXT_MAX];

        if (trust->fd < 0 || !trust->notes ||
            faccessat(trust->fd, name_of(facts->key_id, ".expired", name), F_OK,
                      AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        text_addf(trust->notes, "authority %s: the anchor %s of %s expired at %s and is left out\n",
                  trust->authority->name, subject, path, clock_format(facts->not_after_usec, at));
        return fdio_replace(trust->fd, name, "", 0, &mode, reterr);
}

static bool is_told(const ObservedAuthority *observed, const CertFacts *facts)
{
        for (size_t i = 0; i < observed->n_trust; i++)
                if (memcmp(observed->trust[i].facts.sha256, facts->sha256, CERT_FINGERPRINT) == 0)
                        return true;
        return false;
}

static int tell(ObservedAuthority *observed, const CertFacts *facts, const char *subject,
                const Cert *certificate, Error *reterr)
{
        ObservedAnchor *anchor;

        if (is_told(observed, facts))
                return 0;
        if (observed->n_trust == OBSERVED_TRUST_MAX)
                return error_set(reterr, E2BIG, "more than %d anchors", OBSERVED_TRUST_MAX);
        anchor = &observed->trust[observed->n_trust++];
        *anchor = (ObservedAnchor){.facts = *facts, .subject = strdup(subject)};
        return anchor->subject ? cert_format(certificate, &anchor->der, &anchor->der_size, reterr)
                               : error_oom(reterr);
}

static int add_anchor(Trust *trust, const char *path, Cert *certificate, Error *reterr)
{
        _cleanup_(freep) uint8_t *der = NULL;
        char subject[TRUST_SUBJECT_MAX];
        CertFacts facts;
        size_t size;
        int r;

        /* Old forms of a CA pass (a version 1 root): readers have verified by them so far. A leaf
         * in a bundle would be no anchor, however often somebody put one there. */
        if (X509_check_ca(certificate) == 0)
                return error_set(reterr, EINVAL,
                                 "not the certificate of a CA HINT: Name the file of the CA.");
        r = cert_facts(certificate, &facts, reterr);
        if (r >= 0)
                r = cert_subject(certificate, subject, sizeof subject, reterr);
        if (r >= 0)
                r = cert_format(certificate, &der, &size, reterr);
        if (r >= 0)
                r = add_id(&trust->listed, &trust->n_listed, facts.key_id, reterr);
        /* On disk before it is told: a bundle must not hold what we might forget. */
        if (r >= 0)
                r = remember(trust, &facts, der, size, reterr);
        if (r < 0)
                return r;
        return trust->now_usec >= facts.not_after_usec
                       ? note_expired(trust, path, subject, &facts, reterr)
                       : tell(trust->observed, &facts, subject, certificate, reterr);
}

static int read_file(Trust *trust, const char *path, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(cert_list_done) CertList list = {0};
        int r = fdio_read_followed(path, CERT_FILE_MAX, &bytes, reterr);

        if (r < 0)
                return r; /* the sentence names it */
        r = cert_list_parse(bytes.data, bytes.size, &list, reterr);
        for (size_t i = 0; i < list.n && r >= 0; i++)
                r = add_anchor(trust, path, list.items[i], reterr);
        return r < 0 ? error_prefix(reterr, "%s", path) : 0;
}

/* Those that were told once and are in no file any more. A generation of ours that was foreign when
 * it was told, before it was imported, is trusted for its own sake. */
static void tell_retired(const Trust *trust)
{
        ObservedAuthority *observed = trust->observed;

        for (size_t i = 0; i < trust->n_remembered; i++)
                if (observed->n_retired < OBSERVED_RETIRED_MAX &&
                    !has_id(trust->listed, trust->n_listed, trust->remembered[i]) &&
                    !authority_find_key(observed, trust->remembered[i]))
                        memcpy(observed->retired[observed->n_retired++], trust->remembered[i],
                               CERT_KEY_ID);
}

int trust_tell(int directory_fd, const PolicyAuthority *authority, int64_t now_usec,
               ObservedAuthority *observed, Text *notes, Error *reterr)
{
        _cleanup_(trust_done) Trust trust = {.fd = directory_fd,
                                             .authority = authority,
                                             .now_usec = now_usec,
                                             .observed = observed,
                                             .notes = notes};
        int r = 0;

        observed->trust = calloc(OBSERVED_TRUST_MAX, sizeof *observed->trust);
        if (!observed->trust)
                return error_oom(reterr);
        if (directory_fd >= 0)
                r = fdio_each_entry(directory_fd, TRUST_ENTRIES_MAX, visit_remembered, &trust,
                                    reterr);
        for (size_t i = 0; i < authority->n_trust && r >= 0; i++)
                r = read_file(&trust, authority->trust[i], reterr);
        if (r < 0)
                return error_prefix(reterr, "trust of authority %s", authority->name);
        tell_retired(&trust);
        return 0;
}
