#include "daemon/worker/view.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

void view_done(View *view)
{
        cert_list_done(&view->chain);
        for (size_t i = 0; i < view->n_issuers; i++)
                free(view->issuers[i]);
        *view = (View){0};
}

static void take_issuers(View *view, const SSL *ssl)
{
        const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);
        char line[VIEW_NAME_MAX];

        for (int i = 0; names && i < sk_X509_NAME_num(names); i++) {
                if (view->n_issuers == VIEW_ISSUERS_MAX ||
                    cert_name(sk_X509_NAME_value(names, i), line, sizeof line, NULL) < 0)
                        return;
                view->issuers[view->n_issuers] = strdup(line);
                if (!view->issuers[view->n_issuers])
                        return;
                view->n_issuers++;
        }
}

void view_take(View *view, SSL *ssl)
{
        const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
        const unsigned char *chosen = NULL;
        unsigned size = 0;

        for (int i = 0; chain && i < sk_X509_num(chain) && i < CERT_CHAIN_MAX; i++) {
                X509 *certificate = sk_X509_value(chain, i);

                if (X509_up_ref(certificate) != 1 ||
                    cert_list_add(&view->chain, certificate, NULL) < 0)
                        return;
        }
        snprintf(view->cipher, sizeof view->cipher, "%s", SSL_get_cipher_name(ssl));
        SSL_get0_alpn_selected(ssl, &chosen, &size);
        if (chosen && size < sizeof view->alpn)
                memcpy(view->alpn, chosen, size);
        take_issuers(view, ssl);
}
