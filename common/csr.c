#include "common/csr.h"

#include "common/crypto.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

DEFINE_CLEANUP(X509_REQ *, X509_REQ_free);

/* Hands libcrypto's buffer over to a caller who frees with free(). */
static int take_der(unsigned char *bytes, int size, uint8_t **ret_der, size_t *ret_size,
                    Error *reterr)
{
        uint8_t *copy = malloc((size_t)size);

        if (copy)
                memcpy(copy, bytes, (size_t)size);
        OPENSSL_free(bytes);
        if (!copy)
                return error_oom(reterr);
        *ret_der = copy;
        *ret_size = (size_t)size;
        return 0;
}

int csr_format(Key *key, uint8_t **ret_der, size_t *ret_size, Error *reterr)
{
        _cleanup_(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
        unsigned char *bytes = NULL;
        int size, r;

        if (!request || !X509_REQ_set_version(request, X509_REQ_VERSION_1))
                return crypto_error(reterr, EIO, "cannot make a request");
        r = key_put_public(key, X509_REQ_get_X509_PUBKEY(request), reterr);
        if (r < 0)
                return r;
        if (!X509_REQ_sign(request, key, key_digest(key)))
                return crypto_error(reterr, EIO, "cannot sign the request");
        size = i2d_X509_REQ(request, &bytes);
        if (size < 0)
                return crypto_error(reterr, EIO, "cannot write the request");
        return take_der(bytes, size, ret_der, ret_size, reterr);
}

/* The type is looked at before the signature, so that nobody has us compute with a huge key. */
static int check_request(X509_REQ *request, KeyType type, Key **ret, Error *reterr)
{
        _cleanup_(key_freep) Key *key = NULL;
        int r;

        if (X509_REQ_get_version(request) != X509_REQ_VERSION_1)
                return error_set(reterr, EINVAL, "the request is not of version 1");
        r = key_get_public(X509_REQ_get_X509_PUBKEY(request), type, &key, reterr);
        if (r < 0)
                return error_prefix(reterr, "the request"), r;
        if (X509_REQ_verify_ex(request, key, NULL, NULL) != 1)
                return crypto_error(reterr, EBADMSG, "the request's signature is wrong");
        *ret = TAKE_PTR(key);
        return 0;
}

int csr_parse(const void *der, size_t size, KeyType type, Key **ret_public_key, Error *reterr)
{
        _cleanup_(X509_REQ_freep) X509_REQ *request = NULL;
        const unsigned char *position = der;
        OSSL_LIB_CTX *nothing = crypto_nothing();

        /* Bounded before libcrypto sees it: the bytes come from whoever asks. */
        if (size > CSR_MAX)
                return error_set(reterr, EINVAL, "the request has %zu bytes, more than %d", size,
                                 CSR_MAX);
        if (!nothing)
                return error_oom(reterr);
        request = (X509_REQ *)ASN1_item_d2i_ex(NULL, &position, (long)size,
                                               ASN1_ITEM_rptr(X509_REQ), nothing, NULL);
        if (!request)
                return crypto_error(reterr, EINVAL, "not a certificate request");
        /* d2i reads one object and says nothing of what follows it. */
        if (position != (const unsigned char *)der + size)
                return error_set(reterr, EINVAL, "bytes follow the certificate request");
        ERR_clear_error();
        return check_request(request, type, ret_public_key, reterr);
}
