#include "session/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/text.h"
#include "session/session.h"
#include "sink/store.h"

#define SECOND INT64_C(1000000)
#define READY_WITHOUT_AUTH_US (5 * SECOND)
#define LEADERLESS_US (3 * SECOND / 2) /* without a leader: what is running may finish that long */

static const struct tls_listener_facts tls_is_off = {.mode = TLS_MODE_OFF};

static void accepted(void *arg, int fd, const struct addr *peer)
{
    struct accept_state *a = arg;
    const struct conf_listener *l = a->server->listeners[a->socket->listener].conf;

    if (net_has(l->proxy_from, l->proxy_from_count, peer))
        session_proxied(a, fd, peer);
    else
        session_start(a, fd, peer, NULL);
}

static void stop_accepting(struct server *v)
{
    for (unsigned i = 0; i < v->setup->socket_count; i++)
        listener_stop(v->accepts[i].listener);
    v->accepting = false;
}

/* 421 at each session's next boundary outside a transaction. now: those inside one hear it as well, unless a message is
 * open; a handshake is cut off, and so is who is no session yet: a header that came later would begin one. */
static void shut_down(struct server *v, bool now)
{
    struct session *s, *next;

    if (now)
        session_proxied_free(v);
    for (s = v->first; s; s = next) {
        next = s->next;
        if (now && s->wait == SESSION_HANDSHAKE) {
            session_end(s, "shutting down");
            continue;
        }
        smtp_engine_shutdown(s->engine, now);
        if (s->wait == SESSION_GREET)
            session_greet(s);
        else if (s->wait == SESSION_READ)
            session_pump(s);
    }
}

static void force_at(struct server *v, int64_t after_us)
{
    v->force_us = loop_now_us(v->loop) + after_us;
    session_alarm(v, v->force_us);
    shut_down(v, true);
}

void server_check_drained(struct server *v)
{
    if (!v->draining || v->sessions || v->proxied || v->reported)
        return;
    if (!v->leaderless)
        (void)chan_send(v->setup->leader_fd, SERVER_DRAINED, NULL, 0, NULL, 0, NULL);
    v->reported = true;
    loop_stop(v->loop);
}

static void obey(struct server *v, enum server_order order)
{
    switch (order) {
    case SERVER_ACCEPT:
        v->accepting = true;
        for (unsigned i = 0; i < v->setup->socket_count; i++)
            listener_start(v->accepts[i].listener);
        break;
    case SERVER_DRAIN:
        stop_accepting(v);
        v->draining = true;
        break;
    case SERVER_SHUTDOWN:
        stop_accepting(v);
        v->draining = true;
        force_at(v, v->conf->limits.shutdown_data_time * SECOND);
        break;
    case SERVER_CLOSE_OLD:
        shut_down(v, false);
        break;
    case SERVER_AUTH: /* by on_leader(), since they bring something */
    case SERVER_VERIFY:
        break;
    }
}

/* The leader died: nobody would re-fork us, and the next generation is on its way. */
static void leader_lost(struct server *v)
{
    v->leaderless = true;
    watch_want(v->leader_watch, 0);
    stop_accepting(v);
    v->draining = true;
    force_at(v, LEADERLESS_US);
}

static void take_verify(struct server *v, int fd)
{
    if (v->verify)
        verify_client_use(v->verify, fd);
    else
        v->verify = verify_client_new(v->loop, fd);
}

static void on_leader(void *arg, unsigned what)
{
    struct server *v = arg;
    char room[64];
    struct chan_msg m;
    int r;

    (void)what;
    while ((r = chan_recv(v->setup->leader_fd, room, sizeof room, &m, NULL)) == 1) {
        if (m.type == SERVER_AUTH && m.nfds)
            auth_client_channel(v->auth, chan_msg_take(&m, 0));
        if (m.type == SERVER_VERIFY && m.nfds)
            take_verify(v, chan_msg_take(&m, 0));
        chan_msg_close(&m);
        obey(v, (enum server_order)m.type);
    }
    if (r < 0 && !v->leaderless)
        leader_lost(v);
}

static void on_store(void *arg, unsigned what)
{
    struct server *v = arg;

    if (what & LOOP_READ && store_client_readable(v->sink) < 0)
        v->store_gone = true; /* the leader sees its death, too; until then MAIL is answered 451 */
}

/* Ready is who can say in EHLO how to log in, where that is asked for; after some seconds without, 454 must do. */
static void say_ready(struct server *v)
{
    bool knows = auth_client_mechanisms(v->auth) != NULL;

    for (unsigned i = 0; i < v->conf->listener_count && !knows; i++)
        if (v->listeners[i].profile.auth && loop_now_us(v->loop) - v->started_us < READY_WITHOUT_AUTH_US)
            return;
    if (!v->ready_said)
        (void)chan_send_wait(v->setup->leader_fd, 1000, SERVER_READY, NULL, 0, NULL, 0, NULL);
    v->ready_said = true;
}

static void turn_end(void *arg)
{
    struct server *v = arg;

    auth_client_turn(v->auth);
    store_client_flush(v->sink);
    say_ready(v);
    if (v->store_gone)
        watch_want(v->store_watch, 0);
    else
        watch_want(v->store_watch, LOOP_READ | (store_client_wants_write(v->sink) ? LOOP_WRITE : 0));
    session_free_dead(v);
    server_check_drained(v);
}

static void on_tick(void *arg)
{
    struct server *v = arg;

    session_tick(v);
    auth_client_tick(v->auth, loop_now_us(v->loop));
    for (unsigned i = 0; v->accepting && i < v->setup->socket_count; i++)
        listener_tick(v->accepts[i].listener);
}

static void fill_profile(struct smtp_profile *p, const struct conf *c, const struct conf_listener *l)
{
    const struct conf_limits *k = &c->limits;

    *p = (struct smtp_profile){
        .hostname = l->hostname,
        .banner = "ESMTP postern",
        .max_message_size = k->max_message_size,
        .max_recipients = k->max_recipients,
        .max_messages = k->max_messages,
        .max_errors = k->max_errors,
        .max_line = k->max_line,
        .max_hops = k->max_hops,
        .max_body_line = k->max_body_line,
        .smtputf8 = true,
        .auth = l->role == CONF_ROLE_SUBMISSION,
        .dsn = store_has_queue(c),
        .requiretls = l->tls != CONF_TLS_OFF,
        .normalize_newlines = c->normalize_newlines,
    };
}

static void prepare_listeners(struct server *v)
{
    const struct server_setup *s = v->setup;

    v->listeners = mem_alloc(sizeof *v->listeners * (v->conf->listener_count + 1));
    for (unsigned i = 0; i < v->conf->listener_count; i++) {
        struct listener_state *l = &v->listeners[i];

        l->conf = &v->conf->listeners[i];
        l->tls = s->tls[i];
        l->facts = l->tls ? tls_listener_facts(l->tls) : &tls_is_off;
        fill_profile(&l->profile, v->conf, l->conf);
        l->diagnostic = l->profile;
        l->diagnostic.help_shows_reason = true;
    }
    v->accepts = mem_alloc(sizeof *v->accepts * (s->socket_count + 1));
    for (unsigned i = 0; i < s->socket_count; i++) {
        v->accepts[i].server = v;
        v->accepts[i].socket = &s->sockets[i];
        v->accepts[i].listener = listener_new(v->loop, s->sockets[i].fd, accepted, &v->accepts[i]);
    }
}

struct server *server_new(const struct server_setup *setup, struct err *e)
{
    static const struct sink_events events = {session_opened, session_committed};
    struct server *v = mem_alloc(sizeof *v);

    v->setup = setup;
    v->conf = setup->conf;
    if (loop_new(&v->loop, e) < 0) {
        free(v);
        return NULL;
    }
    v->next_id = (uint64_t)clock_now().real_us; /* a worker forked again within a second does not repeat ids */
    v->sink = store_client_new(setup->store_fd, v->conf, &events);
    v->auth = auth_client_new(v->loop);
    v->started_us = loop_now_us(v->loop);
    prepare_listeners(v);
    v->store_watch = watch_new(v->loop, setup->store_fd, on_store, v);
    v->leader_watch = watch_new(v->loop, setup->leader_fd, on_leader, v);
    watch_want(v->store_watch, LOOP_READ);
    watch_want(v->leader_watch, LOOP_READ);
    loop_ticker(v->loop, SECOND, on_tick, v);
    return v;
}

int server_turn(struct server *v, bool wait)
{
    return loop_turn(v->loop, wait, turn_end, v);
}

void server_free(struct server **vp)
{
    struct server *v = *vp;

    if (!v)
        return;
    while (v->first)
        session_end(v->first, "shutting down");
    session_proxied_free(v);
    session_free_dead(v);
    store_client_free(&v->sink);
    auth_client_free(&v->auth);
    verify_client_free(&v->verify);
    watch_free(&v->store_watch);
    watch_free(&v->leader_watch);
    for (unsigned i = 0; i < v->setup->socket_count; i++)
        listener_free(&v->accepts[i].listener);
    free(v->accepts);
    free(v->listeners);
    loop_free(&v->loop);
    free(v);
    *vp = NULL;
}

int server_run(const struct server_setup *setup)
{
    struct err e;
    struct server *v = server_new(setup, &e);

    if (!v) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "%s", e.text);
        return 70;
    }
    loop_run(v->loop, turn_end, v);
    server_free(&v);
    return 0;
}
