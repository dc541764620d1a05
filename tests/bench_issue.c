/*
 * The least that an issued certificate costs: a key, and one signature over a certificate of which
 * everything is prepared that is the same for all. X509_PUBKEY_set0_param() with the encoded point
 * stands for X509_set_pubkey(), which builds an encoder each time.
 */
#include "tests/bench.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIXED = 5, DAY = 86400 };

struct BenchCa {
        EVP_PKEY *key;
        X509 *certificate;
        X509_NAME *subject; /* of the leaves */
        X509_EXTENSION *fixed[FIXED];
        EVP_MD *sha256;
};

/* One context makes all keys: what it needs is looked up once. */
EVP_PKEY *bench_key(void)
{
        static EVP_PKEY_CTX *context;
        EVP_PKEY *key = NULL;

        if (!context) {
                context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
                bench_check(context && EVP_PKEY_keygen_init(context) == 1 &&
                                    EVP_PKEY_CTX_set_group_name(context, "prime256v1") == 1,
                            "the generator of keys");
        }
        bench_check(EVP_PKEY_generate(context, &key) == 1, "a key");
        return key;
}

static void put_public(X509 *certificate, EVP_PKEY *key)
{
        unsigned char *point = NULL;
        size_t size = EVP_PKEY_get1_encoded_public_key(key, &point);

        bench_check(size > 0 && X509_PUBKEY_set0_param(
                                        X509_get_X509_PUBKEY(certificate),
                                        OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                                        OBJ_nid2obj(NID_X9_62_prime256v1), point, (int)size) == 1,
                    "a public key");
}

static X509_NAME *make_name(const char *common_name)
{
        X509_NAME *name = X509_NAME_new();

        bench_check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                               (const unsigned char *)common_name, -1, -1, 0),
                    "a name");
        return name;
}

static X509 *begin(EVP_PKEY *key, X509_NAME *subject, X509_NAME *issuer, long days)
{
        X509 *certificate = X509_new();
        uint64_t serial;

        bench_check(
                certificate && X509_set_version(certificate, X509_VERSION_3) &&
                        RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
                        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) &&
                        X509_gmtime_adj(X509_getm_notBefore(certificate), -600) &&
                        X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY) &&
                        X509_set_subject_name(certificate, subject) &&
                        X509_set_issuer_name(certificate, issuer),
                "a certificate");
        put_public(certificate, key);
        return certificate;
}

BenchCa *bench_ca_new(void)
{
        static const struct {
                int nid;
                const char *value;
        } fixed[FIXED] = {
                {NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "serverAuth"},
                {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"},
                {NID_authority_key_identifier, "keyid:always"},
        };
        BenchCa *ca = calloc(1, sizeof *ca);
        X509_NAME *name = make_name("bench CA");
        X509_EXTENSION *extension;
        X509V3_CTX context;

        bench_check(ca != NULL, "memory");
        ca->key = bench_key();
        ca->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        ca->certificate = begin(ca->key, name, name, 3650);
        X509V3_set_ctx(&context, ca->certificate, ca->certificate, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");
        bench_check(X509_add_ext(ca->certificate, extension, -1), "the CA's extension");
        extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_key_identifier, "hash");
        bench_check(X509_add_ext(ca->certificate, extension, -1), "the CA's key identifier");
        bench_check(X509_sign(ca->certificate, ca->key, ca->sha256) > 0, "the CA");
        for (size_t i = 0; i < FIXED; i++) {
                ca->fixed[i] = X509V3_EXT_conf_nid(NULL, &context, fixed[i].nid, fixed[i].value);
                bench_check(ca->fixed[i] != NULL, "an extension");
        }
        ca->subject = make_name("localhost");
        return ca;
}

const X509 *bench_ca_certificate(const BenchCa *ca)
{
        return ca->certificate;
}

X509 *bench_ca_sign(BenchCa *ca, EVP_PKEY *key)
{
        X509 *leaf = begin(key, ca->subject, X509_get_subject_name(ca->certificate), 30);

        for (size_t i = 0; i < FIXED; i++)
                bench_check(X509_add_ext(leaf, ca->fixed[i], -1), "an extension");
        bench_check(X509_sign(leaf, ca->key, ca->sha256) > 0, "a signature");
        return leaf;
}

void bench_write(int directory_fd, const char *name, const void *data, size_t size, unsigned mode,
                 int is_synced)
{
        int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

        bench_check(fd >= 0 && write(fd, data, size) == (ssize_t)size, name);
        bench_check(!is_synced || fsync(fd) == 0, "fsync");
        close(fd);
}

void bench_write_certificate(int directory_fd, const char *name, const X509 *certificate,
                             int is_synced)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long size;

        bench_check(PEM_write_bio_X509(bio, certificate), "PEM");
        size = BIO_get_mem_data(bio, &data);
        bench_write(directory_fd, name, data, (size_t)size, 0644, is_synced);
        BIO_free(bio);
}

void bench_write_key(int directory_fd, const char *name, EVP_PKEY *key)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long size;

        bench_check(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), "PEM");
        size = BIO_get_mem_data(bio, &data);
        bench_write(directory_fd, name, data, (size_t)size, 0600, 0);
        BIO_free(bio);
}

static void write_set(BenchCa *ca, int parent_fd, unsigned long number, EVP_PKEY *key,
                      const X509 *leaf)
{
        char name[32];
        int fd;

        snprintf(name, sizeof name, "%lu", number);
        bench_check(mkdirat(parent_fd, name, 0755) == 0, name);
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bench_check(fd >= 0, name);
        bench_write_key(fd, "server.key", key);
        bench_write_certificate(fd, "server.crt", leaf, 0);
        bench_write_certificate(fd, "root.crt", ca->certificate, 0);
        close(fd);
}

/* N certificates; with a directory three files for each, in a directory of its own, and one
 * syncfs() for all. */
int bench_issue(int argc, char **argv)
{
        unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
        int fd = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        BenchCa *ca = bench_ca_new();
        double begin_at = bench_now();

        bench_check(argc < 3 || fd >= 0, "the directory");
        for (unsigned long i = 0; i < n; i++) {
                EVP_PKEY *key = bench_key();
                X509 *leaf = bench_ca_sign(ca, key);

                if (fd >= 0)
                        write_set(ca, fd, i, key, leaf);
                X509_free(leaf);
                EVP_PKEY_free(key);
        }
        bench_check(fd < 0 || syncfs(fd) == 0, "syncfs");
        bench_tell("seconds", bench_now() - begin_at);
        return 0;
}
