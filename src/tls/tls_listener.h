/* Which certificate serves whom. Private to src/tls. Immutable once built: the clock is an argument. */
#ifndef TLS_TLS_LISTENER_H
#define TLS_TLS_LISTENER_H

#include "tls/cert.h"

struct tls_entry { /* one usable certificate */
    SSL_CTX *ctx;  /* holds it alone, as in the proof */
    const struct cert *cert;
};

struct tls_listener {
    struct tls_listener_facts facts;
    struct tls_cert_facts *cert_facts;
    struct tls_entry *entries; /* in the order of the configuration */
    unsigned count;
};

#define TLS_ANY_KIND (~0u)

/* The certificate for a name the client asked for (NULL: it asked for none), among the kinds it can verify (bits
 * 1 << cert_kind). By name: exact, then a wildcard for one label, then the first one. Valid ones before others; those
 * not valid at `now` only where the listener serves them. Of several as good, the best kind: RSA and ECDSA may stand side
 * by side. Kinds are a wish: if none fits, one that does not. NULL: there is none at all. */
const struct tls_entry *tls_listener_pick(const struct tls_listener *l, const char *name, unsigned kinds, int64_t now);

/* tls_hello.c: the kinds this client can verify, from its ClientHello; good inside a certificate callback. */
unsigned tls_hello_kinds(SSL *ssl);

/* tls_conn.c: the certificate callback of every serving context. */
int tls_conn_choose(SSL *ssl, void *listener);

#endif
