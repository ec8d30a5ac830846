#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_server_own.h"
#include "bench/client_hello.h"

#define READ_AT_ONCE 65536u
#define SIZE_MOST ((uint64_t)1 << 30)
#define FLOOD_US INT64_C(60000000)
#define LINGER_US INT64_C(2000000)

/* ---- the end of one */

void bench_conn_end(struct bench_conn *c, const char *by, const char *reason)
{
    struct bench_port *p = c->port;

    p->server->totals.open--;
    if (c->session)
        bench_session_gone(c->session);
    mail_draft_free(&c->draft);
    transcript_end(&c->transcript, by, reason);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    watch_free(&c->watch);
    bench_tls_conn_free(&c->tls);
    bench_session_free(&c->session);
    buf_clear(&c->out);
    close(c->fd);
    free(c);
    p->sessions--;
    bench_port_drop(p);
}

static void reset(struct bench_conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    bench_conn_end(c, "server", NULL);
}

/* True: it is gone. */
static bool obey_end(struct bench_conn *c, enum bench_then then)
{
    c->deaf = true;
    switch (then) {
    case BENCH_RST:
        reset(c);
        return true;
    case BENCH_CLOSE:
        if (c->tls)
            bench_tls_close_notify(c->tls);
        (void)shutdown(c->fd, SHUT_WR);
        c->deadline_us = clock_now().mono_us + LINGER_US;
        return false;
    case BENCH_CUT:
        bench_conn_end(c, "server", NULL);
        return true;
    case BENCH_HALF_CLOSE:
        (void)shutdown(c->fd, SHUT_WR);
        return false;
    default: /* hang: whoever ends it now is the sender */
        c->hung = true;
        return false;
    }
}

/* ---- what the session wants */

static void want(struct bench_conn *c)
{
    watch_want(c->watch, (c->held || c->unread ? 0 : LOOP_READ) | (c->wants_write || c->out.len ? LOOP_WRITE : 0));
}

/* -1: the connection is of no use any more. 0: the rest waits. 1: all is out. */
static int push(struct bench_conn *c)
{
    while (c->out.len) {
        size_t n = 0;
        ssize_t r;

        if (c->tls) {
            enum bench_tls_io io = bench_tls_send(c->tls, buf_data(&c->out), c->out.len, &n);

            if (io == BENCH_IO_READ || io == BENCH_IO_WRITE)
                return 0;
            if (io != BENCH_IO_DONE)
                return -1;
        } else {
            r = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (r < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
            if (r <= 0)
                return -1;
            n = (size_t)r;
        }
        buf_consume(&c->out, n);
    }
    return 1;
}

static void begin_tls(struct bench_conn *c)
{
    struct bench_tls_ctx *ctx =
        bench_server_tls(c->port->server, bench_session_scenario(c->session), &(struct err){""});

    bench_tls_conn_free(&c->tls);
    c->tls = ctx ? bench_tls_accept(ctx, c->fd) : NULL;
    c->handshaking = c->tls != NULL;
    if (!c->tls) /* its files were there when it was taken up, and are not now */
        c->deadline_us = c->heard_us;
}

static bool hear(struct bench_conn *c);

/* True: it is gone. */
static bool carry_out(struct bench_conn *c)
{
    struct bench_do d;

    for (;;) {
        int r = push(c);

        if (r < 0) {
            bench_conn_end(c, "client", "reset");
            return true;
        }
        if (r == 0 || c->resume_us || c->handshaking || c->ended)
            break;
        bench_session_next(c->session, &d);
        if (d.kind == BENCH_DO_WAIT)
            break;
        if (d.kind == BENCH_DO_SEND)
            buf_append(&c->out, d.bytes.p, d.bytes.n);
        if (d.flood && !c->flood_us)
            c->flood_us = clock_now().mono_us;
        if (d.kind == BENCH_DO_PAUSE) {
            c->resume_us = clock_now().mono_us + d.ms * INT64_C(1000);
            c->unread = d.unread;
            bench_server_alarm(c->port->server, c->resume_us);
        }
        if (d.kind == BENCH_DO_START_TLS) {
            begin_tls(c);
            c->peeking = c->handshaking;
        }
        if (d.kind == BENCH_DO_END) {
            c->ended = true;
            if (obey_end(c, d.then))
                return true;
        }
    }
    if (c->held && !bench_session_is_full(c->session))
        return hear(c);
    want(c);
    return false;
}

/* ---- what comes */

static void tls_note(struct bench_conn *c, bool up)
{
    struct bench_totals *t = &c->port->server->totals;

    t->handshakes += up;
    t->broken += !up;
    t->resumed += up && bench_tls_resumed(c->tls);
    if (!c->transcript)
        return;
    if (up)
        mail_draft_tls(c->draft, bench_tls_version(c->tls), bench_tls_cipher(c->tls), bench_tls_sni(c->tls));
    if (up)
        transcript_note(c->transcript, "tls_done",
                        json_pack("{s:s,s:s,s:s}", "version", bench_tls_version(c->tls), "cipher",
                                  bench_tls_cipher(c->tls), "sni", bench_tls_sni(c->tls)));
    else
        transcript_note(c->transcript, "tls_fail",
                        json_pack("{s:s,s:s}", "openssl", bench_tls_error(c->tls), "sni", bench_tls_sni(c->tls)));
}

static void on_event(void *arg, const struct bench_event *ev)
{
    struct bench_conn *c = arg;

    if (c->session) /* first, so that a message that is told of can be read */
        mail_draft_event(c->draft, bench_session_scenario(c->session), ev);
    transcript_event(c->transcript, ev);
}

static struct bench_count *counters(const struct bench_port *p)
{
    return p->count ? p->count : p->server->count;
}

static bool is_implicit(const struct bench_port *p)
{
    return p->implicit || p->scenario->tls.implicit;
}

static unsigned at_once(const struct bench_conn *c)
{
    unsigned n = 0;

    for (const struct bench_conn *o = c->port->server->conns; o; o = o->next)
        n += o->port == c->port && !o->ended && strcmp(o->client, c->client) == 0;
    return n;
}

static void new_session(struct bench_conn *c, const struct addr *peer)
{
    struct bench_session_setup s = {.scenario = c->port->scenario,
                                    .count = counters(c->port),
                                    .names = c->port->server->names,
                                    .at_once = at_once(c),
                                    .hostname = c->port->server->setup.hostname,
                                    .client = c->client,
                                    .lease = c->port->lease,
                                    .peer = peer,
                                    .choices = c->port->choices,
                                    .implicit = is_implicit(c->port),
                                    .tls_possible = !c->port->no_tls,
                                    .size_most = SIZE_MOST,
                                    .totals = &c->port->server->totals,
                                    .event = c->transcript ? on_event : NULL,
                                    .arg = c};

    c->session = bench_session_new(&s, clock_now().mono_us / 1000000);
}

/* What the sender offers is looked at where it lies, so that OpenSSL finds it untouched. False: not all of it is there. */
static bool peek(struct bench_conn *c)
{
    char room[READ_AT_ONCE];
    ssize_t n = recv(c->fd, room, sizeof room, MSG_PEEK | MSG_DONTWAIT);
    struct client_hello h;
    enum client_hello_verdict v = CLIENT_HELLO_MORE;
    const struct bench_scenario *before;

    if (n > 0)
        v = client_hello_parse(&h, room, (size_t)n);
    if (n < 0 || (n > 0 && v == CLIENT_HELLO_MORE))
        return false;
    c->peeking = false;
    if (v != CLIENT_HELLO_OK)
        return true;
    if (c->transcript)
        transcript_note(c->transcript, "client_hello", client_hello_json(&h));
    before = bench_session_scenario(c->session);
    bench_session_sni(c->session, h.sni);
    if (bench_session_scenario(c->session) != before)
        begin_tls(c);
    return true;
}

/* A scenario answers in OpenSSL's place: with raw bytes, or by ending the connection. */
static bool is_answered(struct bench_conn *c)
{
    char room[READ_AT_ONCE];

    if (!bench_session_client_hello(c->session, clock_now().mono_us / 1000000))
        return false;
    bench_tls_conn_free(&c->tls);
    c->handshaking = false;
    c->deaf = c->no_smtp = true;
    while (recv(c->fd, room, sizeof room, MSG_DONTWAIT) > 0) /* what lies unread turns a close into a reset */
        ;
    return true;
}

/* True: it is gone. */
static bool handshake(struct bench_conn *c)
{
    enum bench_tls_io io = bench_tls_handshake(c->tls);

    c->wants_write = io == BENCH_IO_WRITE;
    if (io == BENCH_IO_DONE) {
        c->handshaking = false;
        tls_note(c, true);
        bench_session_tls_done(c->session);
        return carry_out(c);
    }
    if (io == BENCH_IO_FAILED || io == BENCH_IO_EOF) {
        tls_note(c, false);
        bench_conn_end(c, "client", "tls");
        return true;
    }
    want(c);
    return false;
}

/* How much came; 0: nothing now; -1: no more will. */
static ssize_t take(struct bench_conn *c, char *room, size_t most)
{
    size_t n;
    ssize_t r;

    if (c->tls) {
        enum bench_tls_io io = bench_tls_recv(c->tls, room, most, &n);

        c->how = io == BENCH_IO_EOF ? "closed" : "cut";
        return io == BENCH_IO_DONE ? (ssize_t)n : io == BENCH_IO_READ || io == BENCH_IO_WRITE ? 0 : -1;
    }
    r = recv(c->fd, room, most, MSG_DONTWAIT);
    c->how = r < 0 ? "reset" : "closed";
    return r > 0 ? r : r < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Between the first session and the latest message lies the time of a rate. */
static void note_time(struct bench_conn *c)
{
    struct bench_server *v = c->port->server;

    if (v->totals.messages + v->totals.refused != v->told) {
        v->told = v->totals.messages + v->totals.refused;
        v->totals.last_us = c->heard_us;
    }
}

/* True: it is gone. */
static bool hear(struct bench_conn *c)
{
    char room[READ_AT_ONCE];
    ssize_t n = 0;

    for (;;) {
        c->held = !c->deaf && bench_session_is_full(c->session);
        if (c->held || c->unread || c->handshaking || (n = take(c, room, sizeof room)) <= 0)
            break;
        c->heard_us = clock_now().mono_us;
        c->idle_said = false;
        if (c->no_smtp)
            continue;
        bench_session_feed(c->session, room, (size_t)n, c->heard_us / 1000000);
        note_time(c);
        if (carry_out(c))
            return true;
        if (!c->tls && (size_t)n < sizeof room) /* nothing more is there: the loop says when there is */
            break;
    }
    if (n < 0) {
        bool ours = c->deaf && !c->hung;

        bench_conn_end(c, ours ? "server" : "client", ours ? NULL : c->how);
        return true;
    }
    want(c);
    return false;
}

static void on_conn(void *arg, unsigned what)
{
    struct bench_conn *c = arg;

    if (what & LOOP_WRITE && !c->handshaking && carry_out(c))
        return;
    if (c->peeking && !peek(c))
        return;
    if (c->handshaking && !c->hello_seen) {
        c->hello_seen = true;
        if (is_answered(c)) {
            (void)carry_out(c);
            return;
        }
    }
    if (c->handshaking && handshake(c))
        return;
    if (what & LOOP_READ && !c->handshaking && !c->held)
        (void)hear(c);
}

/* ---- from outside */

void bench_conn_begin(struct bench_port *p, int fd, const struct addr *peer)
{
    struct bench_conn *c = mem_alloc(sizeof *c);
    struct bench_server *v = p->server;
    char listener[ADDR_TEXT];
    struct transcript_start s = {.scenario = p->scenario->name,
                                 .lease = p->lease,
                                 .listener = addr_text(&p->address, listener),
                                 .peer = peer,
                                 .local = &p->address,
                                 .seed = bench_count_seed(counters(p))};

    c->port = p;
    c->fd = fd;
    c->heard_us = clock_now().mono_us;
    addr_ip_text(peer, c->client);
    c->transcript = transcript_begin(v->setup.book, &s);
    if (c->transcript)
        c->draft = mail_draft_new(v->setup.mail, transcript_id(c->transcript), p->lease);
    c->next = v->conns;
    c->link = &v->conns;
    if (c->next)
        c->next->link = &c->next;
    v->conns = c;
    p->sessions++;
    v->totals.sessions++;
    v->totals.open++;
    if (!v->totals.first_us)
        v->totals.first_us = c->heard_us;
    c->watch = watch_new(v->setup.loop, fd, on_conn, c);
    new_session(c, peer);
    if (is_implicit(p)) {
        begin_tls(c);
        c->peeking = c->handshaking;
    }
    (void)carry_out(c);
}

void bench_conn_resume(struct bench_conn *c, int64_t now_us)
{
    if (now_us < c->resume_us) {
        bench_server_alarm(c->port->server, c->resume_us);
        return;
    }
    c->resume_us = 0;
    c->unread = false;
    (void)carry_out(c);
}

static unsigned idle_ms(const struct bench_scenario *sc)
{
    for (unsigned i = 0; i < sc->step_count; i++)
        if (sc->steps[i].at == BENCH_IDLE)
            return sc->steps[i].ms;
    return 0;
}

void bench_conn_tick(struct bench_conn *c, int64_t now_us)
{
    unsigned idle = idle_ms(bench_session_scenario(c->session));

    if (c->flood_us && !c->ended && now_us - c->flood_us > FLOOD_US) {
        bench_conn_end(c, "server", NULL);
    } else if ((c->deadline_us && now_us >= c->deadline_us) ||
               now_us - c->heard_us > c->port->server->setup.silence_us) {
        bench_conn_end(c, c->deadline_us ? "server" : "timeout", c->deadline_us ? NULL : "silence");
    } else if (idle && !c->deaf && !c->idle_said && c->session && now_us - c->heard_us >= idle * INT64_C(1000)) {
        c->idle_said = true;
        bench_session_idle(c->session, now_us / 1000000);
        (void)carry_out(c);
    }
}
