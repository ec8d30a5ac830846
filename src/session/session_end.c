/* The end of a session: at once, or when its last words are out. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "session/session.h"

#define LINGER_US (2 * INT64_C(1000000))

void session_abort(struct session *s)
{
    sink_abort(&s->message);
    free(s->fixup);
    s->fixup = NULL;
}

/* The sink may hold this session's address as long as it waits for an answer: before any other state, it is told. */
static void leave_sink(struct session *s)
{
    if (s->wait == SESSION_OPENING)
        sink_cancel(s->server->sink, s);
    if (s->wait == SESSION_COMMITTING)
        sink_forget(s->server->sink, s); /* it is delivered all the same; the client will send it again */
    session_cancel_auth(s);
    session_cancel_verify(s);
    session_abort(s);
    session_away_reset(s);
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
void session_linger(struct session *s)
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
    session_flush(s);
}

void session_say(struct session *s, const char *reply, const char *how)
{
    if (!s->stream.handshaking)
        buf_append(&s->stream.out, reply, strlen(reply));
    session_finish(s, how);
}
