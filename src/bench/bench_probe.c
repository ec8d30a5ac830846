#include "bench/bench_probe.h"

#include <openssl/err.h>

#include "base/text.h"
#include "bench/bench_tls_own.h"

#define ROUNDS 50

/* Nothing that the scenario has chosen: those are as OpenSSL makes them, and a server can do what `good` does. */
static bool is_usual(const struct bench_tls *t)
{
    return !t->cert && !t->sni_cert && !t->rotate && !t->ocsp && !t->min && !t->max && !t->ciphers && !t->groups &&
           !t->sigalgs && !t->dh_bits && !t->client_cert && !t->tickets;
}

/* As old, weak and trusting as OpenSSL can be. */
static SSL_CTX *any_client(const struct bench_tls *how)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_security_level(ctx, 0);
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
    (void)SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
    if (how->groups)
        (void)SSL_CTX_set1_groups_list(ctx, how->groups);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    return ctx;
}

static bool join(SSL *a, SSL *b)
{
    BIO *one = NULL, *other = NULL;

    if (!BIO_new_bio_pair(&one, 0, &other, 0))
        return false;
    SSL_set_bio(a, one, one);
    SSL_set_bio(b, other, other);
    return true;
}

static bool waits(const SSL *ssl, int r)
{
    int error = SSL_get_error(ssl, r);

    return r == 1 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(SSL *client, SSL *server)
{
    int c = 0, s = 0;

    for (unsigned i = 0; i < ROUNDS && (c != 1 || s != 1); i++) {
        if (c != 1)
            c = SSL_do_handshake(client);
        if (!waits(client, c))
            return false;
        if (s != 1)
            s = SSL_do_handshake(server);
        if (!waits(server, s))
            return false;
    }
    return c == 1 && s == 1;
}

static int meet(struct bench_tls_ctx *server, SSL_CTX *client, const struct bench_tls *how, struct err *e)
{
    struct bench_tls_conn *x = bench_tls_conn_new(server, 0);
    SSL *ssl = client ? SSL_new(client) : NULL;
    int rc = 0;

    ERR_clear_error();
    if (ssl && how->client_cert)
        SSL_use_cert_and_key(ssl, server->own.pair.cert, server->own.pair.key, NULL, 1);
    if (ssl) {
        SSL_set_connect_state(ssl);
        (void)SSL_set_tlsext_host_name(ssl, BENCH_HOST);
    }
    if (!x || !ssl || !join(ssl, x->ssl))
        rc = pki_fail(e, "TLS");
    else if (!shake_hands(ssl, x->ssl))
        rc = pki_fail(e, "no handshake succeeds");
    SSL_free(ssl);
    bench_tls_conn_free(&x);
    ERR_clear_error();
    return rc;
}

int bench_probe(const struct bench_scenario *s, struct err *why)
{
    struct bench_tls_ctx *server;
    SSL_CTX *client;
    int rc;

    if (is_usual(&s->tls))
        return 0;
    rc = bench_tls_ctx_new(&server, &s->tls, NULL, why);
    if (rc == 0) {
        client = any_client(&s->tls);
        rc = meet(server, client, &s->tls, why);
        SSL_CTX_free(client);
    }
    bench_tls_ctx_free(&server);
    return rc;
}

void bench_probe_all(struct bench_catalogue *c, const struct bench_options *o, bool only_wanted)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct bench_scenario *s = &c->list[i];
        struct err why;

        if (s->why_not || (only_wanted && !bench_options_want(o, s->name)))
            continue;
        if (bench_probe(s, &why) < 0)
            s->why_not = mem_str(why.text);
        else if (o->implicit && bench_is_about_starttls(s))
            s->why_not = mem_str("it is about STARTTLS, which --implicit leaves no room for");
    }
}
