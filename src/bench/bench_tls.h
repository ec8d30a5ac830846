/* The bench's TLS: a context for each way of being configured, connections over their own sockets. Unlike the daemon's
 * (src/tls), which is made to be right, this one is made to be as wrong as a scenario wants. */
#ifndef BENCH_BENCH_TLS_H
#define BENCH_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "bench/scenario.h"

struct bench_tls_ctx;
struct bench_tls_conn;

/* Certificates are DIR/<cert>.pem and .key. -1 and e: this OpenSSL cannot, or a file is missing. */
int bench_tls_ctx_new(struct bench_tls_ctx **out, const struct bench_tls *how, const char *dir, struct err *e);
void bench_tls_ctx_free(struct bench_tls_ctx **c);

enum bench_tls_io { BENCH_IO_DONE, BENCH_IO_READ, BENCH_IO_WRITE, BENCH_IO_EOF, BENCH_IO_FAILED };

struct bench_tls_conn *bench_tls_accept(struct bench_tls_ctx *c, int fd); /* fd stays the caller's */
void bench_tls_conn_free(struct bench_tls_conn **c);
enum bench_tls_io bench_tls_handshake(struct bench_tls_conn *c);
/* DONE: *n were read, or written. */
enum bench_tls_io bench_tls_recv(struct bench_tls_conn *c, void *p, size_t most, size_t *n);
enum bench_tls_io bench_tls_send(struct bench_tls_conn *c, const void *p, size_t len, size_t *n);
void bench_tls_close_notify(struct bench_tls_conn *c);

const char *bench_tls_version(const struct bench_tls_conn *c);
const char *bench_tls_cipher(const struct bench_tls_conn *c);
bool bench_tls_resumed(const struct bench_tls_conn *c);
const char *bench_tls_sni(const struct bench_tls_conn *c);   /* "" when none was sent */
const char *bench_tls_error(const struct bench_tls_conn *c); /* after FAILED: OpenSSL's words */

#endif
