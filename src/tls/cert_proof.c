/* Proof by handshake: a certificate is usable when a client can really shake hands with it. Both ends are ours, joined
 * by memory BIOs; the server's context holds this certificate alone, so that no other can stand in for it. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>

#include "tls/cert.h"

#define ROUNDS 20 /* a handshake takes two */

static SSL_CTX *client_context(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* trust is judged elsewhere, and only warns */
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    return ctx;
}

/* 1: goes on or is done; 0: failed. */
static int step(SSL *ssl)
{
    int r = SSL_do_handshake(ssl), e;

    if (r == 1)
        return 1;
    e = SSL_get_error(ssl, r);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static int shake_hands(SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a = NULL, *b = NULL;
    int ok = 0;

    if (!server || !client || BIO_new_bio_pair(&a, 0, &b, 0) != 1)
        goto out;
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0; i < ROUNDS && !ok; i++) {
        if (!step(client) || !step(server))
            break;
        ok = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    }
out:
    SSL_free(server);
    SSL_free(client);
    return ok;
}

void cert_prove(const struct cert *c, unsigned *ok, char *why, size_t cap)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    SSL_CTX *server;
    struct err e;

    *ok = 0;
    snprintf(why, cap, "%s", "");
    ERR_clear_error();
    server = tls_context_new(&e);
    if (!server || tls_context_add(server, c) < 0) {
        tls_error_text(why, cap);
        SSL_CTX_free(server);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX *client = client_context(versions[i]);

        if (client && shake_hands(server, client))
            *ok |= 1u << i;
        else
            tls_error_text(why, cap);
        SSL_CTX_free(client);
    }
    ERR_clear_error();
    SSL_CTX_free(server);
}
