/* Bytes to X509 and EVP_PKEY, and what people read of them. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "tls/cert.h"

/* The default callback would ask for a passphrase on the terminal. */
static int no_passphrase(char *room, int size, int rw, void *asked)
{
    (void)room;
    (void)size;
    (void)rw;
    *(bool *)asked = true;
    return -1;
}

static bool holds(const char *p, size_t n, const char *word)
{
    return memmem(p, n, word, strlen(word)) != NULL;
}

/* The usual mistakes in words; NULL: none of them. */
static const char *mistake(const char *p, size_t n, bool is_key)
{
    if (n == 0)
        return "it is empty";
    if (p[0] == 0x30) /* ASN.1 SEQUENCE */
        return "it looks like DER or PKCS#12, which openssl x509, pkey or pkcs12 turn into PEM";
    if (is_key && holds(p, n, "BEGIN CERTIFICATE") && !holds(p, n, "PRIVATE KEY"))
        return "it holds a certificate, perhaps chain and key are exchanged";
    if (!is_key && holds(p, n, "PRIVATE KEY") && !holds(p, n, "BEGIN CERTIFICATE"))
        return "it holds a private key, perhaps chain and key are exchanged";
    if (!holds(p, n, "-----BEGIN "))
        return "no line of it says -----BEGIN";
    return NULL;
}

static void not_pem(struct cert *c, bool is_key)
{
    const struct cert_bytes *raw = &c->raw;
    const char *m = is_key ? mistake(raw->key, raw->key_len, true) : mistake(raw->chain, raw->chain_len, false);
    char why[200];

    tls_error_text(why, sizeof why);
    cert_fault(c, TLS_UNPARSABLE, "the %s in PEM form: %s",
               is_key ? "key file holds no private key" : "chain file holds no certificate", m ? m : why);
}

static int parse_chain(struct cert *c)
{
    BIO *b = BIO_new_mem_buf(c->raw.chain, (int)c->raw.chain_len);
    bool asked = false, end;
    char why[200];
    X509 *x;

    if (b)
        c->leaf = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, &asked);
    if (!c->leaf) {
        not_pem(c, false);
        BIO_free(b);
        return -1;
    }
    c->chain = sk_X509_new_null();
    while (c->chain && (x = PEM_read_bio_X509(b, NULL, no_passphrase, &asked)))
        if (sk_X509_push(c->chain, x) <= 0)
            X509_free(x);
    BIO_free(b);
    /* the end of the file is no error, all else is: a half-written chain must not serve without its second half */
    end = ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM &&
          ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    tls_error_text(why, sizeof why);
    if (end)
        return 0;
    cert_fault(c, TLS_UNPARSABLE, "certificate %d of the chain file is broken: %s",
               c->chain ? sk_X509_num(c->chain) + 2 : 2, why);
    return -1;
}

static int parse_key(struct cert *c)
{
    BIO *b = BIO_new_mem_buf(c->raw.key, (int)c->raw.key_len);
    bool asked = false;

    if (b)
        c->key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked);
    BIO_free(b);
    if (c->key) {
        ERR_clear_error();
        return 0;
    }
    /* PKCS#8's "BEGIN ENCRYPTED PRIVATE KEY" and the older "Proc-Type: 4,ENCRYPTED", also with a cipher that this library
     * does not know and therefore does not ask for */
    if (asked || holds(c->raw.key, c->raw.key_len, "BEGIN ENCRYPTED PRIVATE KEY") ||
        holds(c->raw.key, c->raw.key_len, "4,ENCRYPTED")) {
        ERR_clear_error();
        cert_fault(c, TLS_KEY_ENCRYPTED, "the key is protected by a passphrase, which a daemon cannot type");
    } else {
        not_pem(c, true);
    }
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

/* RFC 6125 6.4.4: the common name counts only where no dNSName is. */
static void add_common_name(struct buf *b, X509 *x)
{
    X509_NAME *subject = X509_get_subject_name(x);
    int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *s = i >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)) : NULL;
    const unsigned char *p = s ? ASN1_STRING_get0_data(s) : NULL;
    int n = s ? ASN1_STRING_length(s) : 0;

    if (p && n > 0 && !memchr(p, ' ', (size_t)n))
        add_name(b, p, n);
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
    if (b.len == 0)
        add_common_name(&b, x);
    GENERAL_NAMES_free(alt);
    out = mem_str(buf_str(&b));
    buf_clear(&b);
    return out;
}

static char *subject_of(X509 *x)
{
    char *line = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0); /* other bytes than printable ones as \xNN */
    char *out = mem_str(line ? line : "");

    OPENSSL_free(line);
    return out;
}

static int describe_leaf(struct cert *c)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    c->subject = subject_of(c->leaf);
    c->names = names_of(c->leaf);
    if (X509_digest(c->leaf, EVP_sha256(), md, &n) != 1)
        n = 0;
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(c->fingerprint + (size_t)2 * i, 3, "%02x", md[i]);
    c->facts.not_before = seconds_of(X509_get0_notBefore(c->leaf));
    c->facts.not_after = seconds_of(X509_get0_notAfter(c->leaf));
    ERR_clear_error();
    if (c->facts.not_before && c->facts.not_after)
        return 0;
    cert_fault(c, TLS_UNPARSABLE, "the dates of the first certificate of the chain file cannot be read");
    return -1;
}

static const struct {
    const char *group, *name;
    enum cert_kind kind;
} curves[] = {
    {"prime256v1", "P-256", CERT_KIND_P256},
    {"secp384r1", "P-384", CERT_KIND_P384},
    {"secp521r1", "P-521", CERT_KIND_P521},
};

static void describe_curve(struct cert *c)
{
    char group[64] = "of its own parameters";

    EVP_PKEY_get_group_name(c->key, group, sizeof group, NULL);
    ERR_clear_error();
    snprintf(c->key_type, sizeof c->key_type, "ECDSA %.24s", group);
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (strcmp(group, curves[i].group) == 0) {
            snprintf(c->key_type, sizeof c->key_type, "ECDSA %s", curves[i].name);
            c->kind = curves[i].kind;
        }
}

static void describe_key(struct cert *c)
{
    int id = EVP_PKEY_get_base_id(c->key);

    switch (id) {
    case EVP_PKEY_EC:
        describe_curve(c);
        return;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        c->kind = id == EVP_PKEY_RSA ? CERT_KIND_RSA : CERT_KIND_RSA_PSS;
        snprintf(c->key_type, sizeof c->key_type, "%s %d", id == EVP_PKEY_RSA ? "RSA" : "RSA-PSS",
                 EVP_PKEY_get_bits(c->key));
        return;
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        c->kind = id == EVP_PKEY_ED25519 ? CERT_KIND_ED25519 : CERT_KIND_ED448;
        snprintf(c->key_type, sizeof c->key_type, "%s", id == EVP_PKEY_ED25519 ? "Ed25519" : "Ed448");
        return;
    default:
        snprintf(c->key_type, sizeof c->key_type, "%.24s %d", OBJ_nid2sn(id), EVP_PKEY_get_bits(c->key));
    }
}

int cert_parse(struct cert *c)
{
    if (parse_chain(c) < 0 || describe_leaf(c) < 0 || parse_key(c) < 0)
        return -1;
    describe_key(c);
    return 0;
}
