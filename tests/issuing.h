/*
 * For unit tests of published files: a CA of the test's own in memory, leaves signed with it, and a
 * PolicyCertificate made by hand whose directory lies in the judge's. Time is given: TEST_NOW, or
 * what issuing_setup_at() is told.
 */
#pragma once

#include "common/clock.h"
#include "common/csr.h"
#include "common/extension.h"
#include "common/profile.h"
#include "tests/judge.h"

#include <openssl/objects.h>

#define TEST_NOW (INT64_C(1800000000) * USEC_PER_SEC)
#define TEST_DAY (INT64_C(86400) * USEC_PER_SEC)

typedef struct Issuing {
        Key *key;
        X509 *ca;
        uint8_t key_id[CERT_KEY_ID];
} Issuing;

static Issuing issuing;

static void issuing_identify(X509 *certificate, uint8_t ret[CERT_KEY_ID])
{
        unsigned size;

        ck_assert_int_eq(X509_pubkey_digest(certificate, EVP_sha1(), ret, &size), 1);
}

static void issuing_add(X509 *certificate, X509_EXTENSION *extension)
{
        ck_assert_ptr_nonnull(extension);
        ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
        X509_EXTENSION_free(extension);
}

static X509 *issuing_begin(Key *public_key, const PolicySubject *subject, int64_t from, int64_t to)
{
        static long serial = 1000;
        X509 *certificate = X509_new();
        X509_NAME *name = NULL;

        ck_assert_ptr_nonnull(certificate);
        ck_assert_int_eq(profile_subject(subject, NULL, &name, NULL), 0);
        X509_set_version(certificate, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
        X509_set_subject_name(certificate, name);
        X509_set_issuer_name(certificate, issuing.ca ? X509_get_subject_name(issuing.ca) : name);
        ASN1_TIME_set(X509_getm_notBefore(certificate), from / USEC_PER_SEC);
        ASN1_TIME_set(X509_getm_notAfter(certificate), to / USEC_PER_SEC);
        X509_set_pubkey(certificate, public_key);
        X509_NAME_free(name);
        return certificate;
}

static void issuing_end(X509 *certificate)
{
        uint8_t key_id[CERT_KEY_ID];

        issuing_identify(certificate, key_id);
        issuing_add(certificate, extension_key_id(key_id, sizeof key_id));
        ck_assert_int_gt(X509_sign(certificate, issuing.key, EVP_sha256()), 0);
}

static void issuing_setup_at(int64_t now)
{
        static char type[] = "CN", value[] = "root";
        static PolicyAttribute cn = {type, value};
        PolicySubject subject = {&cn, 1};
        X509 *ca;

        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &issuing.key, NULL), 0);
        ca = issuing_begin(issuing.key, &subject, now - TEST_DAY, now + 1000 * TEST_DAY);
        issuing_add(ca, extension_ca(true));
        issuing_add(ca, extension_ca_usage());
        issuing_identify(ca, issuing.key_id);
        issuing_end(ca);
        issuing.ca = ca;
}

_unused_ static void issuing_setup(void)
{
        issuing_setup_at(TEST_NOW);
}

static void issuing_teardown(void)
{
        key_free(issuing.key);
        X509_free(issuing.ca);
        issuing = (Issuing){0};
}

/* A leaf as the policy wants it, for a public key. */
static X509 *issuing_leaf(Key *public_key, const PolicyCertificate *certificate, int64_t from,
                          int64_t to)
{
        X509 *leaf = issuing_begin(public_key, &certificate->subject, from, to);

        issuing_add(leaf, extension_ca(false));
        issuing_add(leaf, extension_key_usage(certificate->key));
        issuing_add(leaf, extension_purpose(certificate->use));
        if (certificate->n_names > 0)
                issuing_add(leaf, extension_names(certificate->names, certificate->n_names));
        issuing_add(leaf, extension_issuer_key_id(issuing.key_id, sizeof issuing.key_id));
        issuing_end(leaf);
        return leaf;
}

/* A policy's certificate, whole and changeable. */
typedef struct TestCertificate {
        PolicyCertificate policy;
        PolicyAttribute cn;
        PolicyName name;
        char directory[256];
} TestCertificate;

_unused_ static void test_certificate(TestCertificate *ret, PolicyUse use, const char *directory)
{
        static char certificate_name[] = "server.crt", key_name[] = "server.key";
        static char trust_name[] = "root.crt", name[] = "main", host[] = "db1.example.com";
        static char cn[] = "CN", role[] = "app";

        *ret = (TestCertificate){
                .policy = {.name = name,
                           .use = use,
                           .owner_uid = geteuid(),
                           .group_gid = (gid_t)-1,
                           .mode = 0600,
                           .key = KEY_ECDSA_P256,
                           .files = {certificate_name, key_name, trust_name}},
                .cn = {.type = cn, .value = use == POLICY_SERVER ? host : role},
                .name = {.text = host},
        };
        snprintf(ret->directory, sizeof ret->directory, "%s/%s", judge_directory, directory);
        ret->policy.directory = ret->directory;
        ret->policy.subject = (PolicySubject){&ret->cn, 1};
        if (use == POLICY_SERVER) {
                ret->policy.names = &ret->name;
                ret->policy.n_names = 1;
        } else {
                ret->policy.role = role;
        }
}
