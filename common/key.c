#include "common/key.h"

#include "common/crypto.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

DEFINE_CLEANUP(BIO *, BIO_free);

/* How libcrypto knows a type. */
typedef struct KeyKind {
        const char *algorithm;
        const char *group; /* of an elliptic curve; NULL otherwise */
        int bits;          /* of an RSA modulus; 0 otherwise */
        int algorithm_nid; /* in a SubjectPublicKeyInfo */
        int group_nid;
        size_t point_size; /* of the public key where it is a plain octet string */
} KeyKind;

static const KeyKind kinds[KEY_TYPE_COUNT] = {
        [KEY_ECDSA_P256] = {"EC", "prime256v1", 0, NID_X9_62_id_ecPublicKey, NID_X9_62_prime256v1,
                            1 + 2 * 32},
        [KEY_ECDSA_P384] = {"EC", "secp384r1", 0, NID_X9_62_id_ecPublicKey, NID_secp384r1,
                            1 + 2 * 48},
        [KEY_RSA_2048] = {"RSA", NULL, 2048, NID_rsaEncryption, NID_undef, 0},
        [KEY_RSA_3072] = {"RSA", NULL, 3072, NID_rsaEncryption, NID_undef, 0},
        [KEY_RSA_4096] = {"RSA", NULL, 4096, NID_rsaEncryption, NID_undef, 0},
        [KEY_ED25519] = {"ED25519", NULL, 0, NID_ED25519, NID_undef, 32},
};

int key_new(KeyType type, Key **ret, Error *reterr)
{
        const KeyKind *kind = &kinds[type];
        Key *key;

        assert(type < KEY_TYPE_COUNT);
        if (kind->group)
                key = EVP_EC_gen(kind->group);
        else if (kind->bits > 0)
                key = EVP_RSA_gen((unsigned)kind->bits);
        else
                key = EVP_PKEY_Q_keygen(NULL, NULL, kind->algorithm);
        if (!key)
                return crypto_error(reterr, EIO, "cannot make a key of type %s",
                                    key_type_name(type));
        *ret = key;
        return 0;
}

Key *key_free(Key *key)
{
        EVP_PKEY_free(key);
        return NULL;
}

void key_text_done(KeyText *text)
{
        if (text->data)
                explicit_bzero(text->data, text->size);
        free(text->data);
        *text = (KeyText){0};
}

int key_format(Key *key, KeyText *ret, Error *reterr)
{
        /* libcrypto wipes the memory of a BIO when it grows and when it is freed. */
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long size;

        if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
                return crypto_error(reterr, EIO, "cannot write the key as PKCS#8");
        size = BIO_get_mem_data(bio, &data);
        ret->data = malloc((size_t)size + 1);
        if (!ret->data)
                return error_oom(reterr);
        memcpy(ret->data, data, (size_t)size);
        ret->data[size] = '\0';
        ret->size = (size_t)size;
        return 0;
}

/* Answers every question for a passphrase with "none": libcrypto would ask at the terminal. */
static int no_passphrase(char *buffer, int size, int is_writing, void *userdata)
{
        return -1;
}

int key_parse(const void *data, size_t size, Key **ret, Error *reterr)
{
        _cleanup_(BIO_freep) BIO *bio = NULL;
        Key *key;

        if (size > INT_MAX)
                return error_set(reterr, EINVAL, "not a private key: %zu bytes", size);
        bio = BIO_new_mem_buf(data, (int)size);
        if (!bio)
                return error_oom(reterr);
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        if (!key)
                return crypto_error(reterr, EINVAL, "not an unencrypted private key in PEM");
        ERR_clear_error();
        *ret = key;
        return 0;
}

static bool key_has_group(const Key *key, const char *group)
{
        char name[64];
        size_t size;

        return EVP_PKEY_get_group_name(key, name, sizeof name, &size) == 1 &&
               strcmp(name, group) == 0;
}

/* RSA by the size of its modulus, a curve by its name. */
bool key_is_type(const Key *key, KeyType type)
{
        const KeyKind *kind = &kinds[type];

        return EVP_PKEY_is_a(key, kind->algorithm) &&
               (!kind->group || key_has_group(key, kind->group)) &&
               (kind->bits == 0 || EVP_PKEY_get_bits(key) == kind->bits);
}

static const KeyKind *key_kind(const Key *key)
{
        for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
                if (key_is_type(key, type))
                        return &kinds[type];
        return NULL;
}

/* The generic way: it builds an encoder and scans every provider, four times the cost of the whole
 * signature of a short certificate. Next to an RSA signature it does not matter. */
static int put_rsa(const Key *key, X509_PUBKEY *spki, Error *reterr)
{
        unsigned char *bytes = NULL;
        int size = i2d_PublicKey(key, &bytes);

        if (size < 0 || !X509_PUBKEY_set0_param(spki, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL,
                                                NULL, bytes, size)) {
                OPENSSL_free(bytes);
                return crypto_error(reterr, EIO, "cannot encode the public key");
        }
        return 0;
}

/* The point of a curve as TLS writes it, uncompressed whatever form it was read in; the plain bytes
 * of an Ed25519 key. 0 where there is none. The caller frees with OPENSSL_free(). */
static size_t point_format(const Key *key, const KeyKind *kind, unsigned char **ret)
{
        size_t size = kind->point_size;

        if (kind->group)
                return EVP_PKEY_get1_encoded_public_key((Key *)key, ret);
        *ret = OPENSSL_malloc(size);
        return *ret && EVP_PKEY_get_raw_public_key(key, *ret, &size) ? size : 0;
}

static int put_point(const Key *key, const KeyKind *kind, X509_PUBKEY *spki, Error *reterr)
{
        unsigned char *point = NULL;
        size_t size = point_format(key, kind, &point);
        int parameter = kind->group ? V_ASN1_OBJECT : V_ASN1_UNDEF;
        ASN1_OBJECT *curve = kind->group ? OBJ_nid2obj(kind->group_nid) : NULL;

        if (size != kind->point_size ||
            !X509_PUBKEY_set0_param(spki, OBJ_nid2obj(kind->algorithm_nid), parameter, curve, point,
                                    (int)size)) {
                OPENSSL_free(point);
                return crypto_error(reterr, EIO, "cannot encode the public key");
        }
        return 0;
}

int key_put_public(const Key *key, X509_PUBKEY *spki, Error *reterr)
{
        const KeyKind *kind = key_kind(key);

        if (!kind)
                return error_set(reterr, EINVAL, "the public key is of no type that is supported");
        return kind->point_size > 0 ? put_point(key, kind, spki, reterr)
                                    : put_rsa(key, spki, reterr);
}

const EVP_MD *key_digest(const Key *key)
{
        if (EVP_PKEY_is_a(key, "ED25519"))
                return NULL;
        /* The digest is as strong as the key: P-384 and RSA of more than 3072 bits. */
        return EVP_PKEY_get_security_bits(key) > 128 ? crypto_sha384() : crypto_sha256();
}
