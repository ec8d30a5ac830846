/* The engine's wishes: what to send, whom to tell, which bytes come next. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "relay/relay_conn_private.h"

#define OUT_ENOUGH ((size_t)64 * 1024) /* so much waits to be written: no more content until it is gone */
#define WORDS 1200
#define LAST_READS 8
#define LAST_SIZE ((size_t)16 * 1024)

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
    c->setup.events->failed(c->arg, c, &f);
    free(words);
}

static void give_content(struct relay_conn *c, const struct smtp_client_action *a)
{
    char room[16 * 1024];
    ssize_t n;

    do
        n = pread(c->fd, room, a->want < sizeof room ? a->want : sizeof room, (off_t)(c->offset + a->offset));
    while (n < 0 && errno == EINTR);
    if (n > 0)
        smtp_client_content(c->engine, room, (size_t)n);
    else
        smtp_client_content_failed(c->engine,
                                   n < 0 ? "the queued message cannot be read" : "the queued message is too short");
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
    (void)relay_conn_begin_tls(c);
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
        return c->state == RELAY_TALKING;
    case SMTP_CLIENT_RCPT_RESULT:
        c->setup.events->result(c->arg, c, a);
        return true;
    case SMTP_CLIENT_MESSAGE_DONE:
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

/* A server that has refused and hung up may have said why: that counts more than the end. In TLS something may stand before
 * it that is no text (a ticket), which is AGAIN. */
static void read_last_words(struct relay_conn *c)
{
    enum stream_result r = STREAM_OK;

    for (int i = 0; i < LAST_READS && (r == STREAM_OK || r == STREAM_AGAIN); i++)
        r = stream_read(&c->stream, LAST_SIZE);
}

static enum stream_result flush(struct relay_conn *c)
{
    bool had = c->stream.out.len > 0;
    enum stream_result r = c->lost ? STREAM_FAILED : stream_write(&c->stream);

    if (had && r == STREAM_OK)
        c->since_us = loop_now_us(c->setup.loop);
    if (r == STREAM_FAILED && !c->lost) {
        read_last_words(c);
        c->lost = "connection lost";
    }
    return r;
}

/* true: it was told now that nobody is there any more. */
static bool tell_lost(struct relay_conn *c)
{
    if (!c->lost || c->lost_told)
        return false;
    c->lost_told = true;
    smtp_client_lost(c->engine, c->lost);
    return true;
}

/* At READY and NEED_CONTENT: what the owner or the file has to say. true: something was said, go on. */
static bool answer(struct relay_conn *c, const struct smtp_client_action *a)
{
    if (a->kind == SMTP_CLIENT_NEED_CONTENT) {
        if (c->stream.out.len >= OUT_ENOUGH && flush(c) != STREAM_OK)
            return c->lost != NULL;
        give_content(c, a);
        return true;
    }
    if (c->stream.out.len && !c->lost && flush(c) == STREAM_FAILED)
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
            relay_conn_close(c);
            return false;
        }
        if (act(c, &a))
            continue;
        if (c->state != RELAY_TALKING || a.kind == SMTP_CLIENT_WAIT)
            return true;
        if (feed(c) || tell_lost(c))
            continue;
        if (!answer(c, &a))
            return true;
    }
}

void relay_conn_pump(struct relay_conn *c)
{
    if (c->pumping)
        return;
    c->pumping = true;
    if (!crank(c))
        return;
    c->pumping = false;
    if (c->state == RELAY_HANDSHAKE)
        relay_conn_handshake(c);
    else
        stream_want(&c->stream, true);
}
