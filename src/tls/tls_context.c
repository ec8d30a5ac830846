#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "tls/cert.h"

/* TLS 1.2: forward secrecy always, AEAD first, CBC with SHA-2 last for old senders; no static RSA, PSK, SRP, anonymous,
 * SHA-1. TLS 1.3: OpenSSL's own list. */
#define CIPHERS                                                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                           \
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256:"                                   \
    "ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"                                       \
    "DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256"

void tls_error_text(char *out, size_t cap)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    snprintf(out, cap, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
}

/* Some large senders offer "smtp" by ALPN; not knowing the word must not cost the connection (RFC 7301 3.2 lets a server
 * go on without a choice). */
static int alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned inlen,
                void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < inlen && i + 1 + in[i] <= inlen; i += 1u + in[i])
        if (in[i] == 4 && memcmp(in + i + 1, "smtp", 4) == 0) {
            *out = in + i + 1;
            *outlen = 4;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

SSL_CTX *tls_context_new(struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char why[256];

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1) {
        tls_error_text(why, sizeof why);
        SSL_CTX_free(ctx);
        err_set(e, "a TLS context cannot be made: %s", why);
        return NULL;
    }
    /* The machine's openssl.cnf has no say: what was proven once is proven on every machine. Level 2: 112 bits. */
    SSL_CTX_set_security_level(ctx, 2);
    /* No tickets and no cache: large senders abort on them (golang/go#70232), and nobody gains. A FIN without close_notify
     * is an end as any other: many senders do so, a client that has half-closed still gets its answer, and a message cut
     * short has no final dot and is never taken. */
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* OpenSSL reads on behind a KeyUpdate or a refused renegotiation until there is something to hand out: a client that
     * sends nothing else would have the worker for itself. So each of them is a call, and a turn of the loop. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, alpn, NULL);
    return ctx;
}

int tls_context_add(SSL_CTX *ctx, const struct cert *c)
{
    return SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) == 1 ? 0 : -1;
}
