/* Certificates of every kind, made at run time. */
#ifndef TESTS_UNIT_TLS_MAKE_H
#define TESTS_UNIT_TLS_MAKE_H

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "tls/cert_store.h"

struct recipe {
    const char *algorithm; /* "EC", "RSA", "ED25519" */
    const char *curve;
    unsigned bits;
    const char *name, *eku;
    long from, to; /* seconds from now */
    const EVP_MD *digest;
    const char *passphrase;
};

static inline EVP_PKEY *make_key(const struct recipe *r)
{
    if (strcmp(r->algorithm, "RSA") == 0)
        return EVP_RSA_gen(r->bits);
    if (strcmp(r->algorithm, "EC") == 0)
        return EVP_EC_gen(r->curve ? r->curve : "P-256");
    return EVP_PKEY_Q_keygen(NULL, NULL, r->algorithm);
}

static inline char *bio_text(BIO *b, size_t *len)
{
    char *p, *copy;
    long n = BIO_get_mem_data(b, &p);

    copy = mem_strn(p, (size_t)n);
    *len = (size_t)n;
    BIO_free(b);
    return copy;
}

static inline void make_ext(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
}

/* A self-signed pair by this recipe; the caller frees with cert_source_free(). */
static inline struct cert_source make_pair(const struct recipe *r)
{
    struct cert_source s = {0};
    EVP_PKEY *key = make_key(r);
    X509 *x = X509_new();
    X509_NAME *n = X509_get_subject_name(x);
    char alt[200];
    BIO *b;

    ck_assert_ptr_nonnull(key);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1 + (long)(time(NULL) % 1000));
    X509_gmtime_adj(X509_getm_notBefore(x), r->from);
    X509_gmtime_adj(X509_getm_notAfter(x), r->to);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)r->name, -1, -1, 0);
    X509_set_issuer_name(x, n);
    X509_set_pubkey(x, key);
    make_ext(x, NID_ext_key_usage, r->eku ? r->eku : "serverAuth");
    snprintf(alt, sizeof alt, "DNS:%s", r->name);
    make_ext(x, NID_subject_alt_name, alt);
    ck_assert(X509_sign(x, key, strcmp(r->algorithm, "ED25519") == 0 ? NULL : r->digest ? r->digest : EVP_sha256()));
    b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, x);
    s.bytes.chain = bio_text(b, &s.bytes.chain_len);
    b = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(b, key, r->passphrase ? EVP_aes_256_cbc() : NULL, r->passphrase,
                                  r->passphrase ? (int)strlen(r->passphrase) : 0, NULL, NULL);
    s.bytes.key = bio_text(b, &s.bytes.key_len);
    EVP_PKEY_free(key);
    X509_free(x);
    return s;
}

static const struct recipe make_good = {.algorithm = "EC", .name = "mx.example.test", .from = -60, .to = 86400L * 90};

#endif
