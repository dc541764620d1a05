#include "common/crypto.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdio.h>

int crypto_error(Error *reterr, int code, const char *format, ...)
{
        unsigned long first = ERR_get_error();
        const char *reason = first != 0 ? ERR_reason_error_string(first) : NULL;
        char sentence[ERROR_TEXT_MAX];
        va_list ap;

        assert(format);
        ERR_clear_error();
        if (first != 0 && ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE)
                return error_oom(reterr);
        va_start(ap, format);
        vsnprintf(sentence, sizeof sentence, format, ap);
        va_end(ap);
        return reason ? error_set(reterr, code, "%s: %s", sentence, reason)
                      : error_set(reterr, code, "%s", sentence);
}

static CRYPTO_ONCE digests_once = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *sha256, *sha384;

static void digests_fetch(void)
{
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
        /* A libcrypto without them cannot sign anything that a client accepts. */
        assert(sha256 && sha384);
}

const EVP_MD *crypto_sha256(void)
{
        assert(CRYPTO_THREAD_run_once(&digests_once, digests_fetch));
        return sha256;
}

const EVP_MD *crypto_sha384(void)
{
        assert(CRYPTO_THREAD_run_once(&digests_once, digests_fetch));
        return sha384;
}

static CRYPTO_ONCE nothing_once = CRYPTO_ONCE_STATIC_INIT;
static OSSL_LIB_CTX *nothing;

/* A context without any provider would load the default one by itself: "null" keeps it out. */
static void nothing_make(void)
{
        OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();

        if (context && OSSL_PROVIDER_load(context, "null"))
                nothing = context;
        else
                OSSL_LIB_CTX_free(context);
}

OSSL_LIB_CTX *crypto_nothing(void)
{
        return CRYPTO_THREAD_run_once(&nothing_once, nothing_make) ? nothing : NULL;
}
