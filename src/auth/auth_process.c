#include "auth/auth_process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth_local.h"
#include "auth/dovecot.h"
#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "policy/login_throttle.h"

#define WORKERS_MOST 64u
#define TALKS_MOST 1024u /* of one worker */
#define REMEMBERED 16384 /* clients and names that failed */

struct process;

struct peer { /* a worker */
    struct process *process;
    int fd;
    struct watch *watch;
    unsigned talks;
};

struct talk {
    struct talk *next, **link;
    struct process *process;
    struct peer *peer; /* NULL: cancelled, or the worker is gone; an answer that waits is forgotten */
    uint32_t number;
    struct auth_exchange *exchange; /* NULL: decided */
    bool busy;                      /* with the backend; else the worker may say the next step */
    struct auth_begin_msg facts;
    int64_t answer_us; /* a failure that waits to be told; 0: no */
    enum auth_verdict verdict;
};

struct process {
    const struct auth_setup *setup;
    struct loop *loop;
    struct watch *leader;
    struct auth_backend *backend;
    struct login_throttle *throttle;
    struct peer *peers[WORKERS_MOST];
    struct talk *talks;
    int rc;
    char room[CHAN_MAX + 4];
};

/* ---- talks */

static void free_talk(struct talk *t)
{
    if (t->exchange)
        t->process->backend->ops->cancel(t->process->backend, t->exchange);
    if (t->peer)
        t->peer->talks--;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    free(t);
}

static void drop_peer(struct peer *p)
{
    struct process *x = p->process;
    struct talk *next;

    for (struct talk *t = x->talks; t; t = next) {
        next = t->next;
        if (t->peer == p)
            free_talk(t);
    }
    watch_free(&p->watch);
    close(p->fd);
    for (unsigned i = 0; i < WORKERS_MOST; i++)
        if (x->peers[i] == p)
            x->peers[i] = NULL;
    free(p);
}

/* A worker that does not take answers is no worker any more; it sees the end of the channel. The caller does not touch
 * the peer after a false. */
static bool tell(struct peer *p, uint32_t number, enum auth_verdict v, const char *text)
{
    struct buf b = {0};
    int r;

    auth_answer_encode(&b, number, v, text);
    r = chan_send(p->fd, AUTH_ANSWER, buf_data(&b), b.len, NULL, 0, NULL);
    buf_clear(&b);
    if (r != 1)
        drop_peer(p);
    return r == 1;
}

static void decide(struct talk *t, enum auth_verdict v, const char *text)
{
    struct peer *p = t->peer;
    uint32_t number = t->number;

    free_talk(t);
    if (p)
        tell(p, number, v, text);
}

/* ---- guessing is slowed down */

static void begin_line(struct log_line *l, const struct talk *t, enum log_level level, const char *event)
{
    log_begin(l, level, event);
    log_str(l, "spanId", t->facts.session);
    log_ip(l, "localIp", "localPort", &t->facts.local);
    log_ip(l, "remoteIp", "remotePort", &t->facts.client);
    log_str(l, "mechanism", t->facts.mechanism);
}

static void say_too_many(const struct talk *t, const char *name, const char *reason)
{
    struct log_line l;

    begin_line(&l, t, LOG_LEVEL_WARN, "auth.too-many-attempts");
    log_peer(&l, "user", (struct peer_text){name, strlen(name)});
    log_str(&l, "reason", reason);
    log_end(&l);
}

static struct addr_key client_key(const struct talk *t)
{
    return addr_key(&t->facts.client, 32, 64);
}

/* How long this failure waits to be told. */
static int64_t count_failure(struct talk *t, const char *name, int64_t now)
{
    struct process *p = t->process;
    struct addr_key client = client_key(t);
    char plain[CONF_USER_NAME];
    int64_t by_client, by_name;

    if (login_throttle_failed(p->throttle, LOGIN_CLIENT, &client, sizeof client, now))
        say_too_many(t, name, "client");
    by_client = login_throttle_delay(p->throttle, LOGIN_CLIENT, &client, sizeof client, now, NULL);
    if (conf_user_name(plain, span_str(name), NULL) <
        0)                /* "admin": nobody's, so nobody is guarded; and whoever forgets */
        return by_client; /* the domain does not wait for what others tried */
    if (login_throttle_failed(p->throttle, LOGIN_NAME, plain, strlen(plain), now))
        say_too_many(t, name, "user");
    by_name = login_throttle_delay(p->throttle, LOGIN_NAME, plain, strlen(plain), now, NULL);
    return by_client > by_name ? by_client : by_name;
}

static void on_alarm(void *arg);

static void fail(struct talk *t, const char *name)
{
    struct process *p = t->process;
    int64_t now = loop_now_us(p->loop), delay = count_failure(t, name, now);
    struct log_line l;

    begin_line(&l, t, LOG_LEVEL_INFO, "auth.failed");
    log_peer(&l, "user", (struct peer_text){name, strlen(name)});
    log_int(&l, "elapsed", delay / 1000);
    log_end(&l);
    if (!delay) {
        decide(t, AUTH_FAILED, "");
        return;
    }
    t->answer_us = now + delay;
    t->verdict = AUTH_FAILED;
    loop_alarm(p->loop, t->answer_us, on_alarm, p);
}

static void tell_due(struct process *p)
{
    int64_t now = loop_now_us(p->loop);
    struct talk *t = p->talks;

    while (t) {
        if (!t->answer_us || t->answer_us > now) {
            if (t->answer_us)
                loop_alarm(p->loop, t->answer_us, on_alarm, p);
            t = t->next;
            continue;
        }
        decide(t, t->verdict, "");
        t = p->talks; /* a worker that is dropped takes its talks along */
    }
}

static void on_alarm(void *arg)
{
    tell_due(arg);
}

static void worked(struct talk *t, const char *identity)
{
    struct process *p = t->process;
    struct addr_key client = client_key(t);
    int64_t now = loop_now_us(p->loop);
    struct log_line l;

    login_throttle_worked(p->throttle, LOGIN_CLIENT, &client, sizeof client, now);
    login_throttle_worked(p->throttle, LOGIN_NAME, identity, strlen(identity), now);
    begin_line(&l, t, LOG_LEVEL_INFO, "auth.ok");
    log_str(&l, "user", identity);
    log_end(&l);
    decide(t, AUTH_OK, identity);
}

/* ---- from the backend */

static void on_answer(void *arg, enum auth_verdict v, const char *text, const char *name)
{
    struct talk *t = arg;

    if (v == AUTH_CONTINUE) {
        if (t->busy) { /* else nobody asked; Dovecot may have faults */
            t->busy = false;
            tell(t->peer, t->number, v, text);
        }
        return;
    }
    t->exchange = NULL;
    if (v == AUTH_OK)
        worked(t, text);
    else if (v == AUTH_FAILED)
        fail(t, name);
    else
        decide(t, v, "");
}

static bool tell_mechanisms(struct peer *p)
{
    const struct auth_backend *b = p->process->backend;
    const char *text = b->ops->mechanisms(b);
    int r = chan_send(p->fd, AUTH_MECHANISMS, text, strlen(text) + 1, NULL, 0, NULL);

    if (r != 1)
        drop_peer(p);
    return r == 1;
}

static void on_changed(void *arg)
{
    struct process *p = arg;

    for (unsigned i = 0; i < WORKERS_MOST; i++)
        if (p->peers[i])
            tell_mechanisms(p->peers[i]);
}

static const struct auth_backend_events events = {on_answer, on_changed};

/* ---- from workers */

static struct talk *find(const struct peer *p, uint32_t number)
{
    for (struct talk *t = p->process->talks; t; t = t->next)
        if (t->peer == p && t->number == number)
            return t;
    return NULL;
}

static bool has_mechanism(const struct process *p, const char *name)
{
    const char *list = p->backend->ops->mechanisms(p->backend);
    size_t n = strlen(name);

    for (const char *at = list; n && (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static struct talk *new_talk(struct peer *p, const struct auth_begin_msg *m)
{
    struct process *x = p->process;
    struct talk *t = mem_alloc(sizeof *t);

    t->process = x;
    t->peer = p;
    t->number = m->number;
    t->facts = *m;
    t->next = x->talks;
    t->link = &x->talks;
    if (t->next)
        t->next->link = &t->next;
    x->talks = t;
    p->talks++;
    return t;
}

static bool is_there(const struct process *x, const struct peer *p)
{
    for (unsigned i = 0; i < WORKERS_MOST; i++)
        if (x->peers[i] == p)
            return true;
    return false;
}

/* Clients that begin an exchange and say no more must not keep others out: the one that has been silent longest gives
 * way. Its worker hears that it is over, and tells its client when that speaks again. */
static bool make_room(struct peer *p)
{
    struct talk *oldest = NULL;

    for (struct talk *t = p->process->talks; t; t = t->next) /* the newest first */
        if (t->peer == p && t->exchange && !t->busy)
            oldest = t;
    if (oldest)
        decide(oldest, AUTH_UNAVAILABLE, "");
    return oldest != NULL;
}

/* -1: the worker talks nonsense. The peer may be gone afterwards either way. */
static int begin(struct peer *p, const struct chan_msg *m)
{
    struct process *x = p->process;
    struct auth_begin_msg facts;
    const char *text;
    struct talk *t;
    struct addr_key client;
    bool too_many;

    if (auth_begin_decode(&facts, &text, m->data, m->len) < 0 || find(p, facts.number))
        return -1;
    if (p->talks >= TALKS_MOST && !make_room(p))
        return tell(p, facts.number, AUTH_UNAVAILABLE, "") ? 0 : 1;
    if (!is_there(x, p))
        return 0;
    t = new_talk(p, &facts);
    client = client_key(t);
    (void)login_throttle_delay(x->throttle, LOGIN_CLIENT, &client, sizeof client, loop_now_us(x->loop), &too_many);
    if (too_many) {
        decide(t, AUTH_TOO_MANY, "");
    } else if (!has_mechanism(x, facts.mechanism)) {
        decide(t, *x->backend->ops->mechanisms(x->backend) ? AUTH_UNKNOWN : AUTH_UNAVAILABLE, "");
    } else {
        t->busy = true;
        t->exchange = x->backend->ops->begin(x->backend, &t->facts, text, t);
        if (!t->exchange)
            decide(t, AUTH_UNAVAILABLE, "");
    }
    return 0;
}

static int step(struct peer *p, const struct chan_msg *m)
{
    uint32_t number;
    const char *text;
    struct talk *t;

    if (auth_step_decode(&number, &text, m->data, m->len) < 0)
        return -1;
    t = find(p, number);
    if (!t || !t->exchange) /* it has ended: the answer is on its way, or waits until it is due */
        return 0;
    if (t->busy) /* a worker in bad hands: a thread may be at these very words */
        return -1;
    t->busy = true;
    p->process->backend->ops->step(p->process->backend, t->exchange, text);
    return 0;
}

static int cancel(struct peer *p, const struct chan_msg *m)
{
    uint32_t number;
    struct talk *t;

    if (auth_cancel_decode(&number, m->data, m->len) < 0)
        return -1;
    t = find(p, number);
    if (t)
        free_talk(t);
    return 0;
}

static int take(struct peer *p, const struct chan_msg *m)
{
    switch (m->type) {
    case AUTH_BEGIN:
        return begin(p, m);
    case AUTH_STEP:
        return step(p, m);
    case AUTH_CANCEL:
        return cancel(p, m);
    default:
        return -1;
    }
}

static void on_worker(void *arg, unsigned what)
{
    struct peer *p = arg;
    struct process *x = p->process;
    struct chan_msg m;
    int r;

    (void)what;
    while (is_there(x, p) && (r = chan_recv(p->fd, x->room, sizeof x->room, &m, NULL)) != 0) {
        int rc = r < 0 ? -1 : take(p, &m);

        if (r > 0) {
            explicit_bzero(x->room, m.len + 4); /* a password may have been in it */
            chan_msg_close(&m);
        }
        if (rc < 0 && is_there(x, p)) {
            if (r > 0)
                log_event(LOG_LEVEL_ERROR, "auth.bad-message", "a worker's message of type %u is not well-formed",
                          m.type);
            drop_peer(p);
        }
    }
}

/* ---- from the leader */

static void add_worker(struct process *x, int fd)
{
    unsigned i = 0;
    struct peer *p;

    while (i < WORKERS_MOST && x->peers[i])
        i++;
    if (fd < 0 || i == WORKERS_MOST) {
        if (fd >= 0)
            close(fd);
        return;
    }
    p = mem_alloc(sizeof *p);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    p->process = x;
    p->fd = fd;
    p->watch = watch_new(x->loop, fd, on_worker, p);
    x->peers[i] = p;
    watch_want(p->watch, LOOP_READ);
    tell_mechanisms(p);
}

static void on_leader(void *arg, unsigned what)
{
    struct process *x = arg;
    struct chan_msg m;
    int r;

    (void)what;
    while ((r = chan_recv(x->setup->leader_fd, x->room, sizeof x->room, &m, NULL)) > 0) {
        if (m.type == AUTH_ADD_WORKER)
            add_worker(x, chan_msg_take(&m, 0));
        chan_msg_close(&m);
    }
    if (r < 0)
        loop_stop(x->loop);
}

static void tick(void *arg)
{
    struct process *x = arg;

    if (x->backend->ops->tick)
        x->backend->ops->tick(x->backend);
    tell_due(x);
}

static void turn_end(void *arg)
{
    (void)arg;
}

static int open_backend(struct process *x, struct err *e)
{
    const struct auth_setup *s = x->setup;

    return s->dovecot ? dovecot_new(&x->backend, x->loop, s->dovecot, &events, x, e)
                      : auth_local_new(&x->backend, x->loop, s->users, &events, x, e);
}

static void end(struct process *x)
{
    for (unsigned i = 0; i < WORKERS_MOST; i++)
        if (x->peers[i])
            drop_peer(x->peers[i]);
    if (x->backend)
        x->backend->ops->free(&x->backend);
    watch_free(&x->leader);
    login_throttle_free(&x->throttle);
    loop_free(&x->loop);
    free(x);
}

int auth_run(const struct auth_setup *s)
{
    struct process *x = mem_alloc(sizeof *x);
    struct err e;
    int rc = 0;

    x->setup = s;
    x->throttle = login_throttle_new(REMEMBERED);
    if (loop_new(&x->loop, &e) < 0 || open_backend(x, &e) < 0 ||
        chan_send_wait(s->leader_fd, 5000, AUTH_READY, NULL, 0, NULL, 0, &e) != 1) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "auth: %s", e.text);
        rc = 70;
    } else {
        x->leader = watch_new(x->loop, s->leader_fd, on_leader, x);
        watch_want(x->leader, LOOP_READ);
        loop_ticker(x->loop, 1000000, tick, x);
        loop_run(x->loop, turn_end, x);
    }
    end(x);
    return rc;
}
