#include "common/key.h"

#include "common/crypto.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

DEFINE_CLEANUP(BIO *, BIO_free);
DEFINE_CLEANUP(BIGNUM *, BN_clear_free);
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free);

enum { SECRET_MAX = 48 }; /* bytes of a private number of P-384 */

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

/* For each type a context that makes its keys, with what libcrypto looked up for the first. */
static EVP_PKEY_CTX *generators[KEY_TYPE_COUNT];

static EVP_PKEY_CTX *generator(KeyType type)
{
        const KeyKind *kind = &kinds[type];
        EVP_PKEY_CTX *context;

        if (generators[type])
                return generators[type];
        context = EVP_PKEY_CTX_new_from_name(NULL, kind->algorithm, NULL);
        if (!context || EVP_PKEY_keygen_init(context) != 1 ||
            (kind->group && EVP_PKEY_CTX_set_group_name(context, kind->group) != 1) ||
            (kind->bits > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, kind->bits) != 1)) {
                EVP_PKEY_CTX_free(context);
                return NULL;
        }
        return generators[type] = context;
}

int key_new(KeyType type, Key **ret, Error *reterr)
{
        EVP_PKEY_CTX *context;
        Key *key = NULL;

        assert(type < KEY_TYPE_COUNT);
        context = generator(type);
        if (!context || EVP_PKEY_generate(context, &key) != 1)
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

/* The ECPrivateKey of RFC 5915 section 3 as PKCS#8 has it: the curve is told beside it. */
typedef struct EcPrivate {
        int32_t version;
        ASN1_OCTET_STRING *secret;
        ASN1_BIT_STRING *point;
} EcPrivate;

ASN1_SEQUENCE(EcPrivate) =
        {
                ASN1_EMBED(EcPrivate, version, INT32),
                ASN1_SIMPLE(EcPrivate, secret, ASN1_OCTET_STRING),
                ASN1_EXP_OPT(EcPrivate, point, ASN1_BIT_STRING, 1),
} static_ASN1_SEQUENCE_END(EcPrivate)

        /* All bits of the secret, whatever zeros it begins with. */
        static bool put_secret(const Key *key, size_t size, ASN1_OCTET_STRING *string)
{
        _cleanup_(BN_clear_freep) BIGNUM *number = NULL;
        unsigned char bytes[SECRET_MAX];
        bool is_put = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
                      BN_bn2binpad(number, bytes, (int)size) == (int)size &&
                      ASN1_OCTET_STRING_set(string, bytes, (int)size) == 1;

        OPENSSL_cleanse(bytes, sizeof bytes);
        return is_put;
}

static int ec_private_format(const Key *key, const KeyKind *kind, unsigned char **ret)
{
        EcPrivate ec = {
                .version = 1, .secret = ASN1_OCTET_STRING_new(), .point = ASN1_BIT_STRING_new()};
        unsigned char *point = NULL;
        int size = -1;

        if (ec.secret && ec.point && put_secret(key, (kind->point_size - 1) / 2, ec.secret) &&
            point_format(key, kind, &point) == kind->point_size) {
                ASN1_STRING_set0(ec.point, point, (int)kind->point_size);
                /* Zeros at its end are bits of the point too. */
                ec.point->flags |= ASN1_STRING_FLAG_BITS_LEFT;
                size = ASN1_item_i2d((ASN1_VALUE *)&ec, ret, ASN1_ITEM_rptr(EcPrivate));
        } else {
                OPENSSL_free(point);
        }
        ASN1_STRING_clear_free(ec.secret);
        ASN1_BIT_STRING_free(ec.point);
        return size;
}

/* From its parts: the generic way takes ten times as long. */
static bool write_ec(const Key *key, const KeyKind *kind, BIO *bio)
{
        _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
        unsigned char *bytes = NULL;
        int size = ec_private_format(key, kind, &bytes);

        if (!info || size < 0 ||
            !PKCS8_pkey_set0(info, OBJ_nid2obj(kind->algorithm_nid), 0, V_ASN1_OBJECT,
                             OBJ_nid2obj(kind->group_nid), bytes, size)) {
                OPENSSL_clear_free(bytes, size < 0 ? 0 : (size_t)size);
                return false;
        }
        return PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1;
}

static int take_text(BIO *bio, KeyText *ret, Error *reterr)
{
        char *data;
        long size = BIO_get_mem_data(bio, &data);

        ret->data = malloc((size_t)size + 1);
        if (!ret->data)
                return error_oom(reterr);
        memcpy(ret->data, data, (size_t)size);
        ret->data[size] = '\0';
        ret->size = (size_t)size;
        return 0;
}

int key_format(Key *key, KeyText *ret, Error *reterr)
{
        /* libcrypto wipes the memory of a BIO when it grows and when it is freed. */
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
        const KeyKind *kind = key_kind(key);
        bool is_written = false;

        if (bio && kind && kind->group)
                is_written = write_ec(key, kind, bio);
        else if (bio)
                is_written = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
        if (!is_written)
                return crypto_error(reterr, EIO, "cannot write the key as PKCS#8");
        return take_text(bio, ret, reterr);
}

int key_format_locked(Key *key, const char *passphrase, KeyText *ret, Error *reterr)
{
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());

        if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), passphrase,
                                                   (int)strlen(passphrase), NULL, NULL))
                return crypto_error(reterr, EIO, "cannot write the key as encrypted PKCS#8");
        return take_text(bio, ret, reterr);
}

typedef enum KeyHalf { KEY_PUBLIC, KEY_PRIVATE, KEY_HALVES } KeyHalf;

/* A decoder for each algorithm and structure, kept: setting one up scans all providers and takes
 * ten times as long as its work. NULL for what cannot be decoded. */
static Key *decode(KeyType type, KeyHalf half, const unsigned char *der, size_t size)
{
        static const struct {
                const char *structure;
                int selection;
        } halves[KEY_HALVES] = {
                [KEY_PUBLIC] = {"SubjectPublicKeyInfo", EVP_PKEY_PUBLIC_KEY},
                [KEY_PRIVATE] = {"PrivateKeyInfo", EVP_PKEY_KEYPAIR},
        };
        static OSSL_DECODER_CTX *decoders[KEY_TYPE_COUNT][KEY_HALVES];
        static Key *decoded; /* where every one of them puts what it made */
        OSSL_DECODER_CTX **decoder = &decoders[type][half];

        if (!*decoder)
                *decoder = OSSL_DECODER_CTX_new_for_pkey(&decoded, "DER", halves[half].structure,
                                                         kinds[type].algorithm,
                                                         halves[half].selection, NULL, NULL);
        if (!*decoder || OSSL_DECODER_from_data(*decoder, &der, &size) != 1)
                decoded = key_free(decoded);
        return TAKE_PTR(decoded);
}

/* The first type of that algorithm; KEY_TYPE_COUNT where there is none. */
static KeyType type_of_algorithm(const ASN1_OBJECT *algorithm)
{
        int nid = OBJ_obj2nid(algorithm);
        unsigned type = 0;

        while (type < KEY_TYPE_COUNT && kinds[type].algorithm_nid != nid)
                type++;
        return (KeyType)type;
}

static Key *decode_pkcs8(const unsigned char *der, long size)
{
        const unsigned char *position = der;
        _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *info =
                d2i_PKCS8_PRIV_KEY_INFO(NULL, &position, size);
        const ASN1_OBJECT *algorithm;
        KeyType type;

        if (!info || !PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info))
                return NULL;
        type = type_of_algorithm(algorithm);
        return type < KEY_TYPE_COUNT ? decode(type, KEY_PRIVATE, der, (size_t)size) : NULL;
}

/* Unencrypted PKCS#8 of an algorithm of ours, as we write it ourselves; NULL for all else. */
static Key *read_pkcs8(BIO *bio)
{
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        Key *key = NULL;
        long size = 0;

        if (PEM_read_bio_ex(bio, &name, &header, &der, &size,
                            PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) &&
            strcmp(name, PEM_STRING_PKCS8INF) == 0 && header[0] == '\0')
                key = decode_pkcs8(der, size);
        OPENSSL_secure_free(name);
        OPENSSL_secure_free(header);
        OPENSSL_secure_clear_free(der, (size_t)size);
        return key;
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
        key = read_pkcs8(bio);
        if (!key) {
                /* Other forms, by other tools; and in libcrypto's words what is none. */
                ERR_clear_error();
                BIO_reset(bio);
                key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        }
        if (!key)
                return crypto_error(reterr, EINVAL, "not an unencrypted private key in PEM");
        ERR_clear_error();
        *ret = key;
        return 0;
}

int key_parse_locked(const void *data, size_t size, const char *passphrase, Key **ret,
                     Error *reterr)
{
        _cleanup_(BIO_freep) BIO *bio = NULL;
        Key *key;

        if (size > INT_MAX)
                return error_set(reterr, EINVAL, "not a private key: %zu bytes", size);
        bio = BIO_new_mem_buf(data, (int)size);
        if (!bio)
                return error_oom(reterr);
        /* Without a callback the last argument is the passphrase, and nobody is asked. */
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)passphrase);
        if (!key)
                return crypto_error(reterr, EINVAL,
                                    "cannot read the key with the passphrase that was given");
        ERR_clear_error();
        *ret = key;
        return 0;
}

int key_get_public(const X509_PUBKEY *spki, KeyType type, Key **ret, Error *reterr)
{
        _cleanup_(key_freep) Key *key = NULL;
        unsigned char *der = NULL;
        ASN1_OBJECT *algorithm;
        int size;

        assert(type < KEY_TYPE_COUNT);
        X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, spki);
        if (OBJ_obj2nid(algorithm) != kinds[type].algorithm_nid)
                return error_set(reterr, EINVAL, "the key is not of type %s", key_type_name(type));
        size = i2d_X509_PUBKEY(spki, &der);
        if (size > 0)
                key = decode(type, KEY_PUBLIC, der, (size_t)size);
        OPENSSL_free(der);
        if (!key)
                return crypto_error(reterr, EINVAL, "the public key is malformed");
        ERR_clear_error();
        if (!key_is_type(key, type))
                return error_set(reterr, EINVAL, "the key is not of type %s", key_type_name(type));
        *ret = TAKE_PTR(key);
        return 0;
}

const EVP_MD *key_digest(const Key *key)
{
        if (EVP_PKEY_is_a(key, "ED25519"))
                return NULL;
        /* The digest is as strong as the key: P-384 and RSA of more than 3072 bits. */
        return EVP_PKEY_get_security_bits(key) > 128 ? crypto_sha384() : crypto_sha256();
}
