/* Which context serves which name. Private to src/tls. */
#ifndef TLS_TLS_LISTENER_H
#define TLS_TLS_LISTENER_H

#include "tls/cert.h"

/* Certificates with the same names share a context, one of each key type: a client that knows only RSA gets RSA. */
struct tls_group {
    SSL_CTX *ctx;
    const struct cert *certs[4];
    unsigned count;
};

struct tls_listener {
    struct tls_listener_facts facts;
    struct tls_cert_facts *cert_facts;
    struct tls_group *groups;
    unsigned group_count;
};

/* The group for a name the client asked for (NULL: it asked for none): exact, then one-label wildcard, then the first
 * that is valid, then the first at all. Expired ones only where the listener serves them. NULL: none. */
const struct tls_group *tls_listener_pick(const struct tls_listener *l, const char *name, int64_t now);
/* The certificate of the group that this connection used. */
const char *tls_group_title(const struct tls_group *g, const X509 *used);

#endif
