#include "relay/relay_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "net/connect.h"
#include "net/stream.h"
#include "relay/relay_sasl.h"

#define READ_AT_ONCE ((size_t)16 * 1024)
#define OUT_ENOUGH ((size_t)64 * 1024) /* so much waits to be written: no more content until it is gone */
#define HANDSHAKE_SECONDS 60
#define QUIT_SECONDS 5 /* RFC 5321 3.8 wants the reply to be awaited; nothing depends on it */
#define WORDS 1200

enum state { CONNECTING, HANDSHAKE, TALKING, GONE };

struct relay_conn {
    struct relay_conn_setup setup;
    const struct relay_hop *hop;
    void *arg;
    enum state state;
    struct stream stream;
    struct smtp_client_profile profile;
    struct smtp_client *engine;
    struct tls_target target;
    int64_t since_us; /* beginning of what is waited for */
    uint32_t progress;
    bool pumping;  /* inside pump(): a callback calls back */
    bool quitting;
    bool in_tls, verified;
    bool ready_said;  /* the owner knows, and has not answered */
    int fd;           /* of the message in hand, its content from offset on */
    uint64_t offset, want_at;
    size_t want; /* content that the engine waits for */
    struct relay_sasl *sasl;
    char *tls_words, *sasl_words; /* why the handshake, or the login, failed on our side */
    char *remote, *tls_text;
};

static void pump(struct relay_conn *c);

const char *relay_tls_name(enum relay_tls t)
{
    static const char *const names[] = {"none", "may", "required", "verify", "dane"};

    return names[t];
}

/* ---- the end */

static void release(struct relay_conn *c)
{
    stream_close(&c->stream);
    smtp_client_free(&c->engine);
    relay_sasl_free(&c->sasl);
    free(c->tls_words);
    free(c->sasl_words);
    free(c->remote);
    free(c->tls_text);
    free(c);
}

void relay_conn_drop(struct relay_conn **c)
{
    if (*c)
        release(*c);
    *c = NULL;
}

static void close_conn(struct relay_conn *c)
{
    c->state = GONE;
    c->setup.events->closed(c->arg, c);
    release(c);
}

static void fail(struct relay_conn *c, const struct relay_failure *f)
{
    c->setup.events->failed(c->arg, c, f);
}

static void fail_connect(struct relay_conn *c, const char *why)
{
    struct relay_failure f = {.reason = "connect-failed", .stage = "connect", .words = why};

    fail(c, &f);
    close_conn(c);
}

/* ---- TLS */

static void handshake(struct relay_conn *c)
{
    enum tls_io r = stream_handshake(&c->stream);
    struct smtp_client_tls_facts facts = {0};

    if (r == TLS_IO_WANT_READ || r == TLS_IO_WANT_WRITE)
        return;
    facts.ok = r == TLS_IO_DONE;
    facts.verified = facts.ok && c->target.verify != TLS_VERIFY_NONE;
    c->in_tls = facts.ok;
    c->verified = facts.verified;
    c->state = TALKING;
    c->since_us = loop_now_us(c->setup.loop);
    if (!facts.ok)
        c->tls_words = mem_str(tls_conn_error(c->stream.tls));
    if (c->engine) {
        smtp_client_tls_done(c->engine, &facts);
    } else if (facts.ok) {
        c->profile.tls_verified = facts.verified;
        c->engine = smtp_client_new(&c->profile);
    } else {
        struct relay_failure f = {.reason = smtp_client_failure_name(SMTP_CLIENT_TLS_FAILED), .stage = "handshake",
                                  .tls_broke = true, .words = c->tls_words};

        fail(c, &f);
        close_conn(c);
        return;
    }
    pump(c);
}

/* false: failed, which was said. */
static bool begin_tls(struct relay_conn *c)
{
    struct err e;
    struct tls_conn *t;

    t = tls_client_connect(c->setup.tls, &c->target, clock_now().real_us / 1000000, &e);
    if (!t) {
        struct smtp_client_tls_facts no = {0};

        c->tls_words = mem_str(e.text);
        if (c->engine)
            smtp_client_tls_done(c->engine, &no);
        return false;
    }
    stream_start_tls(&c->stream, t);
    c->state = HANDSHAKE;
    c->since_us = loop_now_us(c->setup.loop);
    return true;
}

/* ---- the engine's wishes */

static void tell_failure(struct relay_conn *c, const struct smtp_client_action *a)
{
    char said[WORDS], *words;
    struct relay_failure f = {
        .reason = smtp_client_failure_name(a->failure),
        .stage = smtp_client_stage_name(a->stage),
        .permanent = a->outcome == SMTP_CLIENT_PERMANENT,
        .tls_broke = a->failure == SMTP_CLIENT_TLS_FAILED,
        .reply = a->reply,
    };

    text_escape(said, sizeof said, a->said.n ? a->said : a->reply.text);
    if (a->failure == SMTP_CLIENT_TLS_FAILED && c->tls_words)
        words = mem_str(c->tls_words);
    else if (c->sasl_words)
        words = mem_str(c->sasl_words);
    else if (a->failure == SMTP_CLIENT_TLS_NOT_OFFERED)
        words = mem_printf("STARTTLS is required and was not offered; EHLO was answered: %s", said);
    else
        words = mem_str(said);
    f.words = words;
    fail(c, &f);
    free(words);
}

static void give_content(struct relay_conn *c)
{
    char room[16 * 1024];
    size_t want = c->want;
    ssize_t n;

    c->want = 0;
    do
        n = pread(c->fd, room, want < sizeof room ? want : sizeof room, (off_t)(c->offset + c->want_at));
    while (n < 0 && errno == EINTR);
    if (n > 0)
        smtp_client_content(c->engine, room, (size_t)n);
    else
        smtp_client_content_failed(c->engine, n < 0 ? "the queued message cannot be read" : "the queued message is too short");
}

static void begin_sasl(struct relay_conn *c, struct peer_text offered)
{
    struct relay_sasl_step first;
    const char *mechanism;
    struct err e;

    if (relay_sasl_new(&c->sasl, offered.p, offered.n, c->hop->user, c->hop->password, &mechanism, &first, &e) == 0) {
        smtp_client_sasl_start(c->engine, mechanism, first.response, first.len, first.finished);
        return;
    }
    c->sasl_words = mem_str(e.text);
    smtp_client_sasl_none(c->engine);
}

static void go_on_with_sasl(struct relay_conn *c, struct span challenge)
{
    struct relay_sasl_step next;
    struct err e;

    if (relay_sasl_step(c->sasl, challenge.p, challenge.n, &next, &e) == 0) {
        smtp_client_sasl_respond(c->engine, next.response, next.len, next.finished);
        return;
    }
    c->sasl_words = mem_str(e.text);
    smtp_client_sasl_cancel(c->engine);
}

static void start_tls(struct relay_conn *c)
{
    if (c->stream.in.len || stream_has_unread(&c->stream)) {
        buf_clear(&c->stream.in); /* CVE-2011-0411, seen from the other side: never believed as if it came inside TLS */
        smtp_client_tls_injected(c->engine);
        return;
    }
    (void)begin_tls(c);
}

/* false: nothing more can be done now. */
static bool act(struct relay_conn *c, const struct smtp_client_action *a)
{
    switch (a->kind) {
    case SMTP_CLIENT_SEND:
        buf_append(&c->stream.out, a->bytes.p, a->bytes.n);
        return true;
    case SMTP_CLIENT_START_TLS:
        start_tls(c);
        return c->state == TALKING;
    case SMTP_CLIENT_RCPT_RESULT:
        c->setup.events->result(c->arg, c, a);
        return true;
    case SMTP_CLIENT_MESSAGE_DONE:
        c->want = 0;
        c->setup.events->message_done(c->arg, c);
        return true;
    case SMTP_CLIENT_ASK_SASL:
        begin_sasl(c, a->text);
        return true;
    case SMTP_CLIENT_SASL_CHALLENGE:
        go_on_with_sasl(c, a->bytes);
        return true;
    case SMTP_CLIENT_FAILED:
        tell_failure(c, a);
        return true;
    case SMTP_CLIENT_EVENT:
        log_event(LOG_LEVEL_DEBUG, "relay.event", "%s: %s", c->remote, smtp_client_event_name(a->event));
        return true;
    default:
        return false;
    }
}

/* Bytes that came before an answer is given may be the server's farewell: the engine sees them first. true: it took some. */
static bool feed(struct relay_conn *c)
{
    size_t n;

    if (!c->stream.in.len)
        return false;
    n = smtp_client_feed(c->engine, buf_data(&c->stream.in), c->stream.in.len);
    buf_consume(&c->stream.in, n);
    return n > 0;
}

static enum stream_result flush(struct relay_conn *c)
{
    bool had = c->stream.out.len > 0;
    enum stream_result r = stream_write(&c->stream);

    if (had && r == STREAM_OK)
        c->since_us = loop_now_us(c->setup.loop);
    if (r == STREAM_FAILED)
        smtp_client_lost(c->engine, "connection lost");
    return r;
}

/* At READY and NEED_CONTENT: what the owner or the file has to say. true: something was said, go on. */
static bool answer(struct relay_conn *c, const struct smtp_client_action *a)
{
    if (c->want) {
        if (c->stream.out.len >= OUT_ENOUGH && flush(c) == STREAM_AGAIN)
            return false;
        give_content(c);
        return true;
    }
    if (c->stream.out.len && flush(c) == STREAM_FAILED)
        return true;
    if (a->kind != SMTP_CLIENT_READY || c->ready_said)
        return false;
    c->ready_said = true;
    c->setup.events->ready(c->arg, c, a->reusable);
    return !c->ready_said || c->quitting;
}

/* Turns the crank until it rests. false: the connection is gone. */
static bool crank(struct relay_conn *c)
{
    struct smtp_client_action a;

    for (;;) {
        smtp_client_next(c->engine, &a);
        if (a.kind == SMTP_CLIENT_CLOSE) {
            (void)stream_write(&c->stream); /* a QUIT, if it goes */
            close_conn(c);
            return false;
        }
        if (a.kind == SMTP_CLIENT_NEED_CONTENT) {
            c->want = a.want;
            c->want_at = a.offset;
        } else if (act(c, &a)) {
            continue;
        }
        if (c->state != TALKING || (a.kind == SMTP_CLIENT_WAIT && !c->want))
            return true;
        if (!feed(c) && !answer(c, &a))
            return true;
    }
}

static void pump(struct relay_conn *c)
{
    if (c->pumping)
        return;
    c->pumping = true;
    if (!crank(c))
        return;
    c->pumping = false;
    if (c->state == HANDSHAKE)
        handshake(c);
    else
        stream_want(&c->stream, true);
}

/* ---- the loop's side */

static void read_some(struct relay_conn *c)
{
    for (;;) {
        size_t before = c->stream.in.len;
        enum stream_result r = stream_read(&c->stream, READ_AT_ONCE);

        if (r == STREAM_AGAIN)
            break;
        if (r == STREAM_EOF || r == STREAM_FAILED) {
            while (feed(c) && c->stream.in.len) /* what it said before it went */
                ;
            smtp_client_lost(c->engine, r == STREAM_EOF ? "the server closed the connection" : "connection reset");
            break;
        }
        if (c->stream.in.len - before < READ_AT_ONCE && !stream_has_pending(&c->stream))
            break;
    }
    pump(c);
}

static void connected(struct relay_conn *c)
{
    struct err e;

    if (connect_result(c->stream.fd, &e) < 0) {
        fail_connect(c, e.text);
        return;
    }
    c->since_us = loop_now_us(c->setup.loop);
    c->state = TALKING;
    if (!c->hop->implicit_tls) {
        c->engine = smtp_client_new(&c->profile);
        pump(c);
    } else if (begin_tls(c)) {
        handshake(c);
    } else {
        fail_connect(c, c->tls_words);
    }
}

static void on_io(void *arg, unsigned what)
{
    struct relay_conn *c = arg;

    if (c->state == CONNECTING) {
        connected(c);
    } else if (c->state == HANDSHAKE) {
        handshake(c);
    } else if (what & LOOP_READ || c->stream.tls_wants_write) {
        read_some(c);
    } else {
        pump(c);
    }
}

static bool is_late(const struct relay_conn *c, int64_t now_us)
{
    unsigned limit = c->state == CONNECTING ? c->setup.connect_timeout
                     : c->state == HANDSHAKE ? HANDSHAKE_SECONDS
                     : c->quitting           ? QUIT_SECONDS
                                             : smtp_client_timeout(c->engine);

    return limit && now_us - c->since_us > (int64_t)limit * 1000000;
}

void relay_conn_tick(struct relay_conn *c, int64_t now_us)
{
    if (c->engine && smtp_client_progress(c->engine) != c->progress) {
        c->progress = smtp_client_progress(c->engine);
        c->since_us = now_us;
    }
    if (!is_late(c, now_us))
        return;
    if (c->state == CONNECTING) {
        fail_connect(c, "no answer: the connection was not accepted in time");
    } else if (c->state == HANDSHAKE && !c->engine) {
        fail_connect(c, "the TLS handshake was not finished in time");
    } else if (c->state == HANDSHAKE) {
        struct smtp_client_tls_facts no = {0};

        c->tls_words = mem_str("the TLS handshake was not finished in time");
        c->state = TALKING;
        smtp_client_tls_done(c->engine, &no);
        pump(c);
    } else {
        smtp_client_timed_out(c->engine);
        pump(c);
    }
}

/* ---- the owner's side */

static char *name_of(const struct relay_hop *h)
{
    char at[ADDR_TEXT], ip[ADDR_TEXT];

    addr_text(&h->address, at);
    if (!h->host || h->address.ss.ss_family == AF_UNIX)
        return mem_str(at);
    return mem_printf("%s[%s]:%u", h->host, addr_ip_text(&h->address, ip), addr_port(&h->address));
}

static void set_target(struct relay_conn *c)
{
    static const enum tls_verify verify[] = {
        [RELAY_TLS_VERIFY] = TLS_VERIFY_NAME, [RELAY_TLS_DANE] = TLS_VERIFY_DANE};
    const struct relay_hop *h = c->hop;

    c->target = (struct tls_target){.name = h->host, .verify = verify[h->tls], .tlsa = h->tlsa, .tlsa_count = h->tlsa_count};
    if (c->target.verify != TLS_VERIFY_NONE)
        c->target.also = h->also;
}

struct relay_conn *relay_conn_open(const struct relay_conn_setup *s, const struct relay_hop *hop, void *arg, struct err *e)
{
    static const enum smtp_client_tls_policy policy[] = {
        SMTP_CLIENT_TLS_NONE, SMTP_CLIENT_TLS_MAY, SMTP_CLIENT_TLS_REQUIRED, SMTP_CLIENT_TLS_REQUIRED, SMTP_CLIENT_TLS_REQUIRED};
    int fd = connect_start(&hop->address, NULL, e);
    struct relay_conn *c;

    if (fd < 0)
        return NULL;
    c = mem_alloc(sizeof *c);
    c->setup = *s;
    c->hop = hop;
    c->arg = arg;
    c->fd = -1;
    c->remote = name_of(hop);
    c->since_us = loop_now_us(s->loop);
    c->profile = (struct smtp_client_profile){
        .hostname = s->hostname, .lmtp = hop->lmtp, .tls = policy[hop->tls], .implicit_tls = hop->implicit_tls,
        .sasl = hop->user != NULL, .sasl_in_clear = hop->address.ss.ss_family == AF_UNIX, .detect_loop = hop->detect_loop};
    set_target(c);
    stream_init(&c->stream, s->loop, fd, on_io, c);
    watch_want(c->stream.watch, LOOP_WRITE);
    return c;
}

void relay_conn_send(struct relay_conn *c, const struct smtp_client_message *m, int fd, uint64_t offset)
{
    c->ready_said = false;
    c->fd = fd;
    c->offset = offset;
    smtp_client_message(c->engine, m);
    pump(c);
}

void relay_conn_quit(struct relay_conn *c)
{
    c->quitting = true;
    c->since_us = loop_now_us(c->setup.loop);
    smtp_client_quit(c->engine);
    pump(c);
}

const char *relay_conn_remote(const struct relay_conn *c)
{
    return c->remote;
}

const char *relay_conn_tls(struct relay_conn *c)
{
    if (!c->in_tls)
        return "";
    free(c->tls_text);
    c->tls_text = mem_printf("%s %s, %s", tls_conn_version(c->stream.tls), tls_conn_cipher(c->stream.tls),
                             tls_client_verdict(c->stream.tls));
    return c->tls_text;
}
