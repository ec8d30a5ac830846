/* TLS towards a next hop: what must be true of its certificate, and what was seen of it. The connection itself is a
 * tls_conn like a server's. RFC 3207, 7672 (DANE for SMTP), 6125 (names), 7435 (opportunistic security). */
#ifndef TLS_TLS_CLIENT_H
#define TLS_TLS_CLIENT_H

#include <stdint.h>

#include "tls/tls_conn.h"

enum tls_verify {
    TLS_VERIFY_NONE, /* encrypted, whoever it is */
    TLS_VERIFY_NAME, /* a chain to a trusted CA, and the name */
    TLS_VERIFY_DANE, /* the TLSA records, usages 2 and 3 */
};

/* One TLSA record as the DNS has it. */
struct tls_tlsa {
    uint8_t usage, selector, matching;
    const uint8_t *data;
    size_t len;
};

/* Of these, who may be used (RFC 7672 3.1: usages 2 and 3; 2.1.1: the rest is "unusable"). */
bool tls_tlsa_is_usable(const struct tls_tlsa *r);

struct tls_target {
    const char *name; /* SNI, and the name the certificate must have; NULL: none is sent (an address) */
    const char *also; /* another name that is as good (the recipient's domain, RFC 7672 3.2.2), or NULL */
    enum tls_verify verify;
    const struct tls_tlsa *tlsa; /* for DANE: at least one usable one */
    unsigned tlsa_count;
};

struct tls_client; /* per process: parameters and trusted CAs */
/* ca_file: PEM, NULL: the machine's own CAs. Read here, so before the sandbox. -1 and e. */
int tls_client_new(struct tls_client **out, const char *ca_file, struct err *e);
/* The same with a PEM file's text. -1 and e: no certificate in it, or one that is broken. */
int tls_client_new_pem(struct tls_client **out, const char *pem, size_t len, struct err *e);
void tls_client_free(struct tls_client **c);

/* Attach, shake hands, read and write as with a server's connection. A certificate that is not as it must be fails the
 * handshake, and tls_conn_error() says what is wrong with it. NULL and e: the TLSA records cannot be used, or no memory.
 * now decides on dates. */
struct tls_conn *tls_client_connect(struct tls_client *c, const struct tls_target *t, int64_t now, struct err *e);

/* After the handshake, what is known of the other side, for logs: "verified by CA and name", "verified by DANE",
 * "not verified: self-signed certificate". Valid until free. */
const char *tls_client_verdict(const struct tls_conn *c);

#endif
