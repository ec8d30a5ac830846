#include "auth/auth_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/text.h"

#define PATIENCE_US (60 * INT64_C(1000000)) /* more than the longest delay of a failed login */

struct auth_talk {
    struct auth_talk *next, **link;
    struct auth_client *client;
    uint32_t number;
    bool lost;        /* to be answered UNAVAILABLE at the end of the turn */
    bool gone;        /* ended while nothing was asked: the next step is lost */
    int64_t asked_us; /* 0: nothing is asked, the mail program has the word */
    auth_answer_fn *answer;
    void *arg;
};

struct auth_client {
    struct loop *loop;
    int fd; /* -1: no process */
    struct watch *watch;
    struct auth_talk *talks;
    uint32_t last;
    char *mechanisms;
    bool some_lost;
    char room[CHAN_MAX + 4];
};

struct auth_client *auth_client_new(struct loop *l)
{
    struct auth_client *c = mem_alloc(sizeof *c);

    c->loop = l;
    c->fd = -1;
    return c;
}

static void free_talk(struct auth_talk *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    free(t);
}

/* Nobody may be answered who has not asked: a process can end, or Dovecot behind it, while the mail program thinks. */
static void lose(struct auth_talk *t)
{
    if (!t->asked_us) {
        t->gone = true;
        return;
    }
    t->lost = true;
    t->client->some_lost = true;
}

static void hang_up(struct auth_client *c)
{
    watch_free(&c->watch);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    for (struct auth_talk *t = c->talks; t; t = t->next)
        lose(t);
}

void auth_client_free(struct auth_client **cp)
{
    struct auth_client *c = *cp;

    if (!c)
        return;
    while (c->talks)
        free_talk(c->talks);
    hang_up(c);
    free(c->mechanisms);
    free(c);
    *cp = NULL;
}

const char *auth_client_mechanisms(const struct auth_client *c)
{
    return c->mechanisms;
}

/* ---- to the process */

/* Short messages into a buffer of many: a process that does not take them does not answer either. */
static void tell(struct auth_talk *t, uint32_t type, struct buf *b)
{
    struct auth_client *c = t->client;

    t->asked_us = loop_now_us(c->loop);
    if (c->fd < 0 || t->gone || chan_send(c->fd, type, buf_data(b), b->len, NULL, 0, NULL) != 1)
        lose(t);
    explicit_bzero(buf_data(b), b->len);
    buf_clear(b);
}

struct auth_talk *auth_begin(struct auth_client *c, const struct auth_begin_msg *facts, const char *text, size_t n,
                             auth_answer_fn *answer, void *arg)
{
    struct auth_talk *t = mem_alloc(sizeof *t);
    struct auth_begin_msg m = *facts;
    struct buf b = {0};

    t->client = c;
    t->number = m.number = ++c->last;
    t->answer = answer;
    t->arg = arg;
    t->next = c->talks;
    t->link = &c->talks;
    if (t->next)
        t->next->link = &t->next;
    c->talks = t;
    auth_begin_encode(&b, &m, text, n);
    tell(t, AUTH_BEGIN, &b);
    return t;
}

void auth_step(struct auth_talk *t, const char *text, size_t n)
{
    struct buf b = {0};

    auth_step_encode(&b, t->number, text, n);
    tell(t, AUTH_STEP, &b);
}

/* Also of a talk that was lost while its process lives, which may still hold it. */
static void forget(const struct auth_talk *t)
{
    if (t->client->fd >= 0)
        (void)chan_send(t->client->fd, AUTH_CANCEL, &t->number, sizeof t->number, NULL, 0, NULL);
}

void auth_cancel(struct auth_talk **tp)
{
    if (!*tp)
        return;
    forget(*tp);
    free_talk(*tp);
    *tp = NULL;
}

/* ---- from the process */

static void answer(struct auth_talk *t, enum auth_verdict v, const char *text)
{
    auth_answer_fn *fn = t->answer;
    void *arg = t->arg;

    t->asked_us = 0;
    if (v != AUTH_CONTINUE)
        free_talk(t);
    fn(arg, v, text);
}

static int take_answer(struct auth_client *c, const struct chan_msg *m)
{
    enum auth_verdict v;
    uint32_t number;
    const char *text;

    if (auth_answer_decode(&number, &v, &text, m->data, m->len) < 0)
        return -1;
    for (struct auth_talk *t = c->talks; t; t = t->next) {
        if (t->number == number && !t->lost) {
            if (t->asked_us && !t->gone)
                answer(t, v, text);
            else
                lose(t);
            break; /* none: it was cancelled meanwhile */
        }
    }
    return 0;
}

static int take(struct auth_client *c, const struct chan_msg *m)
{
    const char *text;

    if (m->type == AUTH_ANSWER)
        return take_answer(c, m);
    if (m->type != AUTH_MECHANISMS || auth_mechanisms_decode(&text, m->data, m->len) < 0)
        return -1;
    free(c->mechanisms);
    c->mechanisms = *text ? mem_str(text) : NULL;
    return 0;
}

static void on_process(void *arg, unsigned what)
{
    struct auth_client *c = arg;
    struct chan_msg m;
    int r;

    (void)what;
    while (c->fd >= 0 && (r = chan_recv(c->fd, c->room, sizeof c->room, &m, NULL)) != 0) {
        int rc = r < 0 ? -1 : take(c, &m);

        if (r > 0)
            chan_msg_close(&m);
        if (rc < 0)
            hang_up(c);
    }
}

void auth_client_channel(struct auth_client *c, int fd)
{
    hang_up(c);
    c->fd = fd;
    c->watch = watch_new(c->loop, fd, on_process, c);
    watch_want(c->watch, LOOP_READ);
}

void auth_client_turn(struct auth_client *c)
{
    while (c->some_lost) { /* an answer may begin, or end, others */
        struct auth_talk *t = c->talks;

        while (t && !t->lost)
            t = t->next;
        c->some_lost = t != NULL;
        if (t) {
            forget(t);
            answer(t, AUTH_UNAVAILABLE, "");
        }
    }
}

void auth_client_tick(struct auth_client *c, int64_t now_us)
{
    for (struct auth_talk *t = c->talks; t; t = t->next)
        if (t->asked_us && now_us - t->asked_us > PATIENCE_US)
            lose(t);
    auth_client_turn(c);
}
