#include "tls/tls_client.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tls/tls_conn_private.h"

struct tls_client {
    SSL_CTX *ctx;
};

/* A next hop that can do no better is still better than clear text, where the policy takes any certificate; so old
 * ciphers are not the concern here, but old protocols are: TLS 1.2 is the least (RFC 8996). */
static SSL_CTX *context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_dane_enable(ctx) <= 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_security_level(ctx, 1);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* KeyUpdates without end: each is a turn of the loop, as with clients (tls_context.c) */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* RFC 7672 3.1.1: with usage 3 neither name nor date of the certificate matters */
    SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    return ctx;
}

int tls_client_new(struct tls_client **out, const char *ca_file, struct err *e)
{
    struct tls_client *c = mem_alloc(sizeof *c);
    char why[256];
    int ok;

    c->ctx = context();
    ok =
        c->ctx && (ca_file ? SSL_CTX_load_verify_file(c->ctx, ca_file) : SSL_CTX_set_default_verify_paths(c->ctx)) == 1;
    if (ok) {
        ERR_clear_error();
        *out = c;
        return 0;
    }
    tls_error_text(why, sizeof why);
    tls_client_free(&c);
    return ca_file ? err_set(e, "%s: trusted certificates cannot be read: %s", ca_file, why)
                   : err_set(e, "TLS for connections to other servers cannot be set up: %s", why);
}

/* How many; -1: something in it is broken. */
static int trust_pem(SSL_CTX *ctx, const char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    bool good = bio != NULL;
    int count = 0;
    X509 *x;

    while (good && (x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1;
        X509_free(x);
        count++;
    }
    good = good && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE; /* the end of the text */
    BIO_free(bio);
    return good ? count : -1;
}

int tls_client_new_pem(struct tls_client **out, const char *pem, size_t len, struct err *e)
{
    struct tls_client *c = mem_alloc(sizeof *c);
    char why[256];
    int count;

    c->ctx = context();
    ERR_clear_error();
    count = c->ctx && len <= INT_MAX ? trust_pem(c->ctx, pem, len) : -1;
    if (count > 0) {
        ERR_clear_error();
        *out = c;
        return 0;
    }
    tls_error_text(why, sizeof why);
    tls_client_free(&c);
    return count == 0 ? err_set(e, "it holds no certificate in PEM form")
                      : err_set(e, "a certificate in it cannot be read: %s", why);
}

void tls_client_free(struct tls_client **c)
{
    if (!*c)
        return;
    SSL_CTX_free((*c)->ctx);
    free(*c);
    *c = NULL;
}

bool tls_tlsa_is_usable(const struct tls_tlsa *r)
{
    static const size_t digest[] = {0, 32, 64};

    if ((r->usage != 2 && r->usage != 3) || r->selector > 1 || r->matching > 2 || r->len == 0)
        return false;
    return r->matching == 0 || r->len == digest[r->matching];
}

/* Adds what OpenSSL takes; a full certificate that does not parse is unusable as well. */
static unsigned add_tlsa(SSL *ssl, const struct tls_target *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->tlsa_count; i++) {
        const struct tls_tlsa *r = &t->tlsa[i];

        if (tls_tlsa_is_usable(r) && SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, r->data, r->len) > 0)
            n++;
        ERR_clear_error();
    }
    return n;
}

static bool set_names(SSL *ssl, const struct tls_target *t)
{
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (t->name && SSL_set1_host(ssl, t->name) != 1)
        return false;
    return !t->also || SSL_add1_host(ssl, t->also) == 1;
}

static int set_policy(SSL *ssl, const struct tls_target *t, struct err *e)
{
    if (t->verify == TLS_VERIFY_DANE) {
        if (!t->name || SSL_dane_enable(ssl, t->name) <= 0 || (t->also && SSL_add1_host(ssl, t->also) != 1))
            return err_set(e, "DANE cannot be used without a host name");
        if (add_tlsa(ssl, t) == 0)
            return err_set(e, "no TLSA record of %s can be used", t->name);
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        return 0;
    }
    if (t->name && SSL_set_tlsext_host_name(ssl, t->name) != 1)
        return err_set(e, "\"%s\" cannot be sent as a name (SNI)", t->name);
    if (t->verify == TLS_VERIFY_NAME && (!t->name || !set_names(ssl, t)))
        return err_set(e, "there is no name to verify");
    SSL_set_verify(ssl, t->verify == TLS_VERIFY_NAME ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return 0;
}

struct tls_conn *tls_client_connect(struct tls_client *c, const struct tls_target *t, int64_t now, struct err *e)
{
    static const enum tls_verify_of_conn kinds[] = {TLS_CONN_ANY, TLS_CONN_NAME, TLS_CONN_DANE};
    struct tls_conn *conn = mem_alloc(sizeof *conn);

    conn->now = now;
    conn->kind = kinds[t->verify];
    conn->ssl = SSL_new(c->ctx);
    if (!conn->ssl)
        err_set(e, "a TLS connection cannot be made: out of memory");
    if (!conn->ssl || set_policy(conn->ssl, t, e) < 0) {
        ERR_clear_error();
        tls_conn_free(&conn);
        return NULL;
    }
    X509_VERIFY_PARAM_set_time(SSL_get0_param(conn->ssl), (time_t)now);
    SSL_set_connect_state(conn->ssl);
    return conn;
}

const char *tls_client_verdict(const struct tls_conn *c)
{
    struct tls_conn *own = (struct tls_conn *)c; /* the words are made once */
    long r;

    if (c->verdict)
        return c->verdict;
    r = SSL_get_verify_result(c->ssl);
    if (c->kind == TLS_CONN_DANE)
        own->verdict = mem_str("verified by DANE");
    else if (c->kind == TLS_CONN_NAME)
        own->verdict = mem_str("verified by CA and name");
    else
        own->verdict = mem_printf("not verified%s%s", r == X509_V_OK ? "" : ": ",
                                  r == X509_V_OK ? "" : X509_verify_cert_error_string(r));
    return own->verdict;
}
