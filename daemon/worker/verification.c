#include "daemon/worker/verification.h"

#include "common/clock.h"

#include <openssl/x509.h>

static bool add_bundle(X509_STORE *store, const CertList *bundle)
{
        for (size_t i = 0; i < bundle->n; i++)
                if (X509_STORE_add_cert(store, bundle->items[i]) != 1)
                        return false;
        return true;
}

static bool add_helpers(STACK_OF(X509) * helpers, const CertList *chain)
{
        for (size_t i = 1; i < chain->n; i++)
                if (sk_X509_push(helpers, chain->items[i]) <= 0)
                        return false;
        return true;
}

int verification_init(Verification *verification, const CertList *chain, const CertList *bundle,
                      int64_t now_usec, Error *reterr)
{
        *verification = (Verification){.context = X509_STORE_CTX_new(),
                                       .store = X509_STORE_new(),
                                       .helpers = sk_X509_new_null()};
        if (!verification->context || !verification->store || !verification->helpers ||
            !add_bundle(verification->store, bundle) ||
            !add_helpers(verification->helpers, chain) ||
            X509_STORE_CTX_init(verification->context, verification->store, chain->items[0],
                                verification->helpers) != 1) {
                verification_done(verification);
                return error_oom(reterr);
        }
        X509_STORE_CTX_set_time(verification->context, 0, (time_t)(now_usec / USEC_PER_SEC));
        return 0;
}

const char *verification_run(Verification *verification)
{
        return X509_verify_cert(verification->context) == 1
                       ? NULL
                       : X509_verify_cert_error_string(
                                 X509_STORE_CTX_get_error(verification->context));
}

void verification_done(Verification *verification)
{
        X509_STORE_CTX_free(verification->context);
        sk_X509_free(verification->helpers);
        X509_STORE_free(verification->store);
        *verification = (Verification){0};
}
