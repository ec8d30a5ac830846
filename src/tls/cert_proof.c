/* Proof by handshake: a certificate is usable when a client can really shake hands with it. Both ends are ours, joined
 * by memory BIOs; the server's context is made like those that serve, and holds this certificate alone, so that no other
 * can stand in for it. The client takes nothing but this kind of certificate, in one version of TLS. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "tls/cert.h"

#define ROUNDS 20 /* a handshake takes two */

/* What the client signs off on: TLS 1.3 speaks of signature algorithms, TLS 1.2 has the kind of key in the cipher's name.
 * NULL: OpenSSL's own list, for a kind that no version knows. */
static const struct {
    const char *signatures, *ciphers;
} demands[CERT_KIND_COUNT] = {
    [CERT_KIND_OTHER] = {NULL, "ALL"},
    [CERT_KIND_ED448] = {"ed448", "aECDSA"},
    [CERT_KIND_ED25519] = {"ed25519", "aECDSA"},
    [CERT_KIND_P521] = {"ECDSA+SHA512", "aECDSA"},
    [CERT_KIND_RSA_PSS] = {"rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512", "aRSA"},
    [CERT_KIND_RSA] = {"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512", "aRSA"},
    [CERT_KIND_P384] = {"ECDSA+SHA384", "aECDSA"},
    [CERT_KIND_P256] = {"ECDSA+SHA256", "aECDSA"},
};

static SSL_CTX *client_context(const struct cert *c, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const char *signatures = demands[c->kind].signatures;
    bool ok =
        ctx && SSL_CTX_set_min_proto_version(ctx, version) == 1 && SSL_CTX_set_max_proto_version(ctx, version) == 1;

    if (ok && version == TLS1_2_VERSION)
        ok = SSL_CTX_set_cipher_list(ctx, demands[c->kind].ciphers) == 1;
    else if (ok && signatures)
        ok = SSL_CTX_set1_sigalgs_list(ctx, signatures) == 1;
    if (ok) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* trust is judged elsewhere, and only warns */
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
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

static bool saw(SSL *client, const struct cert *c)
{
    X509 *x = SSL_get1_peer_certificate(client);
    bool same = x && X509_cmp(x, c->leaf) == 0;

    X509_free(x);
    return same;
}

static bool shake_hands(SSL_CTX *server_ctx, SSL_CTX *client_ctx, const struct cert *c)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a = NULL, *b = NULL;
    bool ok = false;

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
    ok = ok && saw(client, c);
out:
    SSL_free(server);
    SSL_free(client);
    return ok;
}

void cert_prove(const struct cert *c, unsigned *ok, char *why, size_t cap)
{
    static const struct {
        int version;
        const char *name;
    } versions[] = {{TLS1_2_VERSION, "TLS 1.2"}, {TLS1_3_VERSION, "TLS 1.3"}};
    SSL_CTX *server;
    char text[200];
    size_t n = 0;
    struct err e;

    *ok = 0;
    why[0] = '\0';
    ERR_clear_error();
    server = tls_context_new(&e);
    if (!server || tls_context_add(server, c) < 0) {
        tls_error_text(text, sizeof text);
        snprintf(why, cap, "%s", server ? text : e.text);
        SSL_CTX_free(server);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX *client = client_context(c, versions[i].version);

        if (client && shake_hands(server, client, c)) {
            *ok |= 1u << i;
        } else {
            tls_error_text(text, sizeof text);
            n += (size_t)snprintf(why + n, cap - n, "%s%s: %s", n ? "; " : "", versions[i].name, text);
        }
        ERR_clear_error();
        SSL_CTX_free(client);
    }
    SSL_CTX_free(server);
}
