#include "daemon/worker/pair.h"

#include <openssl/x509.h>
#include <string.h>

enum {
        /* More than a policy has certificates; of two in one place the newer is remembered. */
        PAIR_PLACES = 16384,
};

typedef struct Place {
        uint8_t file[CERT_FINGERPRINT];       /* of the bytes with the private key */
        uint8_t public_key[CERT_FINGERPRINT]; /* of the SubjectPublicKeyInfo */
} Place;

/* Not allocated, so that looking needs no memory; pages that nobody touches cost none. */
static Place places[PAIR_PLACES];

DEFINE_CLEANUP(X509_PUBKEY *, X509_PUBKEY_free);

static Place *place_of(const uint8_t file[CERT_FINGERPRINT])
{
        uint32_t hash;

        memcpy(&hash, file, sizeof hash);
        return &places[hash % PAIR_PLACES];
}

static bool public_digest(const X509_PUBKEY *public_key, uint8_t ret[CERT_FINGERPRINT])
{
        unsigned char *bytes = NULL;
        int size = i2d_X509_PUBKEY(public_key, &bytes);

        if (size <= 0)
                return false;
        cert_digest(bytes, (size_t)size, ret);
        OPENSSL_free(bytes);
        return true;
}

void pair_remember(const void *pem, size_t size, const Key *key)
{
        _cleanup_(X509_PUBKEY_freep) X509_PUBKEY *public_key = X509_PUBKEY_new();
        Place place;

        if (!public_key || key_put_public(key, public_key, NULL) < 0 ||
            !public_digest(public_key, place.public_key))
                return;
        cert_digest(pem, size, place.file);
        *place_of(place.file) = place;
}

int pair_check(const void *pem, size_t size, const Cert *certificate, bool *ret, Error *reterr)
{
        _cleanup_(key_freep) Key *key = NULL;
        Place place, *known;
        bool has_digest = public_digest(X509_get_X509_PUBKEY(certificate), place.public_key);
        int r;

        cert_digest(pem, size, place.file);
        known = place_of(place.file);
        if (has_digest && memcmp(known, &place, sizeof place) == 0) {
                *ret = true;
                return 0;
        }
        /* Not known to match: another form of the same public key would have another digest. */
        r = key_parse(pem, size, &key, reterr);
        if (r < 0)
                return r;
        *ret = cert_has_key(certificate, key);
        if (*ret && has_digest)
                *known = place;
        return 0;
}
