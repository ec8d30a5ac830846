#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

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
        .total = (unsigned)share_total(sh, SHARE_CONNECTIONS_NOW),
        .exempt = s->exempt,
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

        snprintf(line, sizeof line, "421 4.7.0 %s TLS is not available at the moment\r\n",
                 s->listener->profile.hostname);
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
            snprintf(line, sizeof line, "421 4.7.0 %s you spoke before the greeting\r\n",
                     s->listener->profile.hostname);
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

static struct session *session_new(struct accept_state *a, const struct addr *peer, const struct addr *proxy)
{
    struct server *v = a->server;
    struct session *s = mem_alloc(sizeof *s);
    const struct conf *c = v->conf;

    s->server = v;
    s->socket = a->socket;
    s->listener = &v->listeners[a->socket->listener];
    s->peer = *peer;
    if (proxy)
        s->proxy = *proxy;
    s->id = make_id(v);
    s->exempt = addr_is_loopback(peer) || net_has(c->trusted_networks, c->trusted_network_count, peer);
    s->withheld = net_has(s->listener->conf->no_starttls_for, s->listener->conf->no_starttls_for_count, peer);
    s->may_relay = net_has(s->listener->conf->relay_from, s->listener->conf->relay_from_count, peer);
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

void session_start(struct accept_state *a, int fd, const struct addr *peer, const struct addr *proxy)
{
    struct server *v = a->server;
    struct session *s = session_new(a, peer, proxy);
    const struct conf *c = v->conf;
    bool diagnostic = net_has(c->diagnostic_networks, c->diagnostic_network_count, peer);
    struct log_line l;

    if (!is_admitted(s, fd)) {
        free(s);
        return;
    }
    count_in(s);
    stream_init(&s->stream, v->loop, fd, session_io, s);
    s->engine = smtp_engine_new(diagnostic ? &s->listener->diagnostic : &s->listener->profile,
                                s->listener->conf->tls == CONF_TLS_IMPLICIT);
    if (s->may_relay)
        smtp_engine_trust(s->engine);
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
