#include "relay/verify_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"

struct verify_question {
    struct verify_question *next, **link;
    struct verify_client *client;
    verify_told *told;
    void *arg;
    uint32_t number;
    char *route, *address; /* NULL when they were sent */
};

struct list {
    struct verify_question *first, **last;
};

struct verify_client {
    struct loop *loop;
    struct watch *watch;
    int fd;
    bool gone; /* the relay: its channel stays open, since its end is what makes the loop call back */
    struct list unsent, sent;
    unsigned open;
    uint32_t number;
    char room[CHAN_MAX + 4];
};

/* ---- lists */

static void add(struct list *l, struct verify_question *q)
{
    q->next = NULL;
    q->link = l->last;
    *l->last = q;
    l->last = &q->next;
}

static void take_out(struct list *l, struct verify_question *q)
{
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    else
        l->last = q->link;
}

static struct list *list_of(const struct verify_question *q)
{
    return q->route ? &q->client->unsent : &q->client->sent;
}

static void release(struct verify_question *q)
{
    take_out(list_of(q), q);
    q->client->open--;
    free(q->route);
    free(q->address);
    free(q);
}

static void answer(struct verify_question *q, const struct verify_answer *a)
{
    verify_told *told = q->told;
    void *arg = q->arg;

    release(q);
    told(arg, a);
}

static void answer_unknown(struct verify_question *q, const char *why)
{
    struct verify_answer a = {.verdict = VERIFY_UNKNOWN, .text = {why, strlen(why)}};

    answer(q, &a);
}

/* ---- the channel */

static void want(struct verify_client *c)
{
    if (c->gone)
        watch_want(c->watch, c->open ? LOOP_READ : 0);
    else
        watch_want(c->watch, c->unsent.first ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* Those that are open now, and not those that are asked meanwhile: they come in the next turn. */
static void answer_all(struct verify_client *c)
{
    uint32_t last = c->number;
    struct verify_question *q;

    while ((q = c->sent.first))
        answer_unknown(q, "the relay has died");
    while ((q = c->unsent.first) && (int32_t)(q->number - last) <= 0)
        answer_unknown(q, "the relay is not there");
}

static void take(struct verify_client *c, const struct chan_msg *m)
{
    struct verify_answer a;
    struct verify_question *q;
    uint32_t number;

    if (m->type != VERIFY_ANSWER || m->nfds || verify_answer_decode(&number, &a, m->data, m->len) < 0) {
        log_event(LOG_LEVEL_ERROR, "relay.bad-answer", "a message of type %u from the relay is not well-formed",
                  m->type);
        c->gone = true;
        (void)shutdown(c->fd, SHUT_RDWR); /* so that the loop comes back */
        return;
    }
    for (q = c->sent.first; q; q = q->next)
        if (q->number == number) {
            answer(q, &a);
            return;
        }
}

static void read_answers(struct verify_client *c)
{
    struct chan_msg m;
    int r = 0;

    while (!c->gone && (r = chan_recv(c->fd, c->room, sizeof c->room, &m, NULL)) > 0) {
        take(c, &m);
        chan_msg_close(&m);
    }
    if (r < 0)
        c->gone = true;
}

/* false: no room in the channel, or nobody there. */
static bool send_one(struct verify_client *c, struct verify_question *q)
{
    struct verify_ask a = {.number = q->number, .route = q->route, .address = q->address};
    struct buf b = {0};
    int r;

    verify_ask_encode(&b, &a);
    r = chan_send(c->fd, VERIFY_ASK, buf_data(&b), b.len, NULL, 0, NULL);
    buf_clear(&b);
    if (r <= 0) /* 0: later; less: what the relay said before it died is read first */
        return false;
    take_out(&c->unsent, q);
    free(q->route);
    free(q->address);
    q->route = q->address = NULL;
    add(&c->sent, q);
    return true;
}

static void send_questions(struct verify_client *c)
{
    struct verify_question *q;

    while ((q = c->unsent.first))
        if (!verify_ask_fits(q->route, q->address))
            answer_unknown(q, "too long to be asked");
        else if (!send_one(c, q))
            return;
}

static void on_channel(void *arg, unsigned what)
{
    struct verify_client *c = arg;

    if (what & LOOP_READ)
        read_answers(c);
    if (!c->gone && what & LOOP_WRITE)
        send_questions(c);
    if (c->gone)
        answer_all(c);
    want(c);
}

/* ---- the caller's side */

struct verify_client *verify_client_new(struct loop *l, int fd)
{
    struct verify_client *c = mem_alloc(sizeof *c);

    assert(fd >= 0);
    c->loop = l;
    c->fd = fd;
    c->unsent.last = &c->unsent.first;
    c->sent.last = &c->sent.first;
    c->watch = watch_new(l, fd, on_channel, c);
    want(c);
    return c;
}

void verify_client_free(struct verify_client **cp)
{
    struct verify_client *c = *cp;

    if (!c)
        return;
    while (c->sent.first)
        release(c->sent.first);
    while (c->unsent.first)
        release(c->unsent.first);
    watch_free(&c->watch);
    close(c->fd);
    free(c);
    *cp = NULL;
}

void verify_client_use(struct verify_client *c, int fd)
{
    assert(fd >= 0);
    read_answers(c); /* the last words of the one before */
    while (c->sent.first)
        answer_unknown(c->sent.first, "the relay has died");
    watch_free(&c->watch);
    close(c->fd);
    c->fd = fd;
    c->gone = false;
    c->watch = watch_new(c->loop, fd, on_channel, c);
    want(c);
}

struct verify_question *verify_client_ask(struct verify_client *c, const char *route, const char *address,
                                          verify_told *told, void *arg)
{
    struct verify_question *q = mem_alloc(sizeof *q);

    q->client = c;
    q->told = told;
    q->arg = arg;
    q->number = ++c->number;
    q->route = mem_str(route);
    q->address = mem_str(address);
    c->open++;
    add(&c->unsent, q);
    want(c);
    return q;
}

void verify_question_cancel(struct verify_question **q)
{
    if (!*q)
        return;
    release(*q);
    *q = NULL;
}

unsigned verify_client_open(const struct verify_client *c)
{
    return c->open;
}
