/* The verdict on one pair, in this order: readable, parses, key matches, purpose, strength, then the proof; dates are
 * left to the moment of use; chain, name and trust only warn. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "tls/cert.h"

#define BITS_LEAST 112 /* NIST SP 800-57: below is too weak since 2014 */

static void fault(struct cert *c, enum tls_reason r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fault(struct cert *c, enum tls_reason r, const char *fmt, ...)
{
    char text[700];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    free(c->details);
    c->details = mem_str(text);
    c->facts.fault = r;
    c->facts.details = c->details;
}

/* The default callback would ask for a passphrase on the terminal. */
static int no_passphrase(char *room, int size, int rw, void *asked)
{
    (void)room;
    (void)size;
    (void)rw;
    *(bool *)asked = true;
    return -1;
}

static int parse_chain(struct cert *c)
{
    BIO *b = BIO_new_mem_buf(c->raw.chain, (int)c->raw.chain_len);
    bool asked = false;
    char why[200];
    X509 *x;

    c->leaf = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, &asked);
    if (!c->leaf) {
        tls_error_text(why, sizeof why);
        fault(c, TLS_UNPARSABLE, "the chain file holds no certificate in PEM form: %s",
              c->raw.chain_len == 0 ? "it is empty" : why);
        BIO_free(b);
        return -1;
    }
    c->chain = sk_X509_new_null();
    while ((x = PEM_read_bio_X509(b, NULL, no_passphrase, &asked)))
        sk_X509_push(c->chain, x);
    BIO_free(b);
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) { /* the end of the file is no error, all else is */
        tls_error_text(why, sizeof why);
        fault(c, TLS_UNPARSABLE, "certificate %d of the chain file is broken: %s", sk_X509_num(c->chain) + 2, why);
        return -1;
    }
    ERR_clear_error();
    return 0;
}

static int parse_key(struct cert *c)
{
    BIO *b = BIO_new_mem_buf(c->raw.key, (int)c->raw.key_len);
    bool asked = false;
    char why[200];

    c->key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked);
    BIO_free(b);
    if (c->key) {
        ERR_clear_error();
        return 0;
    }
    tls_error_text(why, sizeof why);
    if (asked)
        fault(c, TLS_KEY_ENCRYPTED, "the key is protected by a passphrase, which a daemon cannot type");
    else
        fault(c, TLS_UNPARSABLE, "the key file holds no private key in PEM form: %s", c->raw.key_len == 0 ? "it is empty" : why);
    return -1;
}

/* ---- what people read */

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;

    return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void add_name(struct buf *b, const unsigned char *p, int n)
{
    char text[300];

    text_escape(text, sizeof text, (struct peer_text){(const char *)p, (size_t)n});
    buf_printf(b, "%s%s", b->len ? ", " : "", text);
}

static char *names_of(X509 *x)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    struct buf b = {0};
    char *out;

    for (int i = 0; alt && i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);

        if (g->type == GEN_DNS)
            add_name(&b, ASN1_STRING_get0_data(g->d.dNSName), ASN1_STRING_length(g->d.dNSName));
    }
    GENERAL_NAMES_free(alt);
    out = mem_str(buf_str(&b));
    buf_clear(&b);
    return out;
}

static void describe_key(struct cert *c)
{
    char group[64] = "";
    int id = EVP_PKEY_get_base_id(c->key);

    if (id == EVP_PKEY_EC) {
        EVP_PKEY_get_group_name(c->key, group, sizeof group, NULL);
        snprintf(c->key_type, sizeof c->key_type, "ECDSA %.24s",
                 strcmp(group, "prime256v1") == 0  ? "P-256"
                 : strcmp(group, "secp384r1") == 0 ? "P-384"
                 : strcmp(group, "secp521r1") == 0 ? "P-521"
                                                   : group);
    } else {
        snprintf(c->key_type, sizeof c->key_type, "%.24s %d", id == EVP_PKEY_RSA ? "RSA" : OBJ_nid2sn(id),
                 EVP_PKEY_get_bits(c->key));
    }
}

static void describe(struct cert *c)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    char subject[300];
    unsigned n = 0;

    X509_NAME_oneline(X509_get_subject_name(c->leaf), subject, sizeof subject);
    c->subject = mem_str(subject);
    c->names = names_of(c->leaf);
    X509_digest(c->leaf, EVP_sha256(), md, &n);
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(c->fingerprint + (size_t)2 * i, 3, "%02x", md[i]);
    c->facts.not_before = seconds_of(X509_get0_notBefore(c->leaf));
    c->facts.not_after = seconds_of(X509_get0_notAfter(c->leaf));
}

/* ---- checks that refuse */

static int check_strength(struct cert *c)
{
    int bits = EVP_PKEY_get_security_bits(c->key), md_bits = BITS_LEAST;
    int md = NID_undef;

    if (bits < BITS_LEAST) {
        fault(c, TLS_TOO_WEAK, "the key (%s) has %d bits of security; %d are the least", c->key_type, bits, BITS_LEAST);
        return -1;
    }
    if (X509_get_signature_info(c->leaf, &md, NULL, &md_bits, NULL) == 1 && md_bits >= 0 && md_bits < BITS_LEAST) {
        fault(c, TLS_TOO_WEAK, "the certificate is signed with %s, which can be forged",
              md == NID_undef ? "a weak digest" : OBJ_nid2sn(md));
        return -1;
    }
    return 0;
}

static int check_pair(struct cert *c)
{
    if (X509_check_private_key(c->leaf, c->key) != 1) {
        ERR_clear_error();
        fault(c, TLS_KEY_MISMATCH, "the key does not belong to the first certificate of the chain (%s)",
              *c->names ? c->names : c->subject);
        return -1;
    }
    if (X509_check_purpose(c->leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        ERR_clear_error();
        fault(c, TLS_NOT_FOR_SERVERS, "its extensions do not allow TLS servers (extended key usage without serverAuth, or key usage)");
        return -1;
    }
    return check_strength(c);
}

/* ---- what only warns */

static void warn_trust(struct cert *c)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool self = X509_self_signed(c->leaf, 0) == 1;

    if (self)
        c->facts.warnings |= TLS_WARN_SELF_SIGNED;
    if (store && ctx && X509_STORE_set_default_paths(store) == 1 && X509_STORE_CTX_init(ctx, store, c->leaf, c->chain) == 1) {
        X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);

        X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_NO_CHECK_TIME); /* dates are judged separately */
        if (X509_verify_cert(ctx) != 1) {
            int why = X509_STORE_CTX_get_error(ctx);

            if (!self)
                c->facts.warnings |= TLS_WARN_UNTRUSTED;
            if (!self && sk_X509_num(c->chain) == 0 &&
                (why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE))
                c->facts.warnings |= TLS_WARN_INTERMEDIATE_MISSING;
        }
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
}

static void warn(struct cert *c, const struct cert_source *src, const char *hostname)
{
    int id = EVP_PKEY_get_base_id(c->key);

    warn_trust(c);
    if (hostname && X509_check_host(c->leaf, hostname, 0, 0, NULL) != 1)
        c->facts.warnings |= TLS_WARN_HOSTNAME_MISMATCH;
    if (src->key_readable_by_others)
        c->facts.warnings |= TLS_WARN_KEY_READABLE;
    if (id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 || strcmp(c->key_type, "ECDSA P-521") == 0)
        c->facts.warnings |= TLS_WARN_RARE_KEY;
}

static void prove(struct cert *c)
{
    char why[256];
    unsigned ok;

    cert_prove(c, &ok, why, sizeof why);
    if (ok == 0)
        fault(c, TLS_HANDSHAKE_FAILED, "no handshake with this certificate succeeds: %s", why);
    else if (ok != 3)
        c->facts.warnings |= TLS_WARN_VERSION_FAILS;
}

struct cert *cert_judge(const char *title, const struct cert_source *src, const char *hostname, int64_t now)
{
    struct cert *c = mem_alloc(sizeof *c);

    (void)now;
    c->title = mem_str(title);
    c->facts.title = c->title;
    c->facts.details = "";
    c->raw.chain_len = src->bytes.chain_len;
    c->raw.key_len = src->bytes.key_len;
    c->raw.chain = src->bytes.chain ? mem_strn(src->bytes.chain, src->bytes.chain_len) : NULL;
    c->raw.key = src->bytes.key ? mem_strn(src->bytes.key, src->bytes.key_len) : NULL;
    ERR_clear_error();
    if (src->fault != TLS_OK || !c->raw.chain || !c->raw.key) {
        fault(c, TLS_UNREADABLE, "%s", src->details);
        return c;
    }
    if (parse_chain(c) < 0)
        return c;
    describe(c);
    if (parse_key(c) < 0)
        return c;
    describe_key(c);
    if (check_pair(c) < 0)
        return c;
    prove(c);
    if (c->facts.fault == TLS_OK)
        warn(c, src, hostname);
    return c;
}

void cert_free(struct cert **cp)
{
    struct cert *c = *cp;

    if (!c)
        return;
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    cert_bytes_free(&c->raw);
    free(c->title);
    free(c->details);
    free(c->subject);
    free(c->names);
    free(c);
    *cp = NULL;
}

const struct tls_cert_facts *cert_facts(const struct cert *c)
{
    return &c->facts;
}

const struct cert_bytes *cert_raw(const struct cert *c)
{
    return &c->raw;
}

const char *cert_subject(const struct cert *c)
{
    return c->subject ? c->subject : "";
}

const char *cert_names(const struct cert *c)
{
    return c->names ? c->names : "";
}

const char *cert_key_type(const struct cert *c)
{
    return c->key_type;
}

const char *cert_fingerprint(const struct cert *c)
{
    return c->fingerprint;
}
