#include "bench/bench_tls_own.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SESSIONS_KEPT 1024
#define SMALLEST_FRAGMENT 512u /* OpenSSL's own */

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
    int max = version_of(how->max, TLS1_3_VERSION),
        min = version_of(how->min, max < TLS1_2_VERSION ? max : TLS1_2_VERSION);

    if (min < 0 || max < 0)
        return err_set(e, "tls: versions are 1.0, 1.1, 1.2 and 1.3");
    SSL_CTX_set_security_level(ctx, 0);
    if (!SSL_CTX_set_min_proto_version(ctx, min) || !SSL_CTX_set_max_proto_version(ctx, max))
        return pki_fail(e, "this OpenSSL has no such version");
    return 0;
}

/* ---- Diffie-Hellman over the well-known primes (RFC 2409 6, RFC 3526) */

static BIGNUM *prime_of(unsigned bits)
{
    return bits == 768    ? BN_get_rfc2409_prime_768(NULL)
           : bits == 1024 ? BN_get_rfc2409_prime_1024(NULL)
           : bits == 1536 ? BN_get_rfc3526_prime_1536(NULL)
           : bits == 2048 ? BN_get_rfc3526_prime_2048(NULL)
                          : NULL;
}

static EVP_PKEY *group_of(BIGNUM *p)
{
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *x = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    BIGNUM *g = BN_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (b && x && g && BN_set_word(g, 2) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_FFC_P, p) &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_FFC_G, g))
        params = OSSL_PARAM_BLD_to_param(b);
    if (params && EVP_PKEY_fromdata_init(x) == 1)
        (void)EVP_PKEY_fromdata(x, &key, EVP_PKEY_KEY_PARAMETERS, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    EVP_PKEY_CTX_free(x);
    BN_free(g);
    return key;
}

static int set_dh(SSL_CTX *ctx, unsigned bits, struct err *e)
{
    BIGNUM *p = prime_of(bits);
    EVP_PKEY *key = p ? group_of(p) : NULL;

    BN_free(p);
    if (!p)
        return err_set(e, "dh_bits: 768, 1024, 1536 or 2048");
    if (!key || SSL_CTX_set0_tmp_dh_pkey(ctx, key) != 1) {
        EVP_PKEY_free(key);
        return pki_fail(e, "Diffie-Hellman");
    }
    return 0;
}

static int set_choices(SSL_CTX *ctx, const struct bench_tls *how, struct err *e)
{
    if (!SSL_CTX_set_cipher_list(ctx, how->ciphers ? how->ciphers : "DEFAULT:@SECLEVEL=0"))
        return pki_fail(e, "ciphers");
    if (how->groups && !SSL_CTX_set1_groups_list(ctx, how->groups))
        return pki_fail(e, "groups");
    if (how->sigalgs && !SSL_CTX_set1_sigalgs_list(ctx, how->sigalgs))
        return pki_fail(e, "sigalgs");
    if (how->dh_bits)
        return set_dh(ctx, how->dh_bits, e);
    SSL_CTX_set_dh_auto(ctx, 1);
    return 0;
}

/* ---- who is shown */

static int set_identities(struct bench_tls_ctx *c, const struct bench_tls *how, const char *dir, struct err *e)
{
    unsigned n = 0;

    while (how->rotate && how->rotate[n])
        n++;
    if (bench_identity_load(&c->own, dir, how->cert ? how->cert : "good-ecdsa", how->ocsp, e) < 0 ||
        (how->sni_cert && bench_identity_load(&c->for_sni, dir, how->sni_cert, how->ocsp, e) < 0))
        return -1;
    c->rotating = mem_alloc((n + 1) * sizeof *c->rotating);
    c->rotate_every = how->rotate_every ? how->rotate_every : 1;
    for (; c->rotate_count < n; c->rotate_count++)
        if (bench_identity_load(&c->rotating[c->rotate_count], dir, how->rotate[c->rotate_count], how->ocsp, e) < 0)
            return -1;
    return 0;
}

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    const struct bench_tls_ctx *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct bench_tls_conn *x = SSL_get_app_data(ssl);

    if (c->need_sni && !name) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (x && name && c->for_sni.pair.cert && X509_check_host(c->for_sni.pair.cert, name, 0, 0, NULL) == 1)
        x->shown = &c->for_sni;
    ERR_clear_error();
    return SSL_TLSEXT_ERR_OK;
}

static int on_certificate(SSL *ssl, void *arg)
{
    const struct bench_tls_conn *x = SSL_get_app_data(ssl);
    const struct bench_identity *i = x ? x->shown : NULL;

    (void)arg;
    return i ? SSL_use_cert_and_key(ssl, i->pair.cert, i->pair.key, i->chain, 1) : 0;
}

static int on_status(SSL *ssl, void *arg)
{
    struct bench_tls_conn *x = SSL_get_app_data(ssl);
    unsigned char *copy;

    (void)arg;
    if (!x || !x->shown->ocsp)
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(x->shown->ocsp, (size_t)x->shown->ocsp_len);
    return copy && SSL_set_tlsext_status_ocsp_resp(ssl, copy, x->shown->ocsp_len) ? SSL_TLSEXT_ERR_OK
                                                                                  : SSL_TLSEXT_ERR_NOACK;
}

static int any_client(int ok, X509_STORE_CTX *x)
{
    (void)ok;
    (void)x;
    return 1;
}

/* ---- resumption */

/* A ticket is sealed with keys that are forgotten at once: whoever brings it back is not known. */
static int throw_away(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac, int seal)
{
    unsigned char key[32];
    OSSL_PARAM params[3];

    (void)ssl;
    if (!seal)
        return 0;
    if (RAND_bytes(name, 16) != 1 || RAND_bytes(iv, 16) != 1 || RAND_bytes(key, sizeof key) != 1)
        return -1;
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof key);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0);
    params[2] = OSSL_PARAM_construct_end();
    return EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv) && EVP_MAC_CTX_set_params(mac, params) ? 1 : -1;
}

static int set_resumption(SSL_CTX *ctx, const struct bench_tls *how, struct err *e)
{
    bool garbage = how->tickets && strcmp(how->tickets, "garbage") == 0;

    if (how->tickets && !garbage)
        return err_set(e, "tickets: garbage, or nothing");
    SSL_CTX_sess_set_cache_size(ctx, SESSIONS_KEPT);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
    if (garbage || how->no_resume || how->rotate)
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (garbage)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, throw_away);
    else if (how->no_resume || how->rotate) {
        SSL_CTX_set_num_tickets(ctx, 0);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    return 0;
}

/* ---- a context */

static void set_callbacks(struct bench_tls_ctx *c, const struct bench_tls *how)
{
    bool must = how->client_cert && strcmp(how->client_cert, "required") == 0;

    SSL_CTX_set_tlsext_servername_callback(c->ctx, on_sni);
    SSL_CTX_set_tlsext_servername_arg(c->ctx, c);
    SSL_CTX_set_cert_cb(c->ctx, on_certificate, c);
    SSL_CTX_set_tlsext_status_cb(c->ctx, on_status);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* a sender of nothing but KeyUpdates, or of what asks to renegotiate, would have the loop for itself: each is a turn */
    SSL_CTX_clear_mode(c->ctx, SSL_MODE_AUTO_RETRY);
    if (how->client_cert)
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), any_client);
    if (how->record)
        SSL_CTX_set_max_send_fragment(c->ctx, how->record > SMALLEST_FRAGMENT ? how->record : SMALLEST_FRAGMENT);
    bench_tls_watch(c);
}

int bench_tls_ctx_new(struct bench_tls_ctx **out, const struct bench_tls *how, const char *dir, struct err *e)
{
    struct bench_tls_ctx *c = mem_alloc(sizeof *c);

    *out = NULL;
    c->need_sni = how->need_sni;
    c->record = how->record;
    c->gap_ms = how->record_ms;
    c->ctx = SSL_CTX_new(TLS_server_method());
    if (!c->ctx || set_versions(c->ctx, how, e) < 0 || set_choices(c->ctx, how, e) < 0 ||
        set_resumption(c->ctx, how, e) < 0 || set_identities(c, how, dir, e) < 0) {
        if (!c->ctx)
            pki_fail(e, "a context");
        bench_tls_ctx_free(&c);
        return -1;
    }
    set_callbacks(c, how);
    *out = c;
    return 0;
}

void bench_tls_ctx_free(struct bench_tls_ctx **cp)
{
    struct bench_tls_ctx *c = *cp;

    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    bench_identity_clear(&c->own);
    bench_identity_clear(&c->for_sni);
    for (unsigned i = 0; i < c->rotate_count; i++)
        bench_identity_clear(&c->rotating[i]);
    free(c->rotating);
    free(c);
    *cp = NULL;
}
