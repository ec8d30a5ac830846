/* A judged certificate, as the files of this room see it. Private to src/tls. */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/cert_store.h"

/* What a client must be able to verify, to use a key. The better the higher: of two certificates with the same name the
 * later kind is shown, if the client can use it. */
enum cert_kind {
    CERT_KIND_OTHER, /* no TLS version has a signature for it */
    CERT_KIND_ED448,
    CERT_KIND_ED25519,
    CERT_KIND_P521,
    CERT_KIND_RSA_PSS,
    CERT_KIND_RSA,
    CERT_KIND_P384,
    CERT_KIND_P256, /* signs some twenty times faster than RSA 2048 */
    CERT_KIND_COUNT
};

struct cert {
    struct tls_cert_facts facts;
    char *title, *details;
    struct cert_bytes raw;
    X509 *leaf;
    STACK_OF(X509) * chain; /* what follows the leaf in the file */
    EVP_PKEY *key;
    enum cert_kind kind;
    char *subject, *names;
    char key_type[40], fingerprint[65];
};

/* The verdict: reason, and a sentence for ->details. Replaces an earlier one. */
void cert_fault(struct cert *c, enum tls_reason r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* cert_parse.c: bytes to X509 and key, and what people read of them. -1: the fault is set. */
int cert_parse(struct cert *c);
/* cert_warn.c: chain as served, name, trust, kind of key: warnings only. */
void cert_warn(struct cert *c, const struct cert_source *src, const char *hostname);
/* cert_proof.c: real handshakes in memory, one per TLS version. *ok: bit 0 for 1.2, bit 1 for 1.3; why: what went wrong
 * in those that failed. */
void cert_prove(const struct cert *c, unsigned *ok, char *why, size_t cap);

/* tls_context.c: a server context with our parameters and no certificate; NULL and e. */
SSL_CTX *tls_context_new(struct err *e);
int tls_context_add(SSL_CTX *ctx, const struct cert *c);
/* The first error of OpenSSL's queue, which is the cause of those behind it, in words; empties the queue. */
void tls_error_text(char *out, size_t cap);

#endif
