/*
 * The least that looking at published files costs: read whole, and either digested or parsed once.
 */
#include "tests/bench.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 65536, PATH_SIZE = 4096 };

/* Calls back for each file of a list, one path a line; how many there were. */
static unsigned long each_file(const char *list, void (*look)(const char *, const void *, size_t))
{
        FILE *file = fopen(list, "re");
        static char path[PATH_SIZE], data[FILE_MAX];
        unsigned long n = 0;

        bench_check(file != NULL, list);
        while (fgets(path, sizeof path, file)) {
                struct stat stat;
                ssize_t size;
                int fd;

                path[strcspn(path, "\n")] = '\0';
                fd = open(path, O_RDONLY | O_CLOEXEC);
                bench_check(fd >= 0 && fstat(fd, &stat) == 0, path);
                size = read(fd, data, sizeof data);
                bench_check(size == stat.st_size, path);
                close(fd);
                look(path, data, (size_t)size);
                n++;
        }
        fclose(file);
        return n;
}

static void digest(const char *path, const void *data, size_t size)
{
        static EVP_MD *sha256;
        static EVP_MD_CTX *context;
        unsigned char result[EVP_MAX_MD_SIZE];

        if (!sha256) {
                sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
                context = EVP_MD_CTX_new();
        }
        bench_check(EVP_DigestInit_ex2(context, sha256, NULL) &&
                            EVP_DigestUpdate(context, data, size) &&
                            EVP_DigestFinal_ex(context, result, NULL),
                    path);
}

static void parse(const char *path, const void *data, size_t size)
{
        BIO *bio = BIO_new_mem_buf(data, (int)size);

        if (memmem(data, size, "PRIVATE KEY", 11)) {
                EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

                bench_check(key != NULL, path);
                EVP_PKEY_free(key);
        } else {
                X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

                bench_check(certificate != NULL, path);
                X509_free(certificate);
        }
        BIO_free(bio);
}

static int run(const char *list, void (*look)(const char *, const void *, size_t))
{
        double begin_at = bench_now();
        unsigned long n = each_file(list, look);

        bench_tell("seconds", bench_now() - begin_at);
        bench_tell("files", (double)n);
        return 0;
}

int bench_digest(int argc, char **argv)
{
        return argc == 2 ? run(argv[1], digest) : 3;
}

int bench_parse(int argc, char **argv)
{
        return argc == 2 ? run(argv[1], parse) : 3;
}
