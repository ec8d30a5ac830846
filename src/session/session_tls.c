#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "session/session.h"

static void log_failure(struct session *s, const char *details)
{
    struct log_line l;

    session_begin(s, &l, LOG_LEVEL_WARN, "tls.handshake-error");
    log_str(&l, "reason", details);
    log_peer(&l, "hostname", smtp_engine_hello(s->engine));
    log_end(&l);
    session_count(s, SHARE_TLS_FAILURES, 1);
}

bool session_start_tls(struct session *s, const struct smtp_action *a)
{
    struct log_line l;
    struct err e;

    /* CVE-2011-0411: bytes behind STARTTLS were sent in clear, maybe by somebody in the middle, and would be taken for
     * the client's own words inside TLS. They are never looked at; the session ends. */
    if (stream_has_unread(&s->stream)) {
        session_begin(s, &l, LOG_LEVEL_WARN, "smtp.start-tls-injection");
        log_peer(&l, "hostname", smtp_engine_hello(s->engine));
        log_str(&l, "details", "bytes arrived behind STARTTLS before its answer; the connection is closed");
        log_end(&l);
        buf_clear(&s->stream.in);
        smtp_engine_tls_injected(s->engine);
        return true;
    }
    session_begin(s, &l, LOG_LEVEL_DEBUG, "smtp.start-tls");
    log_end(&l);
    /* The context is held before the 220 is written: what was promised can be kept whatever is reloaded meanwhile. */
    s->tls_next = tls_conn_new(s->listener->tls, clock_now().real_us / 1000000, &e);
    if (!s->tls_next) {
        struct smtp_tls_facts failed = {.ok = false};

        log_failure(s, e.text);
        smtp_engine_tls_done(s->engine, &failed);
        return true;
    }
    buf_append(&s->stream.out, a->bytes.p, a->bytes.n);
    s->wait = SESSION_STARTTLS;
    return false;
}

static void handshake(struct session *s);

static void begin(struct session *s)
{
    s->wait = SESSION_HANDSHAKE;
    stream_start_tls(&s->stream, s->tls_next);
    s->tls_next = NULL;
    session_deadline(s); /* in all: no byte of the client's moves it */
    handshake(s);
}

void session_starttls_written(struct session *s)
{
    begin(s);
}

void session_implicit(struct session *s)
{
    struct err e;

    s->tls_next = tls_conn_new(s->listener->tls, clock_now().real_us / 1000000, &e);
    if (!s->tls_next) {
        log_failure(s, e.text);
        session_end(s, "no certificate");
        return;
    }
    begin(s);
}

static void done(struct session *s)
{
    struct smtp_tls_facts ok = {.ok = true};
    bool implicit = s->listener->conf->tls == CONF_TLS_IMPLICIT;
    struct log_line l;

    s->in_tls = true;
    s->rate_from_us = 0;
    s->activity_us = loop_now_us(s->server->loop);
    session_count(s, SHARE_TLS_HANDSHAKES, 1);
    session_begin(s, &l, LOG_LEVEL_DEBUG, "tls.handshake");
    log_str(&l, "version", tls_conn_version(s->stream.tls));
    log_str(&l, "details", tls_conn_cipher(s->stream.tls));
    log_str(&l, "certificate", tls_conn_cert_title(s->stream.tls));
    log_str(&l, "sni", tls_conn_sni(s->stream.tls));
    log_end(&l);
    s->wait = SESSION_READ;
    if (implicit) {
        session_greet(s);
        return;
    }
    smtp_engine_tls_done(s->engine, &ok);
    session_pump(s);
}

static void handshake(struct session *s)
{
    enum tls_io r = stream_handshake(&s->stream);

    if (r == TLS_IO_DONE) {
        done(s);
    } else if (r == TLS_IO_EOF || r == TLS_IO_FAILED) {
        log_failure(s, tls_conn_error(s->stream.tls));
        session_end(s, "handshake failed");
    }
}

static bool is_silent(const struct session *s)
{
    return s->listener->conf->tls == CONF_TLS_IMPLICIT && s->activity_us == s->started_us;
}

void session_handshake_io(struct session *s)
{
    struct log_line l;

    /* connected and left: a monitor that looks whether the port is open, not a failed handshake */
    if (is_silent(s) && !stream_has_unread(&s->stream)) {
        session_begin(s, &l, LOG_LEVEL_DEBUG, "network.closed");
        log_str(&l, "reason", "the client closed without a byte");
        log_end(&l);
        session_end(s, "closed by the client");
        return;
    }
    s->activity_us = loop_now_us(s->server->loop);
    if (s->activity_us == s->started_us)
        s->activity_us++; /* within one turn */
    handshake(s);
}

/* A client that waits for the greeting in clear sends nothing, for ever: the commonest mistake on such a port. */
void session_handshake_late(struct session *s)
{
    log_failure(s, is_silent(s)
                       ? "no byte came before the time was over: TLS begins at once on this port, a client that "
                         "waits for a greeting in clear needs STARTTLS on another"
                       : "the handshake took too long");
    session_end(s, "handshake timeout");
}
