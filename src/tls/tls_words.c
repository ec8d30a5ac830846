#include "tls/tls_words.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

/* All sentences have the other side as "client"; of a server they are as true. RFC 8446 6.2 and RFC 5246 7.2.2. */
static const struct {
    int number;
    const char *name, *words;
} alerts[] = {
    {10, "unexpected_message", "client did not expect our message"},
    {20, "bad_record_mac", "client received damaged data"},
    {21, "decryption_failed", "client received damaged data"},
    {22, "record_overflow", "client received damaged data"},
    {40, "handshake_failure", "client found nothing acceptable in what we offer"},
    {42, "bad_certificate", "client does not accept our certificate"},
    {43, "unsupported_certificate", "client cannot use our kind of certificate"},
    {44, "certificate_revoked", "client says our certificate is revoked"},
    {45, "certificate_expired", "client says our certificate has expired"},
    {46, "certificate_unknown", "client does not accept our certificate"},
    {47, "illegal_parameter", "client rejects a parameter of ours"},
    {48, "unknown_ca", "client does not trust our certificate"},
    {49, "access_denied", "client does not want to go on"},
    {50, "decode_error", "client could not read our message"},
    {51, "decrypt_error", "client could not verify our signature"},
    {70, "protocol_version", "client speaks neither TLS 1.2 nor TLS 1.3"},
    {71, "insufficient_security", "client wants stronger parameters"},
    {80, "internal_error", "client had an error of its own"},
    {86, "inappropriate_fallback", "client thinks that it was downgraded"},
    {90, "user_canceled", "client gave up"},
    {109, "missing_extension", "client misses an extension"},
    {110, "unsupported_extension", "client rejects an extension of ours"},
    {112, "unrecognized_name", "client does not find its name in our certificate"},
    {113, "bad_certificate_status_response", "client does not accept our certificate"},
    {116, "certificate_required", "client wants a certificate"},
    {120, "no_application_protocol", "client knows no protocol in common"},
};

static void say_alert(struct buf *b, int number)
{
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].number == number) {
            buf_printf(b, "%s: alert %d %s", alerts[i].words, number, alerts[i].name);
            return;
        }
    buf_printf(b, "client ended TLS: alert %d", number);
}

static void say_version(struct buf *b, SSL *ssl)
{
    const char *name = NULL;

    switch (SSL_is_server(ssl) ? SSL_client_version(ssl)
                               : SSL_version(ssl)) { /* what its ClientHello names as its best, RFC 5246 7.4.1.2 */
    case SSL3_VERSION:
        name = "SSLv3";
        break;
    case TLS1_VERSION:
        name = "TLSv1.0";
        break;
    case TLS1_1_VERSION:
        name = "TLSv1.1";
        break;
    default:
        break;
    }
    if (name)
        buf_printf(b, "client offers only %s; TLS 1.2 is the least here", name);
    else
        buf_printf(b, "client offers no version of TLS that is spoken here, which are 1.2 and 1.3");
}

static void say_ciphers(struct buf *b, SSL *ssl)
{
    const STACK_OF(SSL_CIPHER) *theirs = SSL_get_client_ciphers(ssl);
    int n = theirs ? sk_SSL_CIPHER_num(theirs) : 0, shown = 0;

    buf_printf(b, "client offers no cipher that is accepted here");
    for (int i = 0; i < n && shown < 3; i++) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(theirs, i);

        if (SSL_CIPHER_is_aead(c) && SSL_CIPHER_get_kx_nid(c) == NID_kx_any)
            continue; /* of TLS 1.3, beside the point */
        buf_printf(b, "%s%s", shown++ ? ", " : ": ", SSL_CIPHER_get_name(c));
    }
    if (shown && n > shown)
        buf_printf(b, " ...");
}

/* Ours is the refusal: the server's certificate is not what it must be. */
static void say_verification(struct buf *b, SSL *ssl)
{
    long why = SSL_get_verify_result(ssl);
    X509 *x = SSL_get0_peer_certificate(ssl);
    char *subject = x ? X509_NAME_oneline(X509_get_subject_name(x), NULL, 0) : NULL;

    buf_printf(b, "the server's certificate is not accepted: %s",
               why == X509_V_OK ? "it cannot be verified" : X509_verify_cert_error_string(why));
    if (subject)
        buf_printf(b, ": %.200s", subject);
    OPENSSL_free(subject);
}

static void say_reason(struct buf *b, const struct tls_words_facts *f)
{
    const char *text = ERR_reason_error_string(f->code);

    if (f->is_client && ERR_GET_REASON(f->code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        say_verification(b, f->ssl);
        return;
    }
    switch (ERR_GET_REASON(f->code)) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
        say_version(b, f->ssl);
        return;
    case SSL_R_NO_SHARED_CIPHER:
        say_ciphers(b, f->ssl);
        return;
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        buf_printf(b, "client cannot verify signatures of any certificate we have");
        return;
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
        buf_printf(b, "client and server have no key exchange group in common");
        return;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        buf_printf(b, "client spoke HTTP where TLS begins");
        return;
    case SSL_R_WRONG_VERSION_NUMBER:
        buf_printf(b, f->in_handshake ? "client sent something that is not TLS, as plain SMTP text is"
                                      : "client sent something that is not TLS");
        return;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        buf_printf(b, "client closed the connection");
        return;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        buf_printf(b, "damaged data came from the client");
        return;
    default:
        buf_printf(b, "TLS failed: %s", text ? text : "unknown error");
    }
}

/* Where in the handshake the client left: it says what it did not like. */
static void say_closed(struct buf *b, const struct tls_words_facts *f)
{
    const char *how = f->sys_errno ? strerror(f->sys_errno) : NULL;

    buf_printf(b, "client %s", how ? "broke the connection" : "closed the connection");
    if (f->in_handshake && SSL_get_state(f->ssl) == TLS_ST_BEFORE)
        buf_printf(b, " before it began TLS");
    else if (f->in_handshake && SSL_get_current_cipher(f->ssl) == NULL && SSL_get_pending_cipher(f->ssl) == NULL)
        buf_printf(b, " during the handshake");
    else if (f->in_handshake)
        buf_printf(b, " after it had our certificate, without a word");
    if (how)
        buf_printf(b, ": %s", how);
}

static void say_parameters(struct buf *b, SSL *ssl)
{
    const SSL_CIPHER *c = SSL_get_current_cipher(ssl);

    if (!c)
        c = SSL_get_pending_cipher(ssl);
    if (c)
        buf_printf(b, " (%s, %s)", SSL_get_version(ssl), SSL_CIPHER_get_name(c));
}

char *tls_words(const struct tls_words_facts *f)
{
    int reason = ERR_GET_REASON(f->code);
    struct buf b = {0};
    char *out;

    if (f->code && ERR_GET_LIB(f->code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
        reason <= SSL_AD_REASON_OFFSET + 255)
        say_alert(&b, reason - SSL_AD_REASON_OFFSET);
    else if (f->code)
        say_reason(&b, f);
    else if (f->closed || f->sys_errno)
        say_closed(&b, f);
    else
        buf_printf(&b, "TLS failed without a reason");
    say_parameters(&b, f->ssl);
    out = mem_str(buf_str(&b));
    if (f->is_client && strncmp(out, "client", 6) == 0)
        memcpy(out, "server", 6);
    buf_clear(&b);
    return out;
}
