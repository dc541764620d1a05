/*
 * The X.509 extensions that our certificates carry (RFC 5280 section 4.2.1), made from plain facts.
 * libcrypto encodes them; no DER is written by hand. Every maker returns a new object for the
 * caller to free, or NULL where memory ran out.
 */
#pragma once

#include "common/macro.h"
#include "common/policy.h"

#include <openssl/x509.h>

DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free);

/* basicConstraints, critical: a CA, that may certify others too, or a leaf. */
X509_EXTENSION *extension_ca(bool is_ca);

/* keyUsage, critical: signing certificates and CRLs, or what TLS does with a leaf's key. */
X509_EXTENSION *extension_ca_usage(void);
X509_EXTENSION *extension_key_usage(KeyType type);

/* extendedKeyUsage: serverAuth or clientAuth, alone. */
X509_EXTENSION *extension_purpose(PolicyUse use);

/* subjectAltName with every name of the policy, in its order. At least one is given. */
X509_EXTENSION *extension_names(const PolicyName *names, size_t n);

/* subjectKeyIdentifier, and authorityKeyIdentifier with the key's identifier alone. */
X509_EXTENSION *extension_key_id(const uint8_t *key_id, size_t size);
X509_EXTENSION *extension_issuer_key_id(const uint8_t *key_id, size_t size);

/* Whether the certificate has exactly this extension, criticality included; with NULL, whether it
 * has none of that kind. */
bool extension_is_in(const X509 *certificate, int nid, const X509_EXTENSION *extension);
