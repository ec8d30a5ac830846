/* The bench's TLS: a context for each way of being configured, connections over their own sockets. Unlike the daemon's
 * (src/tls), which is made to be right, this one is made to be as wrong as a scenario wants. */
#ifndef BENCH_BENCH_TLS_H
#define BENCH_BENCH_TLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "bench/scenario.h"

struct bench_tls_ctx;
struct bench_tls_conn;

/* Certificates are DIR/<cert>.pem and .key; dir NULL: made for the moment. -1 and e: this OpenSSL cannot, or a file is
 * missing. */
int bench_tls_ctx_new(struct bench_tls_ctx **out, const struct bench_tls *how, const char *dir, struct err *e);
void bench_tls_ctx_free(struct bench_tls_ctx **c);

enum bench_tls_io { BENCH_IO_DONE, BENCH_IO_READ, BENCH_IO_WRITE, BENCH_IO_EOF, BENCH_IO_FAILED };

/* fd stays the caller's. first: what was read from it already, which begins the handshake. turn: how many were there before,
 * for certificates that change. */
struct bench_tls_conn *bench_tls_accept(struct bench_tls_ctx *c, int fd, const void *first, size_t n, unsigned turn);
void bench_tls_conn_free(struct bench_tls_conn **c);
enum bench_tls_io bench_tls_handshake(struct bench_tls_conn *c);
/* DONE: *n were read, or written: as many as one record may hold (bench_tls.record). */
enum bench_tls_io bench_tls_recv(struct bench_tls_conn *c, void *p, size_t most, size_t *n);
enum bench_tls_io bench_tls_send(struct bench_tls_conn *c, const void *p, size_t len, size_t *n);
unsigned bench_tls_gap_ms(const struct bench_tls_conn *c); /* between records; 0: none */
void bench_tls_close_notify(struct bench_tls_conn *c);
/* KEYUPDATE, RENEGOTIATE: asked for, and sent before whatever is sent next. FAILED: not in this version of TLS. */
enum bench_tls_io bench_tls_act(struct bench_tls_conn *c, enum bench_then then);

/* Fields of tls_done, tls_fail and tls_end (docs/bench.md). */
json_t *bench_tls_done_json(struct bench_tls_conn *c, double hs_ms);
json_t *bench_tls_fail_json(struct bench_tls_conn *c);
json_t *bench_tls_end_json(const struct bench_tls_conn *c);
/* What the sender did in TLS itself since the handshake: "keyupdate", "renegotiated", "renegotiation-refused"; one at each
 * call, the first so many of a connection. NULL: nothing new. */
const char *bench_tls_news(struct bench_tls_conn *c);
const char *bench_tls_version(const struct bench_tls_conn *c);
const char *bench_tls_cipher(const struct bench_tls_conn *c);
const char *bench_tls_sni(struct bench_tls_conn *c); /* printable; "" when none was sent */
bool bench_tls_resumed(const struct bench_tls_conn *c);
/* It failed, and did not just end. */
bool bench_tls_has_failed(const struct bench_tls_conn *c);

#endif
