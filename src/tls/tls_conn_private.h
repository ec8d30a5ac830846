/* What the two ends of a connection share. Private to src/tls. */
#ifndef TLS_TLS_CONN_PRIVATE_H
#define TLS_TLS_CONN_PRIVATE_H

#include "tls/tls_conn.h"
#include "tls/tls_listener.h"

struct tls_conn {
    SSL *ssl;
    const struct tls_listener *listener; /* NULL: we are the client */
    const struct tls_entry *entry;       /* whose certificate this connection got; server only */
    int64_t now;                         /* the moment that decides which certificates may serve */
    bool failed;                         /* OpenSSL is not to be called again */
    char *error;                         /* NULL: none; one string only where something went wrong */
    char *verdict;                       /* of a client, made when asked for */
    enum tls_verify_of_conn { TLS_CONN_SERVER, TLS_CONN_ANY, TLS_CONN_NAME, TLS_CONN_DANE } kind;
};

#endif
