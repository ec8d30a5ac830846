/* Of the bench's TLS files: bench_tls.c (contexts), bench_tls_conn.c (connections), bench_tls_note.c (what is told of them),
 * bench_probe.c (what this OpenSSL can). Nobody else includes this. */
#ifndef BENCH_BENCH_TLS_OWN_H
#define BENCH_BENCH_TLS_OWN_H

#include <openssl/ssl.h>

#include "bench/bench_identity.h"
#include "bench/bench_tls.h"

enum bench_tls_phase { BENCH_TLS_HELLO, BENCH_TLS_HANDSHAKE, BENCH_TLS_DATA }; /* no answer so far; not done; done */

/* What a sender can do in TLS after the handshake. */
enum bench_tls_new { BENCH_TLS_KEYUPDATE, BENCH_TLS_RENEGOTIATED, BENCH_TLS_REFUSED, BENCH_TLS_NEWS };

struct bench_tls_ctx {
    SSL_CTX *ctx;
    bool need_sni;
    struct bench_identity own, for_sni; /* for_sni: empty, or for whoever asks for a name that is in it */
    struct bench_identity *rotating;    /* instead of own, each for so many connections */
    unsigned rotate_count, rotate_every;
    unsigned record, gap_ms;
};

struct bench_tls_conn {
    struct bench_tls_ctx *ctx;
    SSL *ssl;
    int fd;
    const struct bench_identity *shown;
    size_t first_len;
    bool from_memory; /* the bytes that were read before us are not all used up */
    enum bench_tls_phase phase;
    int alert_in, alert_out; /* -1: none */
    unsigned seen[BENCH_TLS_NEWS], told[BENCH_TLS_NEWS];
    char error[256], sni[256];
};

void bench_tls_watch(struct bench_tls_ctx *c); /* bench_tls_note.c: connections learn what they are to tell */
/* bench_tls_conn.c */
struct bench_tls_conn *bench_tls_conn_new(struct bench_tls_ctx *c, unsigned turn);

#endif
