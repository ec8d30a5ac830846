#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "session/session.h"
#include "smtp/received.h"

static void make_id(struct session *s)
{
    snprintf(s->message_id, sizeof s->message_id, "%llx-%x", (unsigned long long)s->id, (unsigned)++s->opened);
}

static void write_header(struct session *s)
{
    char ip[ADDR_TEXT], date[CLOCK_RFC5322_LEN];
    struct buf text = {0};
    struct received_facts f = {
        .sender = smtp_engine_sender(s->engine),
        .hello = smtp_engine_hello(s->engine),
        .client_ip = s->listener->conf->hide_client ? NULL : addr_ip_text(&s->peer, ip),
        .by = s->listener->profile.hostname,
        .esmtp = smtp_engine_is_esmtp(s->engine),
        .tls = s->in_tls,
        .authenticated = smtp_engine_identity(s->engine).n > 0,
        .smtputf8 = smtp_engine_params(s->engine)->smtputf8,
        .id = s->message_id,
        .only_rcpt = smtp_engine_only_rcpt(s->engine),
        .date = date,
    };

    f.client_ipv6 = f.client_ip && strchr(ip, ':') != NULL;
    clock_rfc5322(date, clock_now().real_us);
    if (s->in_tls) {
        f.tls_version = tls_conn_version(s->stream.tls);
        f.tls_cipher = tls_conn_cipher(s->stream.tls);
    }
    received_return_path(&text, &f);
    sink_write_local(s->message, buf_data(&text), text.len);
    buf_consume(&text, text.len);
    received_write(&text, &f);
    sink_write(s->message, buf_data(&text), text.len);
    buf_clear(&text);
}

/* ---- what a submitted message lacks (RFC 6409 8) */

struct mending {
    struct fixup fixup;
    char date[CLOCK_RFC5322_LEN], id[320];
};

static void begin_fixup(struct session *s)
{
    struct mending *m;

    if (!s->may_relay)
        return;
    m = mem_alloc(sizeof *m);
    clock_rfc5322(m->date, clock_now().real_us);
    snprintf(m->id, sizeof m->id, "<%s@%s>", s->message_id, s->server->conf->hostname);
    fixup_begin(&m->fixup, m->date, m->id);
    s->fixup = &m->fixup;
}

static void end_fixup(struct session *s)
{
    struct buf out = {0};

    if (!s->fixup)
        return;
    fixup_end(s->fixup, &out);
    if (out.len)
        sink_write(s->message, buf_data(&out), out.len);
    buf_clear(&out);
    free(s->fixup);
    s->fixup = NULL;
}

void session_content(struct session *s, struct span bytes)
{
    struct buf out = {0};

    if (!s->message)
        return;
    if (!s->fixup || s->fixup->body) {
        sink_write(s->message, bytes.p, bytes.n);
        return;
    }
    fixup_feed(s->fixup, &out, bytes.p, bytes.n);
    if (out.len)
        sink_write(s->message, buf_data(&out), out.len);
    buf_clear(&out);
}

static void refuse(struct session *s, const struct sink_answer *a)
{
    char text[120];
    struct smtp_verdict v = {.text = text};

    v.code = a->result == SINK_FAILED ? 451 : 452;
    v.enhanced = a->result == SINK_FULL ? "4.3.1" : a->result == SINK_QUOTA ? "4.2.2" : "4.3.0";
    snprintf(text, sizeof text, "%s (%s)",
             a->result == SINK_FULL    ? "insufficient system storage"
             : a->result == SINK_QUOTA ? "mailbox over quota"
                                       : "the message cannot be stored now",
             s->message_id);
    session_count(s, SHARE_MESSAGES_TEMPFAIL, 1);
    smtp_engine_answer(s->engine, &v);
}

static void opened(struct session *s, struct sink_message *m, const struct sink_answer *a)
{
    static const struct smtp_verdict yes;

    s->message = m;
    s->wait = SESSION_READ;
    if (!m) {
        refuse(s, a);
        return;
    }
    write_header(s);
    begin_fixup(s);
    smtp_engine_answer(s->engine, &yes);
}

static struct sink_message *open_queued(struct session *s, int *pending, struct sink_answer *a)
{
    struct sink_queue q = {.id = s->message_id};
    struct sink_message *m = NULL;
    struct buf head = {0};
    struct err e;

    *pending = 0;
    if (session_away_head(s, &head, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "queue.refused", "%s", e.text);
        *a = (struct sink_answer){.result = SINK_FAILED, .mailbox = UINT32_MAX};
    } else {
        q.head = buf_data(&head);
        q.head_size = head.len;
        m = sink_open_queued(s->server->sink, s, smtp_engine_rcpt_ids(s->engine), smtp_engine_rcpt_id_count(s->engine),
                             &q, pending, a);
    }
    buf_clear(&head);
    return m;
}

bool session_open_message(struct session *s)
{
    struct sink_answer a;
    struct sink_message *m;
    int pending;

    make_id(s);
    if (session_away_count(s))
        m = open_queued(s, &pending, &a);
    else
        m = sink_open(s->server->sink, s, smtp_engine_rcpt_ids(s->engine), smtp_engine_rcpt_id_count(s->engine),
                      &pending, &a);
    if (pending) {
        s->wait = SESSION_OPENING;
        return false;
    }
    opened(s, m, &a);
    return true;
}

void session_opened(void *session, struct sink_message *m, const struct sink_answer *a)
{
    struct session *s = session;

    opened(s, m, a);
    session_resume(s);
}

bool session_commit(struct session *s)
{
    struct sink_message *m = s->message;

    end_fixup(s);
    s->bytes += sink_written(m);
    s->message = NULL; /* the sink's until committed() */
    s->wait = SESSION_COMMITTING;
    sink_commit(m);
    return false;
}

static void log_message(struct session *s)
{
    struct log_line l;

    session_begin(s, &l, LOG_LEVEL_INFO, "message.received");
    log_str(&l, "id", s->message_id);
    log_peer(&l, "from", smtp_engine_sender(s->engine));
    if (smtp_engine_identity(s->engine).n)
        log_peer(&l, "user", smtp_engine_identity(s->engine));
    log_int(&l, "size", (int64_t)smtp_engine_message_size(s->engine));
    log_int(&l, "rcpts", smtp_engine_rcpt_count(s->engine));
    if (session_away_count(s))
        log_int(&l, "queued", session_away_count(s));
    log_end(&l);
}

void session_committed(void *session, const struct sink_answer *a)
{
    struct session *s = session;
    char text[80];
    struct smtp_verdict v = {.code = 250, .enhanced = "2.0.0", .text = text};

    s->wait = SESSION_READ;
    if (a->result != SINK_OK) {
        refuse(s, a);
    } else {
        s->messages++;
        s->rcpts += smtp_engine_rcpt_count(s->engine);
        session_count(s, SHARE_MESSAGES, 1);
        session_count(s, SHARE_RECIPIENTS, smtp_engine_rcpt_count(s->engine));
        session_count(s, SHARE_MESSAGE_BYTES, (int64_t)smtp_engine_message_size(s->engine));
        log_message(s);
        snprintf(text, sizeof text, "Ok: %s", s->message_id);
        session_away_reset(s);
        smtp_engine_answer(s->engine, &v);
    }
    session_resume(s);
}
