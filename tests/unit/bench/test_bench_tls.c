#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench_tls.h"
#include "unit/suite.h"

static struct bench_tls_ctx *ctx;
static struct bench_tls_conn *conn;
static SSL_CTX *client_ctx;
static SSL *client;
static int fd[2];

static void begin(const struct bench_tls *how)
{
    struct err e;

    ck_assert_msg(bench_tls_ctx_new(&ctx, how, NULL, &e) == 0, "%s", e.text);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    client_ctx = SSL_CTX_new(TLS_client_method());
    client = SSL_new(client_ctx);
    SSL_set_fd(client, fd[0]);
    SSL_set_connect_state(client);
    conn = bench_tls_accept(ctx, fd[1], "", 0, 0);
    ck_assert_ptr_nonnull(conn);
}

static void end(void)
{
    bench_tls_conn_free(&conn);
    bench_tls_ctx_free(&ctx);
    SSL_free(client);
    SSL_CTX_free(client_ctx);
    close(fd[0]);
    close(fd[1]);
}

static void shake_hands(void)
{
    enum bench_tls_io io = BENCH_IO_READ;
    int mine = 0;

    for (int i = 0; i < 20 && (mine != 1 || io != BENCH_IO_DONE); i++) {
        if (mine != 1)
            mine = SSL_do_handshake(client);
        if (io != BENCH_IO_DONE)
            io = bench_tls_handshake(conn);
    }
    ck_assert_int_eq(mine, 1);
    ck_assert_int_eq(io, BENCH_IO_DONE);
}

/* OpenSSL reads on behind a KeyUpdate until there is something to hand out, unless it is told not to: a sender of nothing
 * else would have the loop, and with it every other session and the API, for itself. */
START_TEST(key_updates_take_turns)
{
    enum bench_tls_io io = BENCH_IO_READ;
    unsigned calls = 0;
    char room[10];
    size_t n = 0;

    begin(&(struct bench_tls){0});
    shake_hands();
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ck_assert_int_eq(SSL_do_handshake(client), 1);
    }
    ck_assert_int_eq(SSL_write(client, "x", 1), 1);
    for (; io == BENCH_IO_READ && calls < 100; calls++)
        io = bench_tls_recv(conn, room, sizeof room, &n);
    ck_assert_int_eq(io, BENCH_IO_DONE);
    ck_assert_uint_eq(n, 1);
    ck_assert_msg(calls > 50, "50 of them in %u calls", calls);
    end();
}
END_TEST

SUITE_MAIN("bench/tls", key_updates_take_turns)
