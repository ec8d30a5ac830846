#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define OUT_HIGH ((size_t)64 * 1024) /* replies nobody reads: stop asking for more */
#define READ_AT_ONCE ((size_t)16 * 1024)
#define READS_A_TURN 8
#define LINGER_US (2 * INT64_C(1000000))

static void on_io(void *arg, unsigned what);

/* ---- beginning */

static void say_and_close(int fd, const char *host, uint16_t code, const char *enhanced, const char *text)
{
    char line[512];
    int n = snprintf(line, sizeof line, "%u %s %.200s %.200s\r\n", (unsigned)code, enhanced, host, text);

    (void)send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

static bool is_admitted(struct session *s, int fd)
{
    const struct conf *c = s->server->conf;
    const struct share *sh = s->server->setup->share;
    struct admit_facts f = {
        .total = (unsigned)share_total(sh, SHARE_CONNECTIONS_NOW), .exempt = s->exempt,
    };
    struct admit_verdict v;

    if (!s->exempt) {
        f.from_address = share_key_count(sh, &s->address_key);
        f.from_network = share_key_count(sh, &s->network_key);
    }
    admit(&v, &c->limits, &f);
    if (v.reason == ADMIT_OK)
        return true;
    session_log_refused(s, &v);
    session_count(s, SHARE_REFUSED, 1);
    if (s->listener->conf->tls == CONF_TLS_IMPLICIT)
        close(fd);
    else
        say_and_close(fd, s->listener->profile.hostname, v.code, v.enhanced, v.text);
    return false;
}

static void count_in(struct session *s)
{
    struct share *sh = s->server->setup->share;
    int slot = s->server->setup->slot;

    s->counted = !s->exempt && share_key_add(sh, slot, &s->address_key) == 0;
    if (s->counted && share_key_add(sh, slot, &s->network_key) < 0) {
        share_key_drop(sh, slot, &s->address_key);
        s->counted = false;
    }
    session_count(s, SHARE_CONNECTIONS_NOW, 1);
    session_count(s, SHARE_CONNECTIONS, 1);
}

void session_greet(struct session *s)
{
    struct tls_offer o;

    session_offer(s, &o);
    if (o.close_at_greeting) {
        char line[512];

        snprintf(line, sizeof line, "421 4.7.0 %s TLS is not available at the moment\r\n", s->listener->profile.hostname);
        session_log_not_offered(s, (struct peer_text){"", 0});
        session_say(s, line, "no certificate");
        return;
    }
    /* RFC 5321 4.3.1: a client waits for the greeting. One that does not is a spammer's tool more often than not. */
    if (!s->in_tls && stream_has_unread(&s->stream)) {
        smtp_engine_talked_early(s->engine);
        if (s->server->conf->limits.greet_delay_ms) {
            struct log_line l;
            char line[512];

            session_begin(s, &l, LOG_LEVEL_INFO, "smtp.talked-early");
            log_end(&l);
            snprintf(line, sizeof line, "421 4.7.0 %s you spoke before the greeting\r\n", s->listener->profile.hostname);
            session_say(s, line, "talked before the greeting");
            return;
        }
    }
    s->wait = SESSION_READ;
    session_pump(s);
}

/* Unique over workers and over their deaths: the second, the slot, and a number that does not begin at 0. */
static uint64_t make_id(struct server *v)
{
    uint64_t second = (uint64_t)(clock_now().real_us / 1000000);

    return second << 30 | (uint64_t)(v->setup->slot & (SHARE_SLOTS - 1)) << 24 | (++v->next_id & 0xffffff);
}

static struct session *session_new(struct accept_state *a, const struct addr *peer)
{
    struct server *v = a->server;
    struct session *s = mem_alloc(sizeof *s);
    const struct conf *c = v->conf;

    s->server = v;
    s->socket = a->socket;
    s->listener = &v->listeners[a->socket->listener];
    s->peer = *peer;
    s->id = make_id(v);
    s->exempt = addr_is_loopback(peer) || net_has(c->trusted_networks, c->trusted_network_count, peer);
    s->withheld = net_has(s->listener->conf->no_starttls_for, s->listener->conf->no_starttls_for_count, peer);
    s->address_key = addr_key(peer, 32, 128);
    s->network_key = addr_key(peer, 24, 64);
    return s;
}

static void link_in(struct session *s)
{
    struct server *v = s->server;

    s->next = v->first;
    if (v->first)
        v->first->prev = s;
    v->first = s;
    v->sessions++;
}

void session_start(struct accept_state *a, int fd, const struct addr *peer)
{
    struct server *v = a->server;
    struct session *s = session_new(a, peer);
    const struct conf *c = v->conf;
    bool diagnostic = net_has(c->diagnostic_networks, c->diagnostic_network_count, peer);
    struct log_line l;

    if (!is_admitted(s, fd)) {
        free(s);
        return;
    }
    count_in(s);
    stream_init(&s->stream, v->loop, fd, on_io, s);
    s->engine = smtp_engine_new(diagnostic ? &s->listener->diagnostic : &s->listener->profile,
                                s->listener->conf->tls == CONF_TLS_IMPLICIT);
    s->started_us = s->activity_us = loop_now_us(v->loop);
    link_in(s);
    session_begin(s, &l, LOG_LEVEL_DEBUG, "smtp.connection-start");
    log_end(&l);
    if (s->listener->conf->tls == CONF_TLS_IMPLICIT) {
        session_implicit(s);
    } else if (c->limits.greet_delay_ms) {
        s->wait = SESSION_GREET;
        s->deadline_us = s->started_us + (int64_t)c->limits.greet_delay_ms * 1000;
        session_alarm(v, s->deadline_us);
    } else {
        session_greet(s);
    }
}

/* ---- ending */

/* The sink may hold this session's address as long as it waits for an answer: before any other state, it is told. */
static void leave_sink(struct session *s)
{
    if (s->wait == SESSION_OPENING)
        sink_cancel(s->server->sink, s);
    if (s->wait == SESSION_COMMITTING)
        sink_forget(s->server->sink, s); /* it is delivered all the same; the client will send it again */
    sink_abort(&s->message);
}

void session_end(struct session *s, const char *how)
{
    struct server *v = s->server;

    if (s->wait == SESSION_DEAD)
        return;
    if (!s->ended)
        s->ended = how;
    leave_sink(s);
    session_log_end(s);
    s->wait = SESSION_DEAD;
    tls_conn_free(&s->tls_next);
    stream_close(&s->stream);
    smtp_engine_free(&s->engine);
    if (s->counted) {
        share_key_drop(v->setup->share, v->setup->slot, &s->address_key);
        share_key_drop(v->setup->share, v->setup->slot, &s->network_key);
    }
    session_count(s, SHARE_CONNECTIONS_NOW, -1);
    if (s->in_transaction)
        session_count(s, SHARE_TRANSACTIONS_NOW, -1);
    if (s->prev)
        s->prev->next = s->next;
    else
        v->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->next = v->dead;
    v->dead = s;
    v->sessions--;
}

void session_free_dead(struct server *v)
{
    while (v->dead) {
        struct session *s = v->dead;

        v->dead = s->next;
        free(s);
    }
}

/* Everything said is out. Closing now, with bytes of the peer unread, would send a RST that can destroy our last reply
 * before it is read: say that no more comes, and read on for a moment. */
static void linger(struct session *s)
{
    if (s->stream.eof || !stream_has_unread(&s->stream)) {
        session_end(s, s->ended);
        return;
    }
    if (s->stream.tls)
        tls_conn_shutdown(s->stream.tls);
    shutdown(s->stream.fd, SHUT_WR);
    s->wait = SESSION_LINGER;
    s->deadline_us = loop_now_us(s->server->loop) + LINGER_US;
    buf_clear(&s->stream.in);
    watch_want(s->stream.watch, LOOP_READ);
}

/* Only while what is said is read, and nothing is owed: what a client may make us hold is bounded. */
static bool wants_input(const struct session *s)
{
    return s->wait == SESSION_READ && s->stream.out.len < OUT_HIGH;
}

static void flush(struct session *s)
{
    enum stream_result r = stream_write(&s->stream);

    if (r == STREAM_FAILED) {
        session_end(s, "connection lost");
        return;
    }
    if (r == STREAM_OK && s->wait == SESSION_CLOSING) {
        linger(s);
        return;
    }
    if (r == STREAM_OK && s->wait == SESSION_STARTTLS) {
        session_starttls_written(s);
        return;
    }
    stream_want(&s->stream, wants_input(s));
    session_deadline(s);
}

void session_finish(struct session *s, const char *how)
{
    if (s->wait == SESSION_DEAD)
        return;
    if (!s->ended)
        s->ended = how;
    leave_sink(s);
    s->wait = SESSION_CLOSING;
    /* in all, not from one byte read to the next: a peer that reads slowly does not keep a closed session */
    s->deadline_us = loop_now_us(s->server->loop) + s->server->conf->limits.reply_timeout * INT64_C(1000000);
    flush(s);
}

void session_say(struct session *s, const char *reply, const char *how)
{
    if (!s->stream.handshaking)
        buf_append(&s->stream.out, reply, strlen(reply));
    session_finish(s, how);
}

/* ---- the pump */

static const char *close_word(enum smtp_close c)
{
    switch (c) {
    case SMTP_CLOSE_QUIT:
        return "quit";
    case SMTP_CLOSE_TOO_MANY_ERRORS:
        return "too many errors";
    case SMTP_CLOSE_TOO_MANY_MESSAGES:
        return "too many messages";
    case SMTP_CLOSE_SHUTDOWN:
        return "shutting down";
    case SMTP_CLOSE_TLS_FAILED:
        return "handshake failed";
    case SMTP_CLOSE_WRONG_PROTOCOL:
        return "not SMTP";
    case SMTP_CLOSE_INJECTION:
        return "bytes behind STARTTLS";
    default:
        return "refused";
    }
}

/* Carries one action out. False: stop, somebody else goes on. */
static bool act(struct session *s, const struct smtp_action *a)
{
    static const struct smtp_verdict yes;

    switch (a->kind) {
    case SMTP_REPLY:
        buf_append(&s->stream.out, a->bytes.p, a->bytes.n);
        s->rate_from_us = 0;
        return true;
    case SMTP_ASK_TLS:
        session_ask_tls(s);
        return true;
    case SMTP_START_TLS:
        return session_start_tls(s, a);
    case SMTP_ASK_SENDER:
        smtp_engine_answer(s->engine, &yes); /* role mx: from anybody */
        return true;
    case SMTP_ASK_RCPT:
        session_ask_rcpt(s, a);
        return true;
    case SMTP_OPEN_MESSAGE:
        return session_open_message(s);
    case SMTP_CHUNK:
        if (s->message)
            sink_write(s->message, a->bytes.p, a->bytes.n);
        return true;
    case SMTP_COMMIT:
        return session_commit(s);
    case SMTP_ABORT:
        sink_abort(&s->message);
        return true;
    case SMTP_EVENT:
        session_log_event(s, a);
        return true;
    case SMTP_CLOSE:
        session_log_close(s, a->close);
        session_finish(s, close_word(a->close));
        return false;
    default:
        return false;
    }
}

static size_t memory_of(const struct session *s)
{
    return sizeof *s + s->stream.in.cap + s->stream.out.cap + (s->engine ? smtp_engine_memory(s->engine) : 0);
}

static void note_transaction(struct session *s)
{
    bool now = smtp_engine_phase(s->engine) >= SMTP_PHASE_ENVELOPE;

    if (now != s->in_transaction)
        session_count(s, SHARE_TRANSACTIONS_NOW, now ? 1 : -1);
    s->in_transaction = now;
}

/* True: stopped because enough replies wait to be read; there may be more to do. */
static bool run(struct session *s)
{
    while (s->wait == SESSION_READ) {
        struct smtp_action a;
        size_t n;

        if (s->stream.out.len >= OUT_HIGH)
            return true;
        smtp_engine_next(s->engine, &a);
        if (a.kind == SMTP_WAIT)
            return false;
        if (a.kind != SMTP_NEED_INPUT) {
            if (!act(s, &a))
                return false;
            continue;
        }
        if (!s->stream.in.len)
            return false;
        n = smtp_engine_feed(s->engine, buf_data(&s->stream.in), s->stream.in.len);
        buf_consume(&s->stream.in, n);
    }
    return false;
}

static void too_much_memory(struct session *s)
{
    char line[512];
    struct log_line l;

    session_begin(s, &l, LOG_LEVEL_WARN, "limit.session-memory");
    log_int(&l, "size", (int64_t)memory_of(s));
    log_int(&l, "limit", (int64_t)s->server->conf->limits.session_memory);
    log_end(&l);
    snprintf(line, sizeof line, "421 4.3.1 %s this session takes too much memory\r\n", s->listener->profile.hostname);
    buf_clear(&s->stream.in);
    session_say(s, line, "memory limit");
}

/* One round: what is there goes through the engine, what it says goes out. True: everything went out although the
 * engine was stopped, so it can go on at once. */
static bool pump_once(struct session *s)
{
    bool held;

    s->pumping = true;
    held = run(s);
    s->pumping = false;
    if (s->wait == SESSION_DEAD || s->wait == SESSION_LINGER || s->wait == SESSION_CLOSING)
        return false;
    note_transaction(s);
    if (memory_of(s) > s->server->conf->limits.session_memory) {
        too_much_memory(s);
        return false;
    }
    if (s->wait == SESSION_READ && s->stream.eof && !held && !s->stream.in.len) {
        session_finish(s, smtp_engine_phase(s->engine) == SMTP_PHASE_DATA ? "closed by the client in DATA"
                                                                         : "closed by the client");
        return false;
    }
    flush(s);
    return held && s->wait == SESSION_READ && !s->stream.out.len;
}

void session_pump(struct session *s)
{
    if (s->pumping || s->wait == SESSION_DEAD)
        return;
    while (pump_once(s))
        ;
}

void session_resume(struct session *s)
{
    if (s->wait != SESSION_DEAD)
        session_pump(s);
}

/* ---- events */

static void discard(struct session *s)
{
    enum stream_result r;
    int i = 0;

    do {
        r = stream_read(&s->stream, READ_AT_ONCE);
        buf_clear(&s->stream.in);
    } while (r == STREAM_OK && ++i < READS_A_TURN);
    if (r == STREAM_EOF || r == STREAM_FAILED)
        session_end(s, s->ended);
}

static void readable(struct session *s)
{
    for (int i = 0; i < READS_A_TURN && wants_input(s); i++) {
        size_t before = s->stream.in.len, got;
        enum stream_result r = stream_read(&s->stream, READ_AT_ONCE);

        if (r == STREAM_FAILED) {
            session_end(s, "connection lost");
            return;
        }
        if (r == STREAM_AGAIN) {
            /* no deadline moves: bytes of half a TLS record are no sign of life */
            stream_want(&s->stream, true);
            return;
        }
        got = s->stream.in.len - before;
        s->activity_us = loop_now_us(s->server->loop);
        if (!s->rate_from_us && got) {
            s->rate_from_us = s->activity_us;
            s->rate_bytes = 0;
        }
        s->rate_bytes += got;
        session_pump(s);
        if (r == STREAM_EOF || (got < READ_AT_ONCE && !stream_has_pending(&s->stream)))
            return;
    }
}

static void on_io(void *arg, unsigned what)
{
    struct session *s = arg;

    if (s->wait == SESSION_DEAD)
        return;
    if (s->wait == SESSION_HANDSHAKE) {
        session_handshake_io(s);
        return;
    }
    if (s->wait == SESSION_LINGER) {
        discard(s);
        return;
    }
    if (what & LOOP_WRITE && s->stream.out.len) {
        flush(s);
        if (s->wait == SESSION_READ && !s->stream.out.len)
            session_pump(s); /* what was held back while nobody read the replies */
        return;
    }
    if (wants_input(s))
        readable(s);
    else if (s->wait != SESSION_DEAD)
        stream_hush(&s->stream);
}
