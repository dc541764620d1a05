#include "common/profile.h"

#include "common/crypto.h"
#include "common/extension.h"
#include "common/policyname.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

enum { COMMON_NAME_MAX = 64 }; /* ub-common-name, RFC 5280 appendix A.1 */

DEFINE_CLEANUP(X509_NAME *, X509_NAME_free);

static int add_attribute(X509_NAME *name, const char *type, const char *value, Error *reterr)
{
        if (!X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const unsigned char *)value, -1,
                                        -1, 0))
                return crypto_error(reterr, EINVAL, "subject %s=\"%s\"", type, value);
        return 0;
}

int profile_subject(const PolicySubject *subject, const char *cn, X509_NAME **ret, Error *reterr)
{
        _cleanup_(X509_NAME_freep) X509_NAME *name = X509_NAME_new();
        int r = 0;

        if (!name)
                return error_oom(reterr);
        for (size_t i = 0; i < subject->n && r >= 0; i++) {
                const PolicyAttribute *attribute = &subject->items[i];
                bool is_replaced = cn && strcmp(attribute->type, "CN") == 0;

                r = add_attribute(name, attribute->type, is_replaced ? cn : attribute->value,
                                  reterr);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(name);
        return 0;
}

int profile_authority_subject(const PolicyAuthority *authority, uint32_t number,
                              const uint8_t key_id[CERT_KEY_ID], X509_NAME **ret, Error *reterr)
{
        const char *base = policyname_subject_cn(&authority->subject);
        char cn[COMMON_NAME_MAX + 1];
        int length;
        size_t line;

        assert(base); /* policycheck refuses an authority without */
        length = snprintf(cn, sizeof cn, "%s G%u %02x%02x%02x%02x", base, (unsigned)number,
                          key_id[0], key_id[1], key_id[2], key_id[3]);
        line = policyname_subject_size(&authority->subject) - strlen(base) + (size_t)length;
        if ((size_t)length >= sizeof cn || line > POLICY_SUBJECT_MAX)
                return error_set(reterr, EINVAL,
                                 "the subject of authority %s with its generation is longer than "
                                 "%d bytes HINT: Shorten it in the policy.",
                                 authority->name, POLICY_SUBJECT_MAX);
        return profile_subject(&authority->subject, cn, ret, reterr);
}

/* By the bytes: X509_NAME_cmp() would take "App" for "app", and PostgreSQL would not. */
static int same_name(X509_NAME *a, X509_NAME *b, bool *ret, Error *reterr)
{
        const unsigned char *bytes_a, *bytes_b;
        size_t size_a, size_b;

        if (!X509_NAME_get0_der(a, &bytes_a, &size_a) || !X509_NAME_get0_der(b, &bytes_b, &size_b))
                return crypto_error(reterr, EIO, "cannot compare subjects");
        *ret = size_a == size_b && memcmp(bytes_a, bytes_b, size_a) == 0;
        return 0;
}

static int check_names(const Cert *leaf, const PolicyCertificate *wanted, uint32_t *defects,
                       Error *reterr)
{
        _cleanup_(X509_NAME_freep) X509_NAME *subject = NULL;
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *names = NULL;
        bool is_same = false;
        int r = profile_subject(&wanted->subject, NULL, &subject, reterr);

        if (r < 0)
                return r;
        r = same_name(X509_get_subject_name(leaf), subject, &is_same, reterr);
        if (r < 0)
                return r;
        if (wanted->n_names > 0) {
                names = extension_names(wanted->names, wanted->n_names);
                if (!names)
                        return error_oom(reterr);
        }
        if (!is_same || !extension_is_in(leaf, NID_subject_alt_name, names))
                *defects |= PROFILE_NAMES;
        return 0;
}

static int check_usage(const Cert *leaf, const PolicyCertificate *wanted, uint32_t *defects,
                       Error *reterr)
{
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *constraints = extension_ca(false);
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *usage = extension_key_usage(wanted->key);
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *purpose = extension_purpose(wanted->use);

        if (!constraints || !usage || !purpose)
                return error_oom(reterr);
        if (!extension_is_in(leaf, NID_basic_constraints, constraints) ||
            !extension_is_in(leaf, NID_key_usage, usage) ||
            !extension_is_in(leaf, NID_ext_key_usage, purpose))
                *defects |= PROFILE_USAGE;
        return 0;
}

int profile_check(const Cert *leaf, const PolicyCertificate *wanted, uint32_t *ret_defects,
                  Error *reterr)
{
        const EVP_PKEY *key = X509_get0_pubkey(leaf);
        uint32_t defects = 0;
        int r;

        if (!key || !key_is_type(key, wanted->key))
                defects |= PROFILE_KEY_TYPE;
        ERR_clear_error();
        r = check_names(leaf, wanted, &defects, reterr);
        if (r >= 0)
                r = check_usage(leaf, wanted, &defects, reterr);
        if (r < 0)
                return r;
        *ret_defects = defects;
        return 0;
}
