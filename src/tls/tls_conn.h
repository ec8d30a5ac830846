/* One TLS connection over a non-blocking socket: the only piece of OpenSSL that sessions see. */
#ifndef TLS_TLS_CONN_H
#define TLS_TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tls/cert_store.h"

struct tls_conn;

/* What to wait for before calling again. */
enum tls_io { TLS_IO_DONE, TLS_IO_WANT_READ, TLS_IO_WANT_WRITE, TLS_IO_EOF, TLS_IO_FAILED };

/* Holds the listener's context from now on (call before 220 is written). now: which certificates may serve
 * (expired = withhold). NULL: out of memory or no usable certificate, e says. */
struct tls_conn *tls_conn_new(struct tls_listener *l, int64_t now, struct err *e);
void tls_conn_attach(struct tls_conn *c, int fd); /* the fd stays the caller's */
void tls_conn_free(struct tls_conn **c);

enum tls_io tls_conn_handshake(struct tls_conn *c);
/* *n: bytes moved when TLS_IO_DONE. A read that meets close_notify or FIN is TLS_IO_EOF: writing goes on, as a client that
 * has half-closed may wait for its answer. During the handshake an end is a failure, with words. */
enum tls_io tls_conn_read(struct tls_conn *c, void *p, size_t cap, size_t *n);
enum tls_io tls_conn_write(struct tls_conn *c, const void *p, size_t len, size_t *n);
bool tls_conn_has_pending(const struct tls_conn *c); /* bytes already decrypted: no need to wait for the fd */
void tls_conn_shutdown(struct tls_conn *c);          /* close_notify, once, best effort */

/* After the handshake. */
const char *tls_conn_version(const struct tls_conn *c); /* "TLSv1.3" */
const char *tls_conn_cipher(const struct tls_conn *c);
const char *tls_conn_sni(const struct tls_conn *c);        /* peer's bytes, without NUL, else unchecked; or NULL */
const char *tls_conn_cert_title(const struct tls_conn *c); /* NULL: we are the client */
/* After a failure: version, cipher, alert and plain words, e.g. "client does not trust our certificate: alert
 * 48 unknown_ca". Valid until free. */
const char *tls_conn_error(const struct tls_conn *c);

#endif
