#include "tls/tls_conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tls/tls_listener.h"

struct tls_conn {
    SSL *ssl;
    struct tls_listener *listener;
    int64_t now; /* app data: the moment that decides which certificates may serve */
    bool failed;
    char *error; /* NULL: none; one string only where something went wrong */
};

struct tls_conn *tls_conn_new(struct tls_listener *l, int64_t now, struct err *e)
{
    const struct tls_group *g = tls_listener_pick(l, NULL, now);
    struct tls_conn *c;

    if (!g) {
        err_set(e, "no certificate of this listener may be served at the moment");
        return NULL;
    }
    c = mem_alloc(sizeof *c);
    c->ssl = SSL_new(g->ctx);
    if (!c->ssl) {
        free(c);
        err_set(e, "SSL_new failed");
        return NULL;
    }
    c->listener = l;
    c->now = now;
    SSL_set_app_data(c->ssl, &c->now);
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
    free(c);
    *cp = NULL;
}

/* ---- words */

static const struct {
    int number;
    const char *name, *words;
} alerts[] = {
    {10, "unexpected_message", "the client did not understand our messages"},
    {20, "bad_record_mac", "the connection was damaged on the way"},
    {40, "handshake_failure", "the client found nothing acceptable in what we offer"},
    {42, "bad_certificate", "the client does not accept our certificate"},
    {43, "unsupported_certificate", "the client cannot use our kind of certificate"},
    {44, "certificate_revoked", "the client says our certificate is revoked"},
    {45, "certificate_expired", "the client says our certificate has expired"},
    {46, "certificate_unknown", "the client does not accept our certificate"},
    {47, "illegal_parameter", "the client rejects a parameter of ours"},
    {48, "unknown_ca", "the client does not trust our certificate"},
    {49, "access_denied", "the client does not want to go on"},
    {50, "decode_error", "the client could not read our messages"},
    {51, "decrypt_error", "the client could not verify our signature"},
    {70, "protocol_version", "the client cannot speak TLS 1.2 or 1.3"},
    {71, "insufficient_security", "the client wants stronger parameters"},
    {80, "internal_error", "the client had an error of its own"},
    {90, "user_canceled", "the client gave up"},
    {112, "unrecognized_name", "the client asked for another name"},
};

static const char *reason_words(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
        return "the client offers only TLS versions older than 1.2";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return "client and server have no cipher or signature algorithm in common";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the client spoke HTTP where TLS begins";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
        return "the client sent something that is not TLS, as plain SMTP text is";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the client closed the connection without finishing TLS";
    default:
        return NULL;
    }
}

static void explain(struct tls_conn *c, const char *plain)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *words = plain;
    char text[300] = "";

    c->failed = true;
    if (c->error)
        return;
    if (!words && code && reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        int number = reason - SSL_AD_REASON_OFFSET;

        for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
            if (alerts[i].number == number)
                snprintf(text, sizeof text, "%s: alert %d %s", alerts[i].words, number, alerts[i].name);
        if (!text[0])
            snprintf(text, sizeof text, "the client sent alert %d", number);
    } else if (!words && code) {
        words = reason_words(reason);
        if (!words)
            snprintf(text, sizeof text, "%s", ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "unknown error");
    }
    if (words || !text[0])
        snprintf(text, sizeof text, "%s", words ? words : "the connection was lost during TLS");
    ERR_clear_error();
    c->error = mem_printf("%s (%s%s%s)", text, SSL_get_version(c->ssl), SSL_get_current_cipher(c->ssl) ? ", " : "",
                          SSL_get_current_cipher(c->ssl) ? SSL_get_cipher_name(c->ssl) : "");
}

static enum tls_io outcome(struct tls_conn *c, int r)
{
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return TLS_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_IO_EOF;
    case SSL_ERROR_SYSCALL:
        explain(c, "the client closed the connection without finishing TLS");
        return TLS_IO_FAILED;
    default:
        explain(c, NULL);
        return TLS_IO_FAILED;
    }
}

/* ---- input and output. OpenSSL's queue of errors belongs to the thread: it is emptied before each call, or the last
 * session's failure would be taken for this one's. */

enum tls_io tls_conn_handshake(struct tls_conn *c)
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(c->ssl);
    return r == 1 ? TLS_IO_DONE : outcome(c, r);
}

enum tls_io tls_conn_read(struct tls_conn *c, void *p, size_t cap, size_t *n)
{
    *n = 0;
    if (c->failed)
        return TLS_IO_FAILED;
    ERR_clear_error();
    return SSL_read_ex(c->ssl, p, cap, n) == 1 ? TLS_IO_DONE : outcome(c, 0);
}

enum tls_io tls_conn_write(struct tls_conn *c, const void *p, size_t len, size_t *n)
{
    *n = 0;
    if (c->failed)
        return TLS_IO_FAILED;
    ERR_clear_error();
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
    const struct tls_group *g = tls_listener_pick(c->listener, tls_conn_sni(c), c->now);

    return g ? tls_group_title(g, SSL_get_certificate(c->ssl)) : "";
}

const char *tls_conn_error(const struct tls_conn *c)
{
    return c->error ? c->error : "no error";
}
