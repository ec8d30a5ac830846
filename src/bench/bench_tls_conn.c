#include "bench/bench_tls_own.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/text.h"

struct bench_tls_conn *bench_tls_conn_new(struct bench_tls_ctx *c, unsigned turn)
{
    struct bench_tls_conn *x = mem_alloc(sizeof *x);

    x->ctx = c;
    x->fd = -1;
    x->alert_in = x->alert_out = -1;
    x->shown = c->rotate_count ? &c->rotating[turn / c->rotate_every % c->rotate_count] : &c->own;
    x->ssl = SSL_new(c->ctx);
    if (!x->ssl) {
        bench_tls_conn_free(&x);
        return NULL;
    }
    SSL_set_app_data(x->ssl, x);
    SSL_set_accept_state(x->ssl);
    return x;
}

struct bench_tls_conn *bench_tls_accept(struct bench_tls_ctx *c, int fd, const void *first, size_t n, unsigned turn)
{
    struct bench_tls_conn *x = bench_tls_conn_new(c, turn);
    BIO *before = n && n <= INT_MAX ? BIO_new(BIO_s_mem()) : NULL;

    if (!x || !SSL_set_fd(x->ssl, fd) || (before && BIO_write(before, first, (int)n) != (int)n)) {
        BIO_free(before);
        bench_tls_conn_free(&x);
        return NULL;
    }
    x->fd = fd;
    if (before) {
        SSL_set0_rbio(x->ssl, before);
        x->from_memory = true;
        x->first_len = n;
    }
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
        if (code && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
            ERR_error_string_n(code, x->error, sizeof x->error);
        else
            snprintf(x->error, sizeof x->error, "the connection ended");
        ERR_clear_error();
        return BENCH_IO_FAILED;
    }
}

/* Behind the bytes that were read before, the socket is read. True: now it is. */
static bool turn_to_socket(struct bench_tls_conn *x)
{
    BIO *socket;

    if (!x->from_memory || BIO_ctrl_pending(SSL_get_rbio(x->ssl)))
        return false;
    socket = BIO_new_socket(x->fd, BIO_NOCLOSE);
    if (!socket)
        return false;
    SSL_set0_rbio(x->ssl, socket);
    x->from_memory = false;
    return true;
}

enum bench_tls_io bench_tls_handshake(struct bench_tls_conn *x)
{
    enum bench_tls_io io;

    do {
        ERR_clear_error();
        io = verdict(x, SSL_do_handshake(x->ssl));
    } while (io == BENCH_IO_READ && turn_to_socket(x));
    if (io == BENCH_IO_DONE) {
        (void)turn_to_socket(x);
        x->phase = BENCH_TLS_DATA;
    }
    return io;
}

enum bench_tls_io bench_tls_recv(struct bench_tls_conn *x, void *p, size_t most, size_t *n)
{
    enum bench_tls_io io;

    do {
        *n = 0;
        ERR_clear_error();
        io = verdict(x, SSL_read_ex(x->ssl, p, most, n));
    } while (io == BENCH_IO_READ && turn_to_socket(x));
    return io;
}

enum bench_tls_io bench_tls_send(struct bench_tls_conn *x, const void *p, size_t len, size_t *n)
{
    unsigned most = x->ctx->record;

    *n = 0;
    ERR_clear_error();
    return verdict(x, SSL_write_ex(x->ssl, p, most && len > most ? most : len, n));
}

unsigned bench_tls_gap_ms(const struct bench_tls_conn *x)
{
    return x->ctx->gap_ms;
}

void bench_tls_close_notify(struct bench_tls_conn *x)
{
    ERR_clear_error();
    (void)SSL_shutdown(x->ssl);
    ERR_clear_error();
}

enum bench_tls_io bench_tls_act(struct bench_tls_conn *x, enum bench_then then)
{
    int ok;

    ERR_clear_error();
    ok = then == BENCH_KEYUPDATE ? SSL_key_update(x->ssl, SSL_KEY_UPDATE_REQUESTED) : SSL_renegotiate(x->ssl);
    return verdict(x, ok == 1 ? SSL_do_handshake(x->ssl) : ok);
}
