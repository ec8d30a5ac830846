#include "bench/bench_tls_own.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <string.h>

#define NEWS_MOST 16u /* of each kind: what a sender repeats makes no transcript longer */
#define NO_RENEGOTIATION 100
#define TEXT 256

static const struct {
    int number;
    const char *name;
} alerts[] = {
    /* RFC 8446 6, RFC 5246 7.2 */
    {0, "close-notify"},
    {10, "unexpected-message"},
    {20, "bad-record-mac"},
    {21, "decryption-failed"},
    {22, "record-overflow"},
    {30, "decompression-failure"},
    {40, "handshake-failure"},
    {41, "no-certificate"},
    {42, "bad-certificate"},
    {43, "unsupported-certificate"},
    {44, "certificate-revoked"},
    {45, "certificate-expired"},
    {46, "certificate-unknown"},
    {47, "illegal-parameter"},
    {48, "unknown-ca"},
    {49, "access-denied"},
    {50, "decode-error"},
    {51, "decrypt-error"},
    {60, "export-restriction"},
    {70, "protocol-version"},
    {71, "insufficient-security"},
    {80, "internal-error"},
    {86, "inappropriate-fallback"},
    {90, "user-canceled"},
    {100, "no-renegotiation"},
    {109, "missing-extension"},
    {110, "unsupported-extension"},
    {111, "certificate-unobtainable"},
    {112, "unrecognized-name"},
    {113, "bad-certificate-status-response"},
    {114, "bad-certificate-hash-value"},
    {115, "unknown-psk-identity"},
    {116, "certificate-required"},
    {120, "no-application-protocol"},
};

static json_t *alert_json(int number)
{
    if (number < 0)
        return json_null();
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].number == number)
            return json_string(alerts[i].name);
    return json_sprintf("%d", number);
}

/* ---- what goes by */

static void saw_handshake(struct bench_tls_conn *x, bool ours, int type)
{
    if (ours && type == SSL3_MT_SERVER_HELLO && x->phase == BENCH_TLS_HELLO)
        x->phase = BENCH_TLS_HANDSHAKE;
    if (!ours && type == SSL3_MT_KEY_UPDATE)
        x->seen[BENCH_TLS_KEYUPDATE]++;
    if (!ours && type == SSL3_MT_FINISHED && x->phase == BENCH_TLS_DATA)
        x->seen[BENCH_TLS_RENEGOTIATED]++;
}

static void on_message(int ours, int version, int kind, const void *p, size_t n, SSL *ssl, void *arg)
{
    struct bench_tls_conn *x = SSL_get_app_data(ssl);
    const unsigned char *b = p;

    (void)version;
    (void)arg;
    if (!x)
        return;
    if (kind == SSL3_RT_HANDSHAKE && n)
        saw_handshake(x, ours != 0, b[0]);
    if (kind != SSL3_RT_ALERT || n < 2)
        return;
    *(ours ? &x->alert_out : &x->alert_in) = b[1];
    if (!ours && b[1] == NO_RENEGOTIATION)
        x->seen[BENCH_TLS_REFUSED]++;
}

void bench_tls_watch(struct bench_tls_ctx *c)
{
    SSL_CTX_set_msg_callback(c->ctx, on_message);
}

const char *bench_tls_news(struct bench_tls_conn *x)
{
    static const char *const words[BENCH_TLS_NEWS] = {"keyupdate", "renegotiated", "renegotiation-refused"};

    for (unsigned i = 0; i < BENCH_TLS_NEWS; i++)
        if (x->told[i] < x->seen[i] && x->told[i] < NEWS_MOST) {
            x->told[i]++;
            return words[i];
        }
    return NULL;
}

/* ---- in JSON */

/* Peers' text goes to people's terminals. */
static const char *clean(char dst[TEXT], const char *s)
{
    size_t n = 0;

    for (; s && *s && n + 1 < TEXT; s++)
        dst[n++] = *s >= 0x20 && *s <= 0x7e ? *s : '?';
    dst[n] = '\0';
    return dst;
}

static json_t *text_json(const char *s)
{
    char text[TEXT];

    return json_string(clean(text, s));
}

const char *bench_tls_version(const struct bench_tls_conn *x)
{
    return SSL_get_version(x->ssl);
}

const char *bench_tls_cipher(const struct bench_tls_conn *x)
{
    return SSL_get_cipher_name(x->ssl);
}

const char *bench_tls_sni(struct bench_tls_conn *x)
{
    return clean(x->sni, SSL_get_servername(x->ssl, TLSEXT_NAMETYPE_host_name));
}

/* "X25519", "prime256v1"; "": none (resumed, or RSA's own key exchange). */
static json_t *group_json(const struct bench_tls_conn *x)
{
    int nid = (int)SSL_get_negotiated_group(x->ssl);
    const char *name = nid != NID_undef ? SSL_group_to_name(x->ssl, nid) : NULL;

    return json_string(name ? name : "");
}

/* What the server signed with: "ecdsa-sha256", "rsa-pss-sha256", "ed25519"; "": nothing was. */
static json_t *signature_json(const struct bench_tls_conn *x)
{
    int kind = NID_undef, digest = NID_undef;
    const char *name;

    if (SSL_session_reused(x->ssl) || !SSL_get_signature_type_nid(x->ssl, &kind) || kind == NID_undef)
        return json_string("");
    name = kind == EVP_PKEY_RSA       ? "rsa-pkcs1"
           : kind == EVP_PKEY_RSA_PSS ? "rsa-pss"
           : kind == EVP_PKEY_EC      ? "ecdsa"
           : kind == NID_ED25519      ? "ed25519"
           : kind == NID_ED448        ? "ed448"
                                      : OBJ_nid2sn(kind);
    if (!SSL_get_signature_nid(x->ssl, &digest) || digest == NID_undef)
        return json_string(name);
    return json_sprintf("%s-%s", name,
                        digest == NID_sha1       ? "sha1"
                        : digest == NID_sha256   ? "sha256"
                        : digest == NID_sha384   ? "sha384"
                        : digest == NID_sha512   ? "sha512"
                        : digest == NID_md5_sha1 ? "md5-sha1"
                                                 : OBJ_nid2sn(digest));
}

static json_t *name_json(const X509_NAME *name)
{
    BIO *b = BIO_new(BIO_s_mem());
    char text[TEXT] = "";
    int n = 0;

    if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0)
        n = BIO_read(b, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    BIO_free(b);
    return text_json(text);
}

static json_t *client_json(const struct bench_tls_conn *x)
{
    X509 *c = SSL_get0_peer_certificate(x->ssl);
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n = 0;

    if (!c)
        return json_null();
    if (X509_digest(c, EVP_sha256(), digest, &n) != 1)
        n = 0;
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return json_pack("{s:o,s:o,s:s}", "subject", name_json(X509_get_subject_name(c)), "issuer",
                     name_json(X509_get_issuer_name(c)), "sha256", hex);
}

json_t *bench_tls_done_json(struct bench_tls_conn *x, double hs_ms)
{
    json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:b,s:s,s:o,s:o,s:f}", "version", bench_tls_version(x), "cipher",
                          bench_tls_cipher(x), "group", group_json(x), "sigalg", signature_json(x), "resumed",
                          bench_tls_resumed(x), "sni", bench_tls_sni(x), "cert_name", text_json(x->shown->name),
                          "client_cert", client_json(x), "hs_ms", hs_ms);

    if (o && x->shown->known)
        json_object_set_new(o, "cert_valid", json_boolean(x->shown->valid));
    ERR_clear_error();
    return o;
}

json_t *bench_tls_fail_json(struct bench_tls_conn *x)
{
    static const char *const phases[] = {"client-hello", "handshake", "data"};
    json_int_t bytes = (json_int_t)x->first_len;

    if (!x->from_memory)
        bytes += (json_int_t)BIO_number_read(SSL_get_rbio(x->ssl));

    return json_pack("{s:s,s:o,s:o,s:s,s:I,s:s}", "phase", phases[x->phase], "alert_in", alert_json(x->alert_in),
                     "alert_out", alert_json(x->alert_out), "openssl", x->error, "bytes", bytes, "sni",
                     bench_tls_sni(x));
}

json_t *bench_tls_end_json(const struct bench_tls_conn *x)
{
    return json_pack("{s:b}", "close_notify", (SSL_get_shutdown(x->ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
}

bool bench_tls_resumed(const struct bench_tls_conn *x)
{
    return SSL_session_reused(x->ssl) == 1;
}

bool bench_tls_has_failed(const struct bench_tls_conn *x)
{
    return *x->error && strcmp(x->error, "the connection ended") != 0;
}
