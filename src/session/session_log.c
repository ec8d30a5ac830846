#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/sender_rule.h"
#include "session/session.h"

#define MINUTE (60 * INT64_C(1000000))

void session_begin(struct session *s, struct log_line *l, enum log_level level, const char *event)
{
    char id[24];

    log_begin(l, level, event);
    if (!l->on)
        return;
    snprintf(id, sizeof id, "%llx", (unsigned long long)s->id);
    log_str(l, "spanId", id);
    log_str(l, "listenerId", s->listener->conf->title);
    log_ip(l, "localIp", "localPort", &s->socket->local);
    log_ip(l, "remoteIp", "remotePort", &s->peer);
    if (s->proxy.len)
        log_ip(l, "proxyIp", "proxyPort", &s->proxy);
}

bool throttle_opens(struct throttle *t, int64_t now_us, int64_t interval_us, unsigned *held)
{
    if (t->last_us && now_us - t->last_us < interval_us) {
        t->held++;
        return false;
    }
    *held = t->held;
    t->last_us = now_us;
    t->held = 0;
    return true;
}

/* A flood of refused connections is one line a second for each listener and reason, not one for each. */
void session_log_refused(struct session *s, const struct admit_verdict *v)
{
    struct log_line l;
    unsigned held;

    if (!throttle_opens(&s->listener->refused[v->reason], loop_now_us(s->server->loop), 1000000, &held))
        return;
    session_begin(s, &l, LOG_LEVEL_WARN, v->event);
    log_str(&l, "reason", admit_reason_name(v->reason));
    if (held)
        log_int(&l, "heldBack", held);
    log_end(&l);
}

/* A client sees no STARTTLS although the listener is meant to have it: this is where the sender's "STARTTLS required but
 * not advertised" begins, so it is said here, once a minute for each listener and reason. */
void session_log_not_offered(struct session *s, struct peer_text hello)
{
    struct tls_offer o;
    struct log_line l;
    unsigned held;

    session_offer(s, &o);
    if (!o.wanted || o.offered || o.reason == TLS_ALREADY_TLS)
        return;
    session_count(s, SHARE_EHLO_WITHOUT_STARTTLS, 1);
    if (!throttle_opens(&s->listener->not_configured[o.reason], loop_now_us(s->server->loop), MINUTE, &held))
        return;
    session_begin(s, &l, LOG_LEVEL_ERROR, "tls.not-configured");
    log_peer(&l, "hostname", hello);
    log_str(&l, "reason", tls_reason_name(o.reason));
    log_str(&l, "details", o.details);
    log_str(&l, "hint", o.hint);
    if (held)
        log_int(&l, "heldBack", held);
    log_end(&l);
}

/* Refusals by 4xx end no session, and a session may ask for them as fast as the line carries it: the log is not for
 * strangers to fill. */
static bool may_log(struct session *s, enum log_level level)
{
    if (level >= LOG_LEVEL_DEBUG || s->lines < SESSION_LINES_MOST) {
        s->lines += level < LOG_LEVEL_DEBUG;
        return true;
    }
    s->held_lines++;
    return false;
}

static void log_unavailable(struct session *s, enum log_level level, const char *event)
{
    struct log_line l;

    if (!may_log(s, level))
        return;
    session_begin(s, &l, level, event);
    log_peer(&l, "hostname", smtp_engine_hello(s->engine));
    log_str(&l, "reason", tls_reason_name((enum tls_reason)s->reason));
    log_end(&l);
}

static void log_words(struct session *s, enum log_level level, const char *event, const struct smtp_action *a,
                      const char *key)
{
    struct log_line l;

    if (!may_log(s, level))
        return;
    session_begin(s, &l, level, event);
    if (a->text.n)
        log_peer(&l, key, a->text);
    if (a->code)
        log_int(&l, "code", a->code);
    log_end(&l);
}

static void log_hello(struct session *s, const struct smtp_action *a)
{
    log_words(s, LOG_LEVEL_DEBUG, "smtp.ehlo", a, "hostname");
    if (s->withheld && s->reason == TLS_WITHHELD_FROM_CLIENT)
        log_unavailable(s, LOG_LEVEL_INFO, "smtp.start-tls-withheld");
}

/* What the last recipient was refused for. */
static const char *rcpt_event(const struct session *s)
{
    switch ((enum rcpt_reason)s->rcpt_reason) {
    case RCPT_NO_MAILBOX:
        return "smtp.mailbox-does-not-exist";
    case RCPT_NOT_OURS:
        return "smtp.relay-not-allowed";
    case RCPT_UNAVAILABLE:
        return "smtp.rcpt-unavailable";
    default:
        return "smtp.invalid-recipient-address";
    }
}

/* A command that the protocol itself refused: two of them are limits that an administrator may want to raise. */
static void log_refused_command(struct session *s, const struct smtp_action *a)
{
    struct span verb = {a->text.p, a->text.n};

    if (a->code == 452 && span_is(verb, "RCPT"))
        log_words(s, LOG_LEVEL_INFO, "smtp.too-many-recipients", a, "command");
    else if (a->code == 552 && span_is(verb, "MAIL"))
        log_words(s, LOG_LEVEL_INFO, "smtp.message-too-large", a, "command");
    else
        log_words(s, LOG_LEVEL_DEBUG, "smtp.error", a, "command");
}

static const char *message_event(const struct smtp_action *a)
{
    struct span why = {a->text.p, a->text.n};

    if (span_is(why, "size"))
        return "smtp.message-too-large";
    if (span_is(why, "hops"))
        return "smtp.loop-detected";
    return "smtp.message-refused";
}

void session_log_close(struct session *s, enum smtp_close why)
{
    struct log_line l;
    const char *event = why == SMTP_CLOSE_TOO_MANY_MESSAGES ? "smtp.too-many-messages"
                        : why == SMTP_CLOSE_TOO_MANY_ERRORS ? "smtp.too-many-errors"
                                                            : NULL;

    if (!event)
        return;
    session_begin(s, &l, LOG_LEVEL_INFO, event);
    log_peer(&l, "hostname", smtp_engine_hello(s->engine));
    log_end(&l);
}

void session_log_event(struct session *s, const struct smtp_action *a)
{
    switch (a->event) {
    case SMTP_EVENT_EHLO:
        log_hello(s, a);
        break;
    case SMTP_EVENT_INVALID_EHLO:
        log_words(s, LOG_LEVEL_INFO, "smtp.invalid-ehlo", a, "hostname");
        break;
    case SMTP_EVENT_MAIL_ACCEPTED:
        s->mailed = true;
        log_words(s, LOG_LEVEL_DEBUG, "smtp.mail-from", a, "from");
        break;
    case SMTP_EVENT_RCPT_REFUSED:
        if (s->rcpt_reason != RCPT_VERIFY) /* session_log_verified() has said more */
            log_words(s, LOG_LEVEL_INFO, rcpt_event(s), a, "to");
        break;
    case SMTP_EVENT_REFUSED:
        log_refused_command(s, a);
        break;
    case SMTP_EVENT_START_TLS_ALREADY:
        log_unavailable(s, LOG_LEVEL_DEBUG, "smtp.start-tls-already");
        break;
    case SMTP_EVENT_START_TLS_UNAVAILABLE:
        log_unavailable(s, LOG_LEVEL_INFO, "smtp.start-tls-unavailable");
        break;
    case SMTP_EVENT_EHLO_WITHOUT_STARTTLS:
        session_log_not_offered(s, smtp_engine_hello(s->engine));
        break;
    case SMTP_EVENT_MANGLED_STARTTLS:
        log_words(s, LOG_LEVEL_WARN, "smtp.start-tls-mangled", a, "command");
        break;
    case SMTP_EVENT_LINE_TOO_LONG:
        log_words(s, LOG_LEVEL_INFO, "smtp.request-too-large", a, "details");
        break;
    case SMTP_EVENT_BARE_NEWLINE:
        log_words(s, LOG_LEVEL_WARN, "smtp.bare-newline", a, "details");
        break;
    case SMTP_EVENT_MESSAGE_REFUSED:
        session_count(s, SHARE_MESSAGES_REJECTED, 1);
        log_words(s, LOG_LEVEL_INFO, message_event(a), a, "reason");
        break;
    case SMTP_EVENT_HTTP:
        log_words(s, LOG_LEVEL_WARN, "smtp.http-request", a, "command");
        break;
    case SMTP_EVENT_CLIENT_HELLO:
        log_words(s, LOG_LEVEL_WARN, "smtp.client-hello-in-clear", a, "details");
        break;
    case SMTP_EVENT_TALKED_EARLY:
        log_words(s, LOG_LEVEL_INFO, "smtp.talked-early", a, "details");
        break;
    }
}

/* "451 4.7.6 STARTTLS required but not advertised", seen from this side: a client that was offered none and left. */
static void note_left(struct session *s)
{
    struct left_entry *e;
    struct log_line l;
    uint32_t h = 0;

    for (unsigned i = 0; i < 16; i++)
        h = h * 31 + s->network_key.b[i];
    e = &s->server->left[h % LEFT_TABLE];
    session_count(s, SHARE_LEFT_WITHOUT_TLS, 1);
    if (memcmp(&e->key, &s->network_key, sizeof e->key) != 0 ||
        loop_now_us(s->server->loop) - e->since_us > 60 * MINUTE)
        *e = (struct left_entry){.key = s->network_key, .since_us = loop_now_us(s->server->loop)};
    if (++e->count != LEFT_WARN_AFTER && e->count % 1000 != 0)
        return;
    session_begin(s, &l, LOG_LEVEL_WARN, "smtp.left-without-tls");
    log_peer(&l, "hostname", smtp_engine_hello(s->engine));
    log_str(&l, "reason", tls_reason_name((enum tls_reason)s->reason));
    log_int(&l, "total", e->count);
    log_str(&l, "hint", "clients of this network see no STARTTLS and leave; their mail waits with them: postern why");
    log_end(&l);
}

/* A recipient that the next hop was asked about; a cached yes costs a line at debug alone, as any other recipient. */
void session_log_verified(struct session *s, struct peer_text local, struct peer_text domain,
                          const struct verify_answer *a)
{
    enum log_level level = a->verdict == VERIFY_YES ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    struct log_line l;

    if (!may_log(s, level))
        return;
    session_begin(s, &l, level,
                  a->verdict == VERIFY_YES  ? "smtp.rcpt-to"
                  : a->verdict == VERIFY_NO ? "smtp.mailbox-does-not-exist"
                                            : "smtp.rcpt-unverified");
    log_peer(&l, "to", local);
    log_peer(&l, "domain", domain);
    log_str(&l, "result", verify_verdict_name(a->verdict));
    if (a->code)
        log_int(&l, "code", a->code);
    if (a->text.n)
        log_peer(&l, "details", a->text);
    log_end(&l);
}

void session_log_sender(struct session *s, struct peer_text sender, const struct sender_verdict *v)
{
    struct log_line l;

    if (!may_log(s, LOG_LEVEL_INFO))
        return;
    session_begin(s, &l, LOG_LEVEL_INFO, "smtp.sender-refused");
    log_peer(&l, "from", sender);
    log_peer(&l, "user", smtp_engine_identity(s->engine));
    log_str(&l, "reason", sender_reason_name(v->reason));
    log_end(&l);
}

void session_log_end(struct session *s)
{
    struct log_line l;
    bool tls = s->in_tls && s->stream.tls;

    if (!s->in_tls && s->asked && !s->offered && s->listener->conf->tls == CONF_TLS_STARTTLS && !s->mailed &&
        s->reason >= TLS_NO_CERTIFICATE)
        note_left(s);
    session_begin(s, &l, LOG_LEVEL_INFO, "smtp.connection-end");
    if (!l.on)
        return;
    log_peer(&l, "hostname", smtp_engine_hello(s->engine));
    if (tls) {
        log_str(&l, "version", tls_conn_version(s->stream.tls));
        log_str(&l, "cipher", tls_conn_cipher(s->stream.tls));
        log_str(&l, "sni", tls_conn_sni(s->stream.tls));
    }
    if (s->asked) {
        log_bool(&l, "offered", s->offered);
        log_str(&l, "offerReason", tls_reason_name((enum tls_reason)s->reason));
    }
    if (smtp_engine_identity(s->engine).n)
        log_peer(&l, "user", smtp_engine_identity(s->engine));
    log_int(&l, "messages", (int64_t)s->messages);
    log_int(&l, "rcpts", s->rcpts);
    log_int(&l, "bytes", (int64_t)s->bytes);
    log_int(&l, "elapsed", (loop_now_us(s->server->loop) - s->started_us) / 1000);
    log_str(&l, "reason", s->ended);
    if (s->held_lines)
        log_int(&l, "heldBack", s->held_lines);
    log_end(&l);
}
