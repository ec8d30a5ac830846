#include "bench/pki_set.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/text.h"
#include "bench/pki.h"

#define DAY (24L * 3600)
#define MANY_NAMES 1000u
#define ITSELF PKI_CAS

enum key_kind { ECDSA, RSA2048, RSA1024, ED25519 };
enum order { WHOLE, LEAF_ONLY, REVERSED };

struct row {
    enum key_kind key;
    enum pki_ca signer; /* or ITSELF */
    enum order order;
    const char *names; /* subjectAltName, %s is the host, %p its parent; NULL: none */
    long from_days, to_days;
    const char *eku;
    bool sha1, many, must_staple;
};

static const struct bench_cert table[] = {
    {"good-ecdsa", "ECDSA P-256", X509_V_OK},
    {"good-rsa", "RSA 2048", X509_V_OK},
    {"good-ed25519", "Ed25519", X509_V_OK},
    {"good-wildcard", "*.test and the host's own parent", X509_V_OK},
    {"good-1000-sans", "a thousand names", X509_V_OK},
    {"good-long-chain", "four intermediates", X509_V_OK},
    {"must-staple", "wants a stapled OCSP response (RFC 7633)", X509_V_OK},
    {"self-signed", "its own issuer", X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
    {"untrusted-root", "of another CA", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"wrong-host", "for another host", X509_V_ERR_HOSTNAME_MISMATCH},
    {"cn-only", "the host in the common name only", X509_V_OK},
    {"expired", "since yesterday", X509_V_ERR_CERT_HAS_EXPIRED},
    {"not-yet-valid", "from next month on", X509_V_ERR_CERT_NOT_YET_VALID},
    {"incomplete-chain", "without its intermediate", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"reversed-chain", "intermediates in the wrong order", X509_V_OK},
    {"revoked", "in ca.crl, and by OCSP", X509_V_OK},
    {"sha1", "signed with SHA-1", X509_V_OK},
    {"rsa1024", "RSA 1024", X509_V_OK},
    {"eku-client", "for clients only", X509_V_ERR_INVALID_PURPOSE},
    {"name-constraint", "of a CA that may not sign such names", X509_V_ERR_PERMITTED_VIOLATION},
    {"wildcard-too-deep", "a wildcard for another level", X509_V_ERR_HOSTNAME_MISMATCH},
    {NULL, NULL, 0},
};

#define SERVER "serverAuth"
#define OWN "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1"
#define USUAL .names = OWN, .from_days = -1, .to_days = 365, .eku = SERVER
static const struct row rows[] = {
    {ECDSA, PKI_LINK, WHOLE, USUAL},
    {RSA2048, PKI_LINK, WHOLE, USUAL},
    {ED25519, PKI_LINK, WHOLE, USUAL},
    {ECDSA, PKI_LINK, WHOLE, "DNS:*.%p,DNS:%s,DNS:*.test", -1, 365, SERVER, false, false, false},
    {ECDSA, PKI_LINK, WHOLE, USUAL, .many = true},
    {ECDSA, PKI_LAST_LINK, WHOLE, USUAL},
    {ECDSA, PKI_LINK, WHOLE, USUAL, .must_staple = true},
    {ECDSA, ITSELF, LEAF_ONLY, USUAL},
    {ECDSA, PKI_OTHER, LEAF_ONLY, USUAL},
    {ECDSA, PKI_LINK, WHOLE, "DNS:other.invalid", -1, 365, SERVER, false, false, false},
    {ECDSA, PKI_LINK, WHOLE, NULL, -1, 365, SERVER, false, false, false},
    {ECDSA, PKI_LINK, WHOLE, OWN, -30, -1, SERVER, false, false, false},
    {ECDSA, PKI_LINK, WHOLE, OWN, 30, 395, SERVER, false, false, false},
    {ECDSA, PKI_LINK, LEAF_ONLY, USUAL},
    {ECDSA, PKI_LAST_LINK, REVERSED, USUAL},
    {ECDSA, PKI_LINK, WHOLE, USUAL},
    {RSA2048, PKI_LINK, WHOLE, USUAL, .sha1 = true},
    {RSA1024, PKI_LINK, WHOLE, USUAL},
    {ECDSA, PKI_LINK, WHOLE, OWN, -1, 365, "clientAuth", false, false, false},
    {ECDSA, PKI_CONSTRAINED, WHOLE, USUAL},
    {ECDSA, PKI_LINK, WHOLE, "DNS:*.sub.%s", -1, 365, SERVER, false, false, false},
};
_Static_assert(sizeof rows / sizeof *rows + 1 == sizeof table / sizeof *table, "a row for each certificate");

static const char *const ca_names[PKI_CAS] = {"ca",
                                              "ca-untrusted",
                                              "ca-constrained",
                                              "ca-intermediate-1",
                                              "ca-intermediate-2",
                                              "ca-intermediate-3",
                                              "ca-intermediate-4"};

const struct bench_cert *bench_pki_table(void)
{
    return table;
}

const char *pki_ca_name(enum pki_ca ca)
{
    return ca_names[ca];
}

int pki_fail(struct err *e, const char *what)
{
    char text[160];

    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(e, "%s: %s", what, text);
}

void pki_pair_clear(struct pki_pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct pki_pair){0};
}

void pki_set_clear(struct pki_set *s)
{
    for (unsigned i = 0; i < PKI_CAS; i++)
        pki_pair_clear(&s->ca[i]);
}

/* ---- making */

static EVP_PKEY *new_key(enum key_kind kind)
{
    switch (kind) {
    case RSA2048:
        return EVP_RSA_gen(2048);
    case RSA1024:
        return EVP_RSA_gen(1024);
    case ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    default:
        return EVP_EC_gen("P-256");
    }
}

/* %s is the host, %p its parent. */
static char *fill_names(const char *names, const char *host)
{
    const char *dot = strchr(host, '.');
    struct buf b = {0};
    char *text;

    for (const char *p = names; *p; p++) {
        if (p[0] == '%' && (p[1] == 's' || p[1] == 'p')) {
            const char *word = p[1] == 's' ? host : dot ? dot + 1 : host;

            buf_append(&b, word, strlen(word));
            p++;
        } else {
            buf_append(&b, p, 1);
        }
    }
    text = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return text;
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *x;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    x = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    ok = x && X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
    return ok;
}

/* RFC 5280 4.2.1.1: every certificate but a root says which key signed it; verifiers that are strict ask for it. */
static bool add_key_ids(X509 *cert, const struct pki_pair *signer)
{
    return extend(cert, cert, NID_subject_key_identifier, "hash") &&
           (!signer || extend(cert, signer->cert, NID_authority_key_identifier, "keyid:always"));
}

/* signer NULL: itself. */
static X509 *new_cert(const char *name, EVP_PKEY *key, const struct pki_pair *signer, long from, long to)
{
    X509 *c = X509_new();
    X509_NAME *subject = c ? X509_get_subject_name(c) : NULL;
    unsigned char serial[8] = {0};
    BIGNUM *n = NULL;
    bool ok = c && RAND_bytes(serial, sizeof serial) == 1;

    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and never zero */
    n = ok ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
    ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c)) && X509_set_version(c, X509_VERSION_3) &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) &&
         X509_set_issuer_name(c, signer ? X509_get_subject_name(signer->cert) : subject) &&
         X509_gmtime_adj(X509_getm_notBefore(c), from * DAY) && X509_gmtime_adj(X509_getm_notAfter(c), to * DAY) &&
         X509_set_pubkey(c, key);
    BN_free(n);
    if (!ok) {
        X509_free(c);
        c = NULL;
    }
    return c;
}

static const EVP_MD *digest_of(EVP_PKEY *key, bool sha1)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : sha1 ? EVP_sha1() : EVP_sha256();
}

static int make_ca(struct pki_pair *out, const char *name, const struct pki_pair *signer, const char *constraint,
                   struct err *e)
{
    out->key = new_key(ECDSA);
    out->cert = out->key ? new_cert(name, out->key, signer, -60, 3650) : NULL;
    if (!out->cert || !extend(out->cert, out->cert, NID_basic_constraints, "critical,CA:TRUE") ||
        !extend(out->cert, out->cert, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") ||
        !add_key_ids(out->cert, signer) ||
        (constraint && !extend(out->cert, out->cert, NID_name_constraints, constraint)) ||
        !X509_sign(out->cert, signer ? signer->key : out->key, EVP_sha256()))
        return pki_fail(e, name);
    return 0;
}

int pki_make_cas(struct pki_set *s, struct err *e)
{
    struct pki_pair *ca = s->ca;

    if (make_ca(&ca[PKI_ROOT], "postern-bench CA", NULL, NULL, e) < 0 ||
        make_ca(&ca[PKI_OTHER], "postern-bench, a CA that nobody trusts", NULL, NULL, e) < 0 ||
        make_ca(&ca[PKI_CONSTRAINED], "postern-bench, for example.invalid only", &ca[PKI_ROOT],
                "critical,permitted;DNS:example.invalid", e) < 0)
        return -1;
    for (unsigned i = PKI_LINK; i <= PKI_LAST_LINK; i++) {
        char name[64];

        snprintf(name, sizeof name, "postern-bench intermediate %u", i - PKI_LINK + 1);
        if (make_ca(&ca[i], name, i > PKI_LINK ? &ca[i - 1] : &ca[PKI_ROOT], NULL, e) < 0)
            return -1;
    }
    return 0;
}

static bool add_names(const char *host, const struct row *r, X509 *cert)
{
    char *names = fill_names(r->names, host);
    struct buf b = {0};
    bool ok;

    buf_append(&b, names, strlen(names));
    for (unsigned i = 0; r->many && i < MANY_NAMES; i++)
        buf_printf(&b, ",DNS:n%u.bench.test", i);
    buf_append(&b, "", 1);
    ok = extend(cert, cert, NID_subject_alt_name, buf_data(&b));
    buf_clear(&b);
    free(names);
    return ok;
}

static bool add_all(const char *host, const struct row *r, const struct pki_pair *signer, X509 *cert)
{
    bool rsa = r->key == RSA2048 || r->key == RSA1024;

    return extend(cert, cert, NID_basic_constraints, "critical,CA:FALSE") &&
           extend(cert, cert, NID_key_usage,
                  rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
           extend(cert, cert, NID_ext_key_usage, r->eku) && add_key_ids(cert, signer) &&
           (!r->must_staple || extend(cert, cert, NID_tlsfeature, "status_request")) &&
           (!r->names || add_names(host, r, cert));
}

int pki_make_leaf(const struct pki_set *s, size_t row, struct pki_pair *out, struct err *e)
{
    const struct row *r = &rows[row];
    const struct pki_pair *signer = r->signer == ITSELF ? NULL : &s->ca[r->signer];
    EVP_PKEY *by;

    assert(s->host[0]);
    out->key = new_key(r->key);
    by = signer ? signer->key : out->key;
    out->cert =
        out->key ? new_cert(r->names ? "postern-bench" : s->host, out->key, signer, r->from_days, r->to_days) : NULL;
    if (!out->cert || !add_all(s->host, r, signer, out->cert) || !X509_sign(out->cert, by, digest_of(by, r->sha1))) {
        pki_pair_clear(out);
        return pki_fail(e, table[row].name);
    }
    return 0;
}

bool pki_leaf_fits(const struct pki_set *s, size_t row, const struct pki_pair *leaf)
{
    const struct row *r = &rows[row];
    time_t now = time(NULL), tomorrow = now + DAY;
    bool time_fits = r->to_days < 0     ? X509_cmp_time(X509_get0_notAfter(leaf->cert), &now) < 0
                     : r->from_days > 0 ? X509_cmp_time(X509_get0_notBefore(leaf->cert), &tomorrow) > 0
                                        : X509_cmp_time(X509_get0_notAfter(leaf->cert), &tomorrow) > 0;
    bool ok = time_fits && X509_check_private_key(leaf->cert, leaf->key) == 1 &&
              X509_verify(leaf->cert, r->signer == ITSELF ? leaf->key : s->ca[r->signer].key) == 1;

    ERR_clear_error();
    return ok;
}

STACK_OF(X509) * pki_chain(const struct pki_set *s, size_t row)
{
    const struct row *r = &rows[row];
    STACK_OF(X509) *list = sk_X509_new_null();
    unsigned last = r->signer == PKI_CONSTRAINED ? PKI_CONSTRAINED : PKI_LINK, links = r->signer - last + 1;

    for (unsigned i = 0; list && r->order != LEAF_ONLY && i < links; i++) {
        X509 *c = s->ca[r->order == REVERSED ? last + i : r->signer - i].cert;

        if (X509_up_ref(c))
            sk_X509_push(list, c);
    }
    return list;
}
