#include "daemon/worker/preflight.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "daemon/worker/manifest.h"
#include "daemon/worker/pair.h"
#include "daemon/worker/verification.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

enum { PREFLIGHT_KEY_MAX = 65536 };

/* A generation's files, read and parsed. */
typedef struct Files {
        FileBytes bytes[POLICY_FILES];
        CertList chain;
        CertList bundle;
        bool is_adopted; /* somebody else's pair, kept */
} Files;

static void files_done(Files *files)
{
        for (size_t i = 0; i < POLICY_FILES; i++)
                file_bytes_done(&files->bytes[i]);
        cert_list_done(&files->chain);
        cert_list_done(&files->bundle);
}

/* PostgreSQL and libpq agree: a key of root's may be read by its group, any other by its owner
 * alone. An ACL shows its mask as the group's bits, so it is seen here as they see it. Where the
 * policy has the group read it, its readers are others. */
int preflight_key_mode(const struct stat *stat, mode_t wanted, const char *name, Error *reterr)
{
        bool is_strict = (stat->st_uid != 0 || stat->st_uid == geteuid()) && !(wanted & S_IRGRP);
        mode_t banned = is_strict ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO;

        if ((stat->st_mode & banned) == 0)
                return 0;
        return error_set(reterr, EPERM,
                         "the key %s has mode %04o: PostgreSQL and libpq refuse a key that its "
                         "group or others may use HINT: Set mode to 0600 in the policy, and remove "
                         "a default ACL from the directory.",
                         name, (unsigned)(stat->st_mode & 07777));
}

static int check_key_owner(const struct stat *stat, const char *name, Error *reterr)
{
        if (stat->st_uid == geteuid() || stat->st_uid == 0)
                return 0;
        return error_set(reterr, EPERM,
                         "the key %s is of user %u: PostgreSQL takes a key of its own user or of "
                         "root alone",
                         name, (unsigned)stat->st_uid);
}

static int read_files(const PolicyCertificate *certificate, int fd, Files *files, Error *reterr)
{
        int r = 0;

        for (PolicyFile i = 0; i < POLICY_FILES && r == 0; i++)
                r = fdio_read(fd, certificate->files[i],
                              i == POLICY_KEY ? PREFLIGHT_KEY_MAX : CERT_FILE_MAX, &files->bytes[i],
                              reterr);
        return r;
}

static int parse_list(const PolicyCertificate *certificate, PolicyFile file, Files *files,
                      CertList *ret, Error *reterr)
{
        const FileBytes *bytes = &files->bytes[file];
        int r = cert_list_parse(bytes->data, bytes->size, ret, reterr);

        if (r < 0)
                error_prefix(reterr, "%s", certificate->files[file]);
        return r;
}

static int parse_files(const PolicyCertificate *certificate, Files *files, Error *reterr)
{
        const FileBytes *key = &files->bytes[POLICY_KEY];
        bool is_pair;
        int r;

        r = parse_list(certificate, POLICY_CERTIFICATE, files, &files->chain, reterr);
        if (r == 0)
                r = parse_list(certificate, POLICY_TRUST, files, &files->bundle, reterr);
        if (r == 0 &&
            (r = pair_check(key->data, key->size, files->chain.items[0], &is_pair, reterr)) < 0)
                error_prefix(reterr, "%s", certificate->files[POLICY_KEY]);
        if (r == 0 && !is_pair)
                r = error_set(reterr, EINVAL, "the first certificate in %s is not of the key in %s",
                              certificate->files[POLICY_CERTIFICATE],
                              certificate->files[POLICY_KEY]);
        return r;
}

/* OpenSSL refuses the last second, and so do we. */
static int check_dates(const CertFacts *leaf, int64_t now_usec, Error *reterr)
{
        char now[CLOCK_TEXT_MAX], instant[CLOCK_TEXT_MAX];

        if (now_usec < leaf->not_before_usec)
                return error_set(reterr, EAGAIN, "the certificate is valid from %s, and it is %s",
                                 clock_format(leaf->not_before_usec, instant),
                                 clock_format(now_usec, now));
        if (now_usec >= leaf->not_after_usec)
                return error_set(reterr, EKEYEXPIRED, "the certificate expired at %s, and it is %s",
                                 clock_format(leaf->not_after_usec, instant),
                                 clock_format(now_usec, now));
        return 0;
}

/* A CA that somebody else made and that was imported to sign need not be as strict as ours: the
 * tutorial's has no keyUsage. No reader of PostgreSQL's asks that of an anchor. */
static int pass_over(int is_good, X509_STORE_CTX *context)
{
        int code = X509_STORE_CTX_get_error(context);

        if (is_good || X509_STORE_CTX_get_error_depth(context) == 0)
                return is_good;
        return code == X509_V_ERR_CA_CERT_MISSING_KEY_USAGE ||
               code == X509_V_ERR_CA_BCONS_NOT_CRITICAL ||
               code == X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER ||
               code == X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER;
}

/* Of ours everything is asked. What somebody else made is in use as it is, without the identifiers
 * and usages that we give: of that the path to an anchor is asked, as PostgreSQL and libpq do. */
static int set_demands(X509_STORE_CTX *context, PolicyUse use, bool is_adopted, Error *reterr)
{
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
        int purpose = use == POLICY_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;

        X509_STORE_CTX_set_verify_cb(context, pass_over);
        if (is_adopted || (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT) == 1 &&
                           X509_STORE_CTX_set_purpose(context, purpose) == 1))
                return 0;
        return error_oom(reterr);
}

static int check_chain(PolicyUse use, const Files *files, int64_t now_usec, Error *reterr)
{
        _cleanup_(verification_done) Verification verification = {0};
        char now[CLOCK_TEXT_MAX];
        const char *why;
        int r = verification_init(&verification, &files->chain, &files->bundle, now_usec, reterr);

        if (r >= 0)
                r = set_demands(verification.context, use, files->is_adopted, reterr);
        if (r < 0)
                return r;
        why = verification_run(&verification);
        if (!why)
                return 0;
        return error_set(reterr, EINVAL,
                         "the certificate does not verify with the trust bundle at %s: %s (depth "
                         "%d)",
                         clock_format(now_usec, now), why,
                         X509_STORE_CTX_get_error_depth(verification.context));
}

/* Readers go by path: every directory above must let this user through. */
static int check_path(const char *directory, Error *reterr)
{
        _cleanup_(freep) char *path = strdup(directory);

        if (!path)
                return error_oom(reterr);
        for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
                if (slash)
                        *slash = '\0';
                if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                        return error_set(reterr, errno,
                                         "the directory %s cannot be searched by the files' owner: "
                                         "%m HINT: Give it the x permission for that user.",
                                         path);
                if (!slash)
                        return 0;
                *slash = '/';
        }
}

int preflight_check(const PolicyCertificate *certificate, int generation_fd, int64_t now_usec,
                    CertFacts *ret_leaf, Error *reterr)
{
        const char *key_name = certificate->files[POLICY_KEY];
        _cleanup_(manifest_done) Manifest manifest = {0};
        _cleanup_(files_done) Files files = {0};
        const struct stat *key = &files.bytes[POLICY_KEY].stat;
        CertFacts leaf;
        int r;

        r = manifest_load(generation_fd, &manifest, NULL, reterr);
        if (r == 0)
                r = read_files(certificate, generation_fd, &files, reterr);
        files.is_adopted = manifest.is_adopted;
        if (r == 0)
                r = parse_files(certificate, &files, reterr);
        if (r == 0)
                r = cert_facts(files.chain.items[0], &leaf, reterr);
        if (r == 0)
                r = check_dates(&leaf, now_usec, reterr);
        if (r == 0)
                r = check_chain(certificate->use, &files, now_usec, reterr);
        if (r == 0 && certificate->use == POLICY_SERVER)
                r = check_key_owner(key, key_name, reterr);
        if (r == 0)
                r = preflight_key_mode(key, certificate->mode, key_name, reterr);
        if (r == 0)
                r = check_path(certificate->directory, reterr);
        if (r == 0)
                *ret_leaf = leaf;
        return r;
}
