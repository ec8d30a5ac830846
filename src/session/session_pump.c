/* Bytes in, actions out, replies on their way: the middle of a session's life. */
#include <stdio.h>

#include "base/text.h"
#include "session/session.h"

#define OUT_HIGH ((size_t)64 * 1024) /* replies nobody reads: stop asking for more */
#define READ_AT_ONCE ((size_t)16 * 1024)
#define READS_A_TURN 8

static bool wants_input(const struct session *s)
{
    return s->wait == SESSION_READ && s->stream.out.len < OUT_HIGH;
}

void session_flush(struct session *s)
{
    enum stream_result r = stream_write(&s->stream);

    if (r == STREAM_FAILED) {
        session_end(s, "connection lost");
        return;
    }
    if (r == STREAM_OK && s->wait == SESSION_CLOSING) {
        session_linger(s);
        return;
    }
    if (r == STREAM_OK && s->wait == SESSION_STARTTLS) {
        session_starttls_written(s);
        return;
    }
    stream_want(&s->stream, wants_input(s));
    session_deadline(s);
}

/* ---- the engine */

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
        session_ask_sender(s, a);
        return true;
    case SMTP_ASK_RCPT:
        return session_ask_rcpt(s, a);
    case SMTP_ASK_AUTH:
        return session_ask_auth(s, a);
    case SMTP_CANCEL_AUTH:
        session_cancel_auth(s);
        return true;
    case SMTP_OPEN_MESSAGE:
        return session_open_message(s);
    case SMTP_CHUNK:
        session_content(s, a->bytes);
        return true;
    case SMTP_COMMIT:
        return session_commit(s);
    case SMTP_ABORT:
        session_abort(s);
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
    return sizeof *s + s->stream.in.cap + s->stream.out.cap + (s->engine ? smtp_engine_memory(s->engine) : 0) +
           session_away_memory(s);
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
    session_flush(s);
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

/* ---- the loop */

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

void session_io(void *arg, unsigned what)
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
        session_flush(s);
        if (s->wait == SESSION_READ && !s->stream.out.len)
            session_pump(s); /* what was held back while nobody read the replies */
        return;
    }
    if (wants_input(s))
        readable(s);
    else if (s->wait != SESSION_DEAD)
        stream_hush(&s->stream);
}
