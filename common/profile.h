/*
 * What a certificate of the policy looks like (RFC 5280 section 4): the signer builds from it, the
 * worker compares what is published with it. The extensions themselves are common/extension.
 */
#pragma once

#include "common/cert.h"
#include "common/policy.h"

struct X509_name_st; /* OpenSSL's X509_NAME */

/* In which respects a leaf is not what the policy wants. */
typedef enum ProfileDefect {
        PROFILE_NAMES = 1 << 0, /* subject or subjectAltName */
        PROFILE_KEY_TYPE = 1 << 1,
        PROFILE_USAGE = 1 << 2, /* keyUsage, extendedKeyUsage or basicConstraints */
} ProfileDefect;

/* A distinguished name with the attributes in the order written. With cn it has that commonName in
 * place of its own. The caller frees. */
int profile_subject(const PolicySubject *subject, const char *cn, struct X509_name_st **ret,
                    Error *reterr);

/* The same for a generation of a CA: its CN is "CN Gn XXXXXXXX", the number and the start of its
 * subjectKeyIdentifier, so that no two generations ever have one name: verifiers look an issuer up
 * by it. The policy sees to it that there is a CN. -EINVAL where that is longer than
 * POLICY_SUBJECT_MAX as one line. */
int profile_authority_subject(const PolicyAuthority *authority, uint32_t number,
                              const uint8_t key_id[CERT_KEY_ID], struct X509_name_st **ret,
                              Error *reterr);

/* Compares a leaf with the policy: ret_defects gets ProfileDefect bits, 0 where it is as wanted.
 * Names are compared as encoded, so case and order count, as they do to PostgreSQL. The dates, the
 * issuer and the pair with its private key are not looked at. */
int profile_check(const Cert *leaf, const PolicyCertificate *wanted, uint32_t *ret_defects,
                  Error *reterr);
