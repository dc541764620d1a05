/*
 * What a server showed of itself in a handshake, for people: the certificates that it sent, what
 * was agreed upon, and what it asks of clients. Nothing of it is judged here.
 */
#pragma once

#include "common/cert.h"

struct ssl_st; /* OpenSSL's SSL */

enum { VIEW_TEXT_MAX = 64, VIEW_ISSUERS_MAX = 32, VIEW_NAME_MAX = 512 };

typedef struct View {
        CertList chain;                  /* as sent, the leaf first; at most CERT_CHAIN_MAX */
        char cipher[VIEW_TEXT_MAX];      /* TLS_AES_256_GCM_SHA384 */
        char alpn[VIEW_TEXT_MAX];        /* what the server chose; "" for nothing */
        bool asks_client;                /* the server asks for a client certificate, */
        char *issuers[VIEW_ISSUERS_MAX]; /* of one of these, where it says so */
        size_t n_issuers;
} View;

/* Takes what there is from a connection whose handshake is over. What memory has no room for is
 * left out. */
void view_take(View *view, struct ssl_st *ssl);
void view_done(View *view);
