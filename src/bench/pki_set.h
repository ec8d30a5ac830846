/* The certificates themselves, before they are files (pki.h) or a server's (bench_tls.h): the bench's CAs, what they sign,
 * and what they say about it later (OCSP, CRLs). Nothing here touches a file. */
#ifndef BENCH_PKI_SET_H
#define BENCH_PKI_SET_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/err.h"

#define PKI_HOST 256

enum pki_ca {
    PKI_ROOT,
    PKI_OTHER,       /* a root that nobody trusts */
    PKI_CONSTRAINED, /* may sign for example.invalid only */
    PKI_LINK,        /* intermediates: this one signed by the root, each next one by the one before */
    PKI_LAST_LINK = PKI_LINK + 3,
    PKI_CAS
};

struct pki_pair {
    X509 *cert;
    EVP_PKEY *key;
};

struct pki_set {
    char host[PKI_HOST];
    struct pki_pair ca[PKI_CAS];
};

const char *pki_ca_name(enum pki_ca ca); /* "ca", "ca-untrusted", "ca-intermediate-1" */
int pki_make_cas(struct pki_set *s, struct err *e);
void pki_set_clear(struct pki_set *s);
void pki_pair_clear(struct pki_pair *p);

/* row: an index of bench_pki_table(). */
int pki_make_leaf(const struct pki_set *s, size_t row, struct pki_pair *out, struct err *e);
/* It is what pki_make_leaf() would make, and is right or wrong in that way for another day. */
bool pki_leaf_fits(const struct pki_set *s, size_t row, const struct pki_pair *leaf);
/* What is sent behind the leaf; the caller's. */
STACK_OF(X509) * pki_chain(const struct pki_set *s, size_t row);

/* What the issuer says of a certificate: "good", "revoked", or "expired": it was good until yesterday, and nobody knows now.
 * *der is freed with OPENSSL_free(). */
int pki_ocsp(const struct pki_pair *issuer, X509 *cert, const char *status, unsigned char **der, int *len,
             struct err *e);
/* revoked NULL: nothing is. */
X509_CRL *pki_crl(const struct pki_pair *issuer, const X509 *revoked, struct err *e);

int pki_fail(struct err *e, const char *what); /* what: and OpenSSL's words. Always -1 */

#endif
