#include "tls/tls_conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/text.h"
#include "tls/tls_conn_private.h"
#include "tls/tls_words.h"

struct tls_conn *tls_conn_new(struct tls_listener *l, int64_t now, struct err *e)
{
    const struct tls_entry *t = tls_listener_pick(l, NULL, TLS_ANY_KIND, now);
    struct tls_conn *c;
    char why[200];

    if (!t) {
        err_set(e, "no certificate of this listener may be served at the moment");
        return NULL;
    }
    c = mem_alloc(sizeof *c);
    c->ssl = SSL_new(t->ctx);
    if (!c->ssl) {
        free(c);
        tls_error_text(why, sizeof why);
        err_set(e, "a TLS connection cannot be made: %s", why);
        return NULL;
    }
    c->listener = l;
    c->entry = t;
    c->now = now;
    SSL_set_app_data(c->ssl, c);
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_attach(struct tls_conn *c, int fd)
{
    SSL_set_fd(c->ssl, fd);
}

void tls_conn_free(struct tls_conn **cp)
{
    struct tls_conn *c = *cp;

    if (!c)
        return;
    SSL_free(c->ssl);
    free(c->error);
    free(c->verdict);
    free(c);
    *cp = NULL;
}

/* OpenSSL asks here, when it has read the ClientHello, which certificate is to serve. */
int tls_conn_choose(SSL *ssl, void *listener)
{
    struct tls_conn *c = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_entry *t;

    (void)listener;
    if (c->listener->count < 2)
        return 1;
    t = tls_listener_pick(c->listener, name, tls_hello_kinds(ssl), c->now);
    if (t && t != c->entry && SSL_set_SSL_CTX(ssl, t->ctx))
        c->entry = t;
    return 1;
}

/* ---- what became of a call */

static enum tls_io fail(struct tls_conn *c, int sys_errno, bool closed)
{
    struct tls_words_facts f = {
        .ssl = c->ssl,
        .code = ERR_peek_error(),
        .sys_errno = sys_errno,
        .closed = closed,
        .in_handshake = !SSL_is_init_finished(c->ssl),
        .is_client = c->kind != TLS_CONN_SERVER,
    };

    c->failed = true;
    if (!c->error)
        c->error = tls_words(&f);
    ERR_clear_error();
    return TLS_IO_FAILED;
}

static enum tls_io outcome(struct tls_conn *c, int r)
{
    int sys_errno = errno;

    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return TLS_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return SSL_is_init_finished(c->ssl) ? TLS_IO_EOF : fail(c, 0, true);
    case SSL_ERROR_SYSCALL:
        return fail(c, sys_errno, sys_errno == 0);
    default:
        return fail(c, 0, false);
    }
}

/* ---- input and output. OpenSSL's queue of errors belongs to the thread: it is emptied before each call, or the last
 * session's failure would be taken for this one's. */

enum tls_io tls_conn_handshake(struct tls_conn *c)
{
    int r;

    if (c->failed)
        return TLS_IO_FAILED;
    ERR_clear_error();
    errno = 0;
    r = SSL_do_handshake(c->ssl);
    return r == 1 ? TLS_IO_DONE : outcome(c, r);
}

enum tls_io tls_conn_read(struct tls_conn *c, void *p, size_t cap, size_t *n)
{
    *n = 0;
    if (c->failed)
        return TLS_IO_FAILED;
    ERR_clear_error();
    errno = 0;
    return SSL_read_ex(c->ssl, p, cap, n) == 1 ? TLS_IO_DONE : outcome(c, 0);
}

enum tls_io tls_conn_write(struct tls_conn *c, const void *p, size_t len, size_t *n)
{
    *n = 0;
    if (c->failed)
        return TLS_IO_FAILED;
    ERR_clear_error();
    errno = 0;
    return SSL_write_ex(c->ssl, p, len, n) == 1 ? TLS_IO_DONE : outcome(c, 0);
}

bool tls_conn_has_pending(const struct tls_conn *c)
{
    return SSL_pending(c->ssl) > 0;
}

void tls_conn_shutdown(struct tls_conn *c)
{
    if (c->failed || !SSL_is_init_finished(c->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(c->ssl);
    ERR_clear_error();
}

/* ---- facts */

const char *tls_conn_version(const struct tls_conn *c)
{
    return SSL_get_version(c->ssl);
}

const char *tls_conn_cipher(const struct tls_conn *c)
{
    return SSL_get_cipher_name(c->ssl);
}

const char *tls_conn_sni(const struct tls_conn *c)
{
    return SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
}

const char *tls_conn_cert_title(const struct tls_conn *c)
{
    return c->entry ? cert_facts(c->entry->cert)->title : NULL;
}

const char *tls_conn_error(const struct tls_conn *c)
{
    return c->error ? c->error : "no error";
}
