#include <stdio.h>

#include "session/session.h"

#define SECOND INT64_C(1000000)
#define RATE_GRACE_US (60 * SECOND) /* a slow start is no sin */
#define HANDSHAKE_SECONDS 60

/* What this state may take, in seconds. Called whenever something moved. */
void session_deadline(struct session *s)
{
    const struct conf_limits *l = &s->server->conf->limits;
    unsigned seconds = l->command_timeout;

    switch (s->wait) {
    case SESSION_READ:
        if (s->stream.out.len)
            seconds = l->reply_timeout;
        else if (smtp_engine_phase(s->engine) == SMTP_PHASE_DATA)
            seconds = l->data_timeout;
        break;
    case SESSION_STARTTLS:
        seconds = l->reply_timeout;
        break;
    case SESSION_HANDSHAKE:
        seconds = l->command_timeout < HANDSHAKE_SECONDS ? l->command_timeout : HANDSHAKE_SECONDS;
        break;
    case SESSION_AUTH: /* auth process and relay have a shorter patience of their own */
    case SESSION_VERIFY:
        seconds = l->command_timeout;
        break;
    /* The store answers, or dies and is noticed; these are the last nets. They are a little shorter than what a client
     * waits, RFC 5321 4.5.3.2.4 and 4.5.3.2.6, so that it hears a 4xx and does not just hang up. */
    case SESSION_OPENING:
        seconds = 110;
        break;
    case SESSION_COMMITTING:
        seconds = 570;
        break;
    default:
        return;
    }
    s->deadline_us = loop_now_us(s->server->loop) + seconds * SECOND;
}

static void time_out(struct session *s, const char *event, const char *what)
{
    char line[512];
    struct log_line l;

    if (s->wait == SESSION_HANDSHAKE) {
        session_handshake_late(s);
        return;
    }
    session_begin(s, &l, LOG_LEVEL_INFO, event);
    log_str(&l, "reason", what);
    log_end(&l);
    if (s->wait == SESSION_CLOSING || s->stream.out.len) {
        session_end(s, what); /* nothing more can be said */
        return;
    }
    snprintf(line, sizeof line, "421 4.4.2 %s %s\r\n", s->listener->profile.hostname, what);
    session_say(s, line, what);
}

static bool is_too_slow(const struct session *s, int64_t now)
{
    unsigned rate = s->server->conf->limits.min_rate;
    int64_t took = s->rate_from_us ? now - s->rate_from_us : 0;

    return rate && s->wait == SESSION_READ && took > RATE_GRACE_US && s->rate_bytes < (uint64_t)(took / SECOND) * rate;
}

static bool is_crowding(const struct session *s, int64_t now, bool busy)
{
    return busy && (s->wait == SESSION_READ || s->wait == SESSION_HANDSHAKE) &&
           smtp_engine_phase(s->engine) == SMTP_PHASE_GREETING &&
           now - s->started_us > s->server->conf->limits.busy_timeout * SECOND;
}

static void look(struct session *s, int64_t now, bool busy)
{
    const struct conf_limits *l = &s->server->conf->limits;

    if (s->wait == SESSION_GREET) {
        if (now >= s->deadline_us)
            session_greet(s);
        else
            session_alarm(s->server, s->deadline_us);
    } else if (s->wait == SESSION_LINGER) {
        if (now >= s->deadline_us)
            session_end(s, s->ended);
    } else if (now >= s->deadline_us) {
        time_out(s, "network.timeout", "timeout");
    } else if (now - s->started_us > l->session_time * SECOND && s->wait == SESSION_READ) {
        time_out(s, "smtp.time-limit-exceeded", "session time is over");
    } else if (is_too_slow(s, now)) {
        time_out(s, "network.timeout", "too slow");
    } else if (is_crowding(s, now, busy)) {
        time_out(s, "network.timeout", "the server is busy");
    } else if (s->server->draining && s->wait == SESSION_READ && !s->stream.in.len &&
               smtp_engine_phase(s->engine) <= SMTP_PHASE_COMMAND && now - s->activity_us > l->drain_idle * SECOND) {
        smtp_engine_shutdown(s->engine, false);
        session_pump(s);
    }
}

static void on_alarm(void *arg)
{
    session_tick(arg);
}

void session_alarm(struct server *v, int64_t at_us)
{
    loop_alarm(v->loop, at_us, on_alarm, v);
}

void session_tick(struct server *v)
{
    int64_t now = loop_now_us(v->loop);
    const struct conf_limits *l = &v->conf->limits;
    int64_t total = share_total(v->setup->share, SHARE_CONNECTIONS_NOW);
    bool busy = total * 100 > (int64_t)l->max_connections * l->busy_percent;
    struct session *s, *next;

    session_proxied_tick(v, now);
    if (v->force_us > now)
        session_alarm(v, v->force_us);
    for (s = v->first; s; s = next) {
        next = s->next;
        if (v->force_us && now >= v->force_us)
            session_end(s, "shutting down");
        else
            look(s, now, busy);
    }
}
