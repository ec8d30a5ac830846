/* From STARTTLS, or from the first octet, to the end of the handshake; and what a connection tells of its TLS. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "bench/bench_server_own.h"
#include "bench/client_hello.h"

#define HELLO_MOST 131072u /* octets, records included */

/* How many segments with data have come so far; 0: the kernel does not say. */
static unsigned segments(const struct bench_conn *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;

    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
        n < offsetof(struct tcp_info, tcpi_data_segs_in) + sizeof info.tcpi_data_segs_in)
        return 0;
    return info.tcpi_data_segs_in;
}

/* Before the 220: what comes behind it may be here before we look again. */
void bench_conn_tls_expect(struct bench_conn *c)
{
    c->segments = c->transcript ? segments(c) : 0;
}

void bench_conn_tls_begin(struct bench_conn *c)
{
    c->handshaking = true;
    if (c->shaking_later) {
        c->shaking_later = false;
        return;
    }
    c->peeking = true;
    c->tls_us = clock_now().mono_us;
}

static void note_hello(struct bench_conn *c, const struct client_hello *h)
{
    unsigned now = c->transcript ? segments(c) : 0;

    if (c->transcript)
        transcript_note(c->transcript, "client_hello", client_hello_json(h, now > c->segments ? now - c->segments : 0));
}

/* It ended before there was a ClientHello. */
static void note_silence(struct bench_conn *c)
{
    c->port->server->totals.broken++;
    if (c->transcript)
        transcript_note(c->transcript, "tls_fail",
                        json_pack("{s:s,s:n,s:n,s:s,s:I,s:s}", "phase", "client-hello", "alert_in", "alert_out",
                                  "openssl", "the connection ended", "bytes", (json_int_t)c->hello.len, "sni", ""));
}

/* What the sender offers is read before OpenSSL reads it: a scenario may answer in its place. 1: all of it is there; 0: not
 * yet; -1: it will not be. */
static int read_hello(struct bench_conn *c, struct client_hello *h, enum client_hello_verdict *v)
{
    char room[16384];
    ssize_t n;

    *v = CLIENT_HELLO_MORE;
    while (*v == CLIENT_HELLO_MORE && (n = recv(c->fd, room, sizeof room, MSG_DONTWAIT)) != 0) {
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        buf_append(&c->hello, room, (size_t)n);
        *v = client_hello_parse(h, buf_data(&c->hello), c->hello.len);
        if (*v == CLIENT_HELLO_MORE && c->hello.len > HELLO_MOST)
            *v = CLIENT_HELLO_NONE;
    }
    return *v == CLIENT_HELLO_MORE ? -1 : 1;
}

void bench_conn_tls_give_up(struct bench_conn *c)
{
    char room[16384];

    bench_tls_conn_free(&c->tls);
    buf_clear(&c->hello);
    c->handshaking = c->peeking = false;
    c->deaf = c->no_smtp = true;
    while (recv(c->fd, room, sizeof room, MSG_DONTWAIT) > 0) /* what lies unread turns a close into a reset */
        ;
}

/* OpenSSL begins, with what has come. False: the scenario's files were there when it was taken up, and are not now. */
static bool take_over(struct bench_conn *c)
{
    struct bench_port *p = c->port;
    struct bench_tls_ctx *ctx;

    c->tls_scenario = bench_session_scenario(c->session);
    ctx = bench_server_tls(p->server, c->tls_scenario, &(struct err){""});
    c->tls = ctx ? bench_tls_accept(ctx, c->fd, c->hello.len ? buf_data(&c->hello) : "", c->hello.len, p->handshakes++)
                 : NULL;
    buf_clear(&c->hello);
    return c->tls != NULL;
}

static enum bench_conn_tls look_at_hello(struct bench_conn *c)
{
    enum client_hello_verdict v;
    struct client_hello h;
    int r = read_hello(c, &h, &v);

    if (r < 0)
        note_silence(c);
    if (r <= 0)
        return r < 0 ? BENCH_CONN_TLS_FAILED : BENCH_CONN_TLS_WAITS;
    c->peeking = false;
    if (v == CLIENT_HELLO_OK)
        note_hello(c, &h);
    switch (bench_session_client_hello(c->session, v == CLIENT_HELLO_OK ? &h : NULL, clock_now().mono_us / 1000000)) {
    case BENCH_HELLO_ANSWERED:
        bench_conn_tls_give_up(c);
        return BENCH_CONN_TLS_ANSWERED;
    case BENCH_HELLO_HELD:
        c->handshaking = false;
        c->shaking_later = true;
        return BENCH_CONN_TLS_ANSWERED;
    default:
        return BENCH_CONN_TLS_WAITS;
    }
}

enum bench_conn_tls bench_conn_tls_go(struct bench_conn *c)
{
    struct bench_totals *t = &c->port->server->totals;
    enum bench_tls_io io;

    if (c->peeking) {
        enum bench_conn_tls r = look_at_hello(c);

        if (c->peeking || r != BENCH_CONN_TLS_WAITS)
            return r;
    }
    if (!c->tls && !take_over(c))
        return BENCH_CONN_TLS_FAILED;
    io = bench_tls_handshake(c->tls);
    c->wants_write = io == BENCH_IO_WRITE;
    if (io == BENCH_IO_DONE) {
        int64_t tenths = (clock_now().mono_us - c->tls_us + 50) / 100;

        c->handshaking = false;
        t->handshakes++;
        t->resumed += bench_tls_resumed(c->tls);
        if (c->transcript)
            mail_draft_tls(c->draft, bench_tls_version(c->tls), bench_tls_cipher(c->tls), bench_tls_sni(c->tls));
        if (c->transcript)
            transcript_note(c->transcript, "tls_done", bench_tls_done_json(c->tls, (double)tenths / 10));
        bench_session_tls_done(c->session);
        return BENCH_CONN_TLS_UP;
    }
    if (io == BENCH_IO_FAILED || io == BENCH_IO_EOF) {
        bool ended = !bench_tls_has_failed(c->tls);

        t->broken++;
        if (c->transcript)
            transcript_note(c->transcript, "tls_fail", bench_tls_fail_json(c->tls));
        c->handshaking = false;
        bench_tls_conn_free(&c->tls);
        return ended ? BENCH_CONN_TLS_FAILED : BENCH_CONN_TLS_REFUSED;
    }
    return BENCH_CONN_TLS_WAITS;
}

void bench_conn_tls_act(struct bench_conn *c, enum bench_then then)
{
    enum bench_tls_io io = c->tls ? bench_tls_act(c->tls, then) : BENCH_IO_FAILED;

    if (c->transcript && (io == BENCH_IO_FAILED || io == BENCH_IO_EOF))
        transcript_note(
            c->transcript, "tls_event",
            json_pack("{s:s}", "what", then == BENCH_KEYUPDATE ? "keyupdate-impossible" : "renegotiation-impossible"));
}

void bench_conn_tls_news(struct bench_conn *c)
{
    const char *what;

    while (c->tls && c->transcript && (what = bench_tls_news(c->tls)))
        transcript_note(c->transcript, "tls_event", json_pack("{s:s}", "what", what));
}

void bench_conn_tls_end(struct bench_conn *c)
{
    if (!c->tls || c->handshaking || !c->transcript)
        return;
    if (bench_tls_has_failed(c->tls))
        transcript_note(c->transcript, "tls_fail", bench_tls_fail_json(c->tls));
    transcript_note(c->transcript, "tls_end", bench_tls_end_json(c->tls));
}
