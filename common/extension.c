#include "common/extension.h"

#include <openssl/x509v3.h>

/* Bits of a KeyUsage, RFC 5280 section 4.2.1.3. */
enum { DIGITAL_SIGNATURE = 0, KEY_ENCIPHERMENT = 2, KEY_CERT_SIGN = 5, CRL_SIGN = 6 };

DEFINE_CLEANUP(BASIC_CONSTRAINTS *, BASIC_CONSTRAINTS_free);
DEFINE_CLEANUP(ASN1_BIT_STRING *, ASN1_BIT_STRING_free);
DEFINE_CLEANUP(ASN1_OCTET_STRING *, ASN1_OCTET_STRING_free);
DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free);
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);
DEFINE_CLEANUP(GENERAL_NAME *, GENERAL_NAME_free);
DEFINE_CLEANUP(AUTHORITY_KEYID *, AUTHORITY_KEYID_free);

X509_EXTENSION *extension_ca(bool is_ca)
{
        _cleanup_(BASIC_CONSTRAINTS_freep) BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();

        if (!constraints)
                return NULL;
        /* No pathLenConstraint: in a rollover a CA signs the next one's cross-certificate, and a
         * reader that is two rollovers late walks over two of them. A leaf cannot pass for a CA
         * anyhow, its own extension says so. */
        constraints->ca = is_ca ? 0xff : 0;
        return X509V3_EXT_i2d(NID_basic_constraints, 1, constraints);
}

static X509_EXTENSION *usage(int first, int second)
{
        _cleanup_(ASN1_BIT_STRING_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();

        if (!bits || !ASN1_BIT_STRING_set_bit(bits, first, 1) ||
            !ASN1_BIT_STRING_set_bit(bits, second, 1))
                return NULL;
        return X509V3_EXT_i2d(NID_key_usage, 1, bits);
}

X509_EXTENSION *extension_ca_usage(void)
{
        return usage(KEY_CERT_SIGN, CRL_SIGN);
}

X509_EXTENSION *extension_key_usage(KeyType type)
{
        bool is_rsa = type == KEY_RSA_2048 || type == KEY_RSA_3072 || type == KEY_RSA_4096;

        /* Before TLS 1.3 a client may encrypt to an RSA key. */
        return usage(DIGITAL_SIGNATURE, is_rsa ? KEY_ENCIPHERMENT : DIGITAL_SIGNATURE);
}

/* One purpose alone: PostgreSQL and libpq check it, so a stolen client key serves nobody. */
X509_EXTENSION *extension_purpose(PolicyUse use)
{
        _cleanup_(EXTENDED_KEY_USAGE_freep) EXTENDED_KEY_USAGE *purposes = EXTENDED_KEY_USAGE_new();
        int nid = use == POLICY_SERVER ? NID_server_auth : NID_client_auth;

        /* OBJ_nid2obj() gives a static object: freeing the stack does nothing to it. */
        if (!purposes || !sk_ASN1_OBJECT_push(purposes, OBJ_nid2obj(nid)))
                return NULL;
        return X509V3_EXT_i2d(NID_ext_key_usage, 0, purposes);
}

static bool add_name(GENERAL_NAMES *names, const PolicyName *name)
{
        _cleanup_(GENERAL_NAME_freep) GENERAL_NAME *general = GENERAL_NAME_new();
        const void *bytes = name->is_address ? (const void *)name->address : name->text;
        int size = name->is_address ? name->address_size : (int)strlen(name->text);
        ASN1_STRING *string;

        if (!general)
                return false;
        string = ASN1_STRING_type_new(name->is_address ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
        if (!string)
                return false;
        GENERAL_NAME_set0_value(general, name->is_address ? GEN_IPADD : GEN_DNS, string);
        if (!ASN1_STRING_set(string, bytes, size) || !sk_GENERAL_NAME_push(names, general))
                return false;
        general = NULL;
        return true;
}

X509_EXTENSION *extension_names(const PolicyName *names, size_t n)
{
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *list = GENERAL_NAMES_new();

        if (!list)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (!add_name(list, &names[i]))
                        return NULL;
        return X509V3_EXT_i2d(NID_subject_alt_name, 0, list);
}

X509_EXTENSION *extension_key_id(const uint8_t *key_id, size_t size)
{
        _cleanup_(ASN1_OCTET_STRING_freep) ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();

        if (!id || !ASN1_OCTET_STRING_set(id, key_id, (int)size))
                return NULL;
        return X509V3_EXT_i2d(NID_subject_key_identifier, 0, id);
}

X509_EXTENSION *extension_issuer_key_id(const uint8_t *key_id, size_t size)
{
        _cleanup_(AUTHORITY_KEYID_freep) AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();

        if (!id)
                return NULL;
        id->keyid = ASN1_OCTET_STRING_new();
        if (!id->keyid || !ASN1_OCTET_STRING_set(id->keyid, key_id, (int)size))
                return NULL;
        return X509V3_EXT_i2d(NID_authority_key_identifier, 0, id);
}

bool extension_is_in(const X509 *certificate, int nid, const X509_EXTENSION *extension)
{
        int at = X509_get_ext_by_NID(certificate, nid, -1);
        X509_EXTENSION *found;

        if (at < 0 || !extension)
                return at < 0 && !extension;
        if (X509_get_ext_by_NID(certificate, nid, at) >= 0) /* twice: RFC 5280 section 4.2 */
                return false;
        found = X509_get_ext(certificate, at);
        return X509_EXTENSION_get_critical(found) == X509_EXTENSION_get_critical(extension) &&
               ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(found),
                                     X509_EXTENSION_get_data((X509_EXTENSION *)extension)) == 0;
}
