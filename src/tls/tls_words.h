/* Why TLS with the other side failed, in plain words. Private to src/tls. */
#ifndef TLS_TLS_WORDS_H
#define TLS_TLS_WORDS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* What is known when something fails. */
struct tls_words_facts {
    SSL *ssl;
    unsigned long code; /* the first error of OpenSSL's queue, 0: none */
    int sys_errno;      /* of the socket, 0: none */
    bool closed;        /* the other side closed the connection */
    bool in_handshake;
    bool is_client; /* we are: the other side is a server */
};

/* "client does not trust our certificate: alert 48 unknown_ca (TLSv1.3, TLS_AES_256_GCM_SHA384)". malloc'd. */
char *tls_words(const struct tls_words_facts *f);

#endif
