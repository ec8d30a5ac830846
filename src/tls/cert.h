/* A judged certificate, as the files of this room see it. */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/cert_store.h"

struct cert {
    struct tls_cert_facts facts;
    char *title, *details;
    struct cert_bytes raw;
    X509 *leaf;
    STACK_OF(X509) *chain; /* what follows the leaf in the file */
    EVP_PKEY *key;
    char *subject, *names;
    char key_type[40], fingerprint[65];
};

/* cert_proof.c: real handshakes in memory, one per TLS version. *ok: bit 0 for 1.2, bit 1 for 1.3. */
void cert_prove(const struct cert *c, unsigned *ok, char *why, size_t cap);

/* tls_context.c: a server context with our parameters and no certificate; NULL and e. */
SSL_CTX *tls_context_new(struct err *e);
int tls_context_add(SSL_CTX *ctx, const struct cert *c);
/* The newest error of OpenSSL's queue, in words; empties the queue. */
void tls_error_text(char *out, size_t cap);

#endif
