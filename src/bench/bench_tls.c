#include "bench/bench_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct bench_tls_ctx {
    SSL_CTX *ctx;
    bool need_sni;
};

struct bench_tls_conn {
    SSL *ssl;
    char error[256];
};

static int fail(struct err *e, const char *what)
{
    char text[200];

    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(e, "%s: %s", what, text);
}

static int version_of(const char *word, int otherwise)
{
    static const struct {
        const char *word;
        int version;
    } all[] = {{"1.0", TLS1_VERSION}, {"1.1", TLS1_1_VERSION}, {"1.2", TLS1_2_VERSION}, {"1.3", TLS1_3_VERSION}};

    for (size_t i = 0; word && i < sizeof all / sizeof *all; i++)
        if (strcmp(word, all[i].word) == 0)
            return all[i].version;
    return word ? -1 : otherwise;
}

/* Old versions and weak keys are refused by OpenSSL's security level before anybody has asked for them. */
static int set_versions(SSL_CTX *ctx, const struct bench_tls *how, struct err *e)
{
    int min = version_of(how->min, TLS1_2_VERSION), max = version_of(how->max, TLS1_3_VERSION);

    if (min < 0 || max < 0)
        return err_set(e, "tls: versions are 1.0, 1.1, 1.2 and 1.3");
    SSL_CTX_set_security_level(ctx, 0);
    if (!SSL_CTX_set_min_proto_version(ctx, min) || !SSL_CTX_set_max_proto_version(ctx, max))
        return fail(e, "this OpenSSL has no such version");
    return 0;
}

static int set_choices(SSL_CTX *ctx, const struct bench_tls *how, struct err *e)
{
    if (!SSL_CTX_set_cipher_list(ctx, how->ciphers ? how->ciphers : "DEFAULT:@SECLEVEL=0"))
        return fail(e, "ciphers");
    if (how->groups && !SSL_CTX_set1_groups_list(ctx, how->groups))
        return fail(e, "groups");
    return 0;
}

static int set_certificate(SSL_CTX *ctx, const struct bench_tls *how, const char *dir, struct err *e)
{
    const char *name = how->cert ? how->cert : "good-ecdsa";
    char *chain = mem_printf("%s/%s.pem", dir, name), *key = mem_printf("%s/%s.key", dir, name);
    int rc = 0;

    if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1)
        rc = fail(e, chain);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        rc = fail(e, key);
    free(chain);
    free(key);
    return rc;
}

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    const struct bench_tls_ctx *c = arg;

    if (c->need_sni && !SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

static int any_client(int ok, X509_STORE_CTX *x)
{
    (void)ok;
    (void)x;
    return 1;
}

int bench_tls_ctx_new(struct bench_tls_ctx **out, const struct bench_tls *how, const char *dir, struct err *e)
{
    struct bench_tls_ctx *c = mem_alloc(sizeof *c);
    bool must = how->client_cert && strcmp(how->client_cert, "required") == 0;

    *out = NULL;
    c->need_sni = how->need_sni;
    c->ctx = SSL_CTX_new(TLS_server_method());
    if (!c->ctx || set_versions(c->ctx, how, e) < 0 || set_choices(c->ctx, how, e) < 0 ||
        set_certificate(c->ctx, how, dir, e) < 0) {
        bench_tls_ctx_free(&c);
        return -1;
    }
    SSL_CTX_set_tlsext_servername_callback(c->ctx, on_sni);
    SSL_CTX_set_tlsext_servername_arg(c->ctx, c);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (how->client_cert)
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), any_client);
    if (how->no_resume) {
        SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(c->ctx, 0);
        SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
    }
    *out = c;
    return 0;
}

void bench_tls_ctx_free(struct bench_tls_ctx **cp)
{
    struct bench_tls_ctx *c = *cp;

    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
    *cp = NULL;
}

struct bench_tls_conn *bench_tls_accept(struct bench_tls_ctx *c, int fd)
{
    struct bench_tls_conn *x = mem_alloc(sizeof *x);

    x->ssl = SSL_new(c->ctx);
    if (!x->ssl || !SSL_set_fd(x->ssl, fd)) {
        bench_tls_conn_free(&x);
        return NULL;
    }
    SSL_set_accept_state(x->ssl);
    return x;
}

void bench_tls_conn_free(struct bench_tls_conn **xp)
{
    struct bench_tls_conn *x = *xp;

    if (!x)
        return;
    SSL_free(x->ssl);
    free(x);
    *xp = NULL;
}

static enum bench_tls_io verdict(struct bench_tls_conn *x, int r)
{
    unsigned long code;

    switch (SSL_get_error(x->ssl, r)) {
    case SSL_ERROR_NONE:
        return BENCH_IO_DONE;
    case SSL_ERROR_WANT_READ:
        return BENCH_IO_READ;
    case SSL_ERROR_WANT_WRITE:
        return BENCH_IO_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return BENCH_IO_EOF;
    default:
        code = ERR_peek_last_error();
        if (code)
            ERR_error_string_n(code, x->error, sizeof x->error);
        else
            snprintf(x->error, sizeof x->error, "the connection ended");
        ERR_clear_error();
        return BENCH_IO_FAILED;
    }
}

enum bench_tls_io bench_tls_handshake(struct bench_tls_conn *x)
{
    ERR_clear_error();
    return verdict(x, SSL_do_handshake(x->ssl));
}

enum bench_tls_io bench_tls_recv(struct bench_tls_conn *x, void *p, size_t most, size_t *n)
{
    *n = 0;
    ERR_clear_error();
    return verdict(x, SSL_read_ex(x->ssl, p, most, n));
}

enum bench_tls_io bench_tls_send(struct bench_tls_conn *x, const void *p, size_t len, size_t *n)
{
    *n = 0;
    ERR_clear_error();
    return verdict(x, SSL_write_ex(x->ssl, p, len, n));
}

void bench_tls_close_notify(struct bench_tls_conn *x)
{
    ERR_clear_error();
    (void)SSL_shutdown(x->ssl);
    ERR_clear_error();
}

const char *bench_tls_version(const struct bench_tls_conn *x)
{
    return SSL_get_version(x->ssl);
}

const char *bench_tls_cipher(const struct bench_tls_conn *x)
{
    return SSL_get_cipher_name(x->ssl);
}

bool bench_tls_resumed(const struct bench_tls_conn *x)
{
    return SSL_session_reused(x->ssl) == 1;
}

const char *bench_tls_sni(const struct bench_tls_conn *x)
{
    const char *name = SSL_get_servername(x->ssl, TLSEXT_NAMETYPE_host_name);

    return name ? name : "";
}

const char *bench_tls_error(const struct bench_tls_conn *x)
{
    return x->error;
}
