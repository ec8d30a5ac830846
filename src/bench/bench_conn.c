#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_server_own.h"

#define READ_AT_ONCE 65536u
#define TURN_MOST ((size_t)2 * READ_AT_ONCE) /* octets: a sender that never pauses leaves others their turn */
#define SIZE_MOST ((uint64_t)1 << 30)
#define FLOOD_US INT64_C(60000000)
#define LINGER_US INT64_C(2000000)

/* ---- the end of one */

void bench_conn_end(struct bench_conn *c, const char *by, const char *reason)
{
    struct bench_port *p = c->port;

    p->server->totals.open--;
    bench_conn_tls_end(c);
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
    buf_clear(&c->hello);
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

/* Our side ends, theirs is read for a while: what lies unread would turn the end into a reset, and the last thing that was
 * said (an alert, a reply) would be lost with it. */
static void linger(struct bench_conn *c)
{
    c->deaf = true;
    (void)shutdown(c->fd, SHUT_WR);
    c->deadline_us = clock_now().mono_us + LINGER_US;
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
        linger(c);
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
    bool out = c->wants_write || (c->out.len && !c->resume_us && !c->write_waits);

    watch_want(c->watch, (c->held || c->unread || c->shaking_later ? 0 : LOOP_READ) | (out ? LOOP_WRITE : 0));
}

static void pause_for(struct bench_conn *c, unsigned ms)
{
    c->resume_us = clock_now().mono_us + ms * INT64_C(1000);
    bench_server_alarm(c->port->server, c->resume_us);
}

/* -1: the connection is of no use any more. 0: all of it waits. 1: *n octets are out. */
static int push_some(struct bench_conn *c, size_t *n)
{
    enum bench_tls_io io;
    ssize_t r;

    if (c->tls) {
        io = bench_tls_send(c->tls, buf_data(&c->out), c->out.len, n);
        c->write_waits = io == BENCH_IO_READ;
        return io == BENCH_IO_DONE ? 1 : io == BENCH_IO_READ || io == BENCH_IO_WRITE ? 0 : -1;
    }
    r = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (r < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    *n = r > 0 ? (size_t)r : 0;
    return r > 0 ? 1 : -1;
}

/* -1: the connection is of no use any more. 0: the rest waits. 1: all is out. */
static int push(struct bench_conn *c)
{
    while (c->out.len) {
        size_t n = 0;
        int r = c->resume_us ? 0 : push_some(c, &n);

        if (r <= 0)
            return r;
        buf_consume(&c->out, n);
        if (c->tls && c->out.len && bench_tls_gap_ms(c->tls))
            pause_for(c, bench_tls_gap_ms(c->tls));
    }
    return 1;
}

static bool carry_out(struct bench_conn *c);

/* True: it is gone. */
static bool handshake(struct bench_conn *c)
{
    switch (bench_conn_tls_go(c)) {
    case BENCH_CONN_TLS_FAILED:
        bench_conn_end(c, "client", "tls");
        return true;
    case BENCH_CONN_TLS_REFUSED:
        c->ended = c->no_smtp = c->refused = true;
        linger(c);
        want(c);
        return false;
    case BENCH_CONN_TLS_WAITS:
        want(c);
        return false;
    default:
        return carry_out(c);
    }
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
        if (d.kind == BENCH_DO_SEND && !c->tls && bench_session_tls_is_next(c->session))
            bench_conn_tls_expect(c);
        if (d.kind == BENCH_DO_SEND)
            buf_append(&c->out, d.bytes.p, d.bytes.n);
        if (d.flood && !c->flood_us)
            c->flood_us = clock_now().mono_us;
        if (d.kind == BENCH_DO_PAUSE) {
            c->unread = d.unread;
            pause_for(c, d.ms);
        }
        if (d.kind == BENCH_DO_TLS)
            bench_conn_tls_act(c, d.then);
        if (d.kind == BENCH_DO_START_TLS) {
            bench_conn_tls_begin(c);
            if (!c->peeking) /* its ClientHello is there already */
                return handshake(c);
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

/* How much came; 0: nothing now; -1: no more will. */
static ssize_t take(struct bench_conn *c, char *room, size_t most)
{
    enum bench_tls_io io;
    size_t n;
    ssize_t r;

    if (c->tls) {
        io = bench_tls_recv(c->tls, room, most, &n);
        c->how = io == BENCH_IO_EOF ? "closed" : "cut";
        c->wants_write = io == BENCH_IO_WRITE;
        bench_conn_tls_news(c);
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

    for (size_t came = 0; came < TURN_MOST; came += (size_t)n) {
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
        bool ours = c->deaf && !c->hung && !c->refused;

        bench_conn_end(c, ours ? "server" : "client", ours ? NULL : c->refused ? "tls" : c->how);
        return true;
    }
    if (c->write_waits) /* perhaps for just that */
        return carry_out(c);
    want(c);
    return false;
}

static void on_conn(void *arg, unsigned what)
{
    struct bench_conn *c = arg;

    if (what & LOOP_WRITE && !c->handshaking && carry_out(c))
        return;
    if (c->handshaking && handshake(c))
        return;
    if ((what & LOOP_READ || c->wants_write) && !c->handshaking && !c->held && !c->shaking_later)
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
                                 .listener = p->name ? p->name : addr_text(&p->address, listener),
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
    if (is_implicit(p))
        bench_conn_tls_begin(c);
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
        if (c->refused)
            bench_conn_end(c, "client", "tls");
        else
            bench_conn_end(c, c->deadline_us ? "server" : "timeout", c->deadline_us ? NULL : "silence");
    } else if (idle && !c->deaf && !c->idle_said && c->session && now_us - c->heard_us >= idle * INT64_C(1000)) {
        c->idle_said = true;
        if (bench_session_idle(c->session, now_us / 1000000) && c->handshaking)
            bench_conn_tls_give_up(c);
        (void)carry_out(c);
    }
}
