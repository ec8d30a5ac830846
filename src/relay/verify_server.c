#include "relay/verify_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "relay/outbox.h"

/* A session asks for one recipient at a time, so that this is as many as a worker has sessions, and more. */
#define OPEN_MOST 20000

struct asked {
    struct asked *next, **link;
    struct channel *channel;
    struct verify_wait *wait;
    uint32_t number;
};

struct channel {
    struct channel *next, **link;
    struct verify_server *server;
    struct watch *watch;
    struct outbox out; /* .fd: the channel */
    struct asked *asked;
    unsigned open;
};

struct verify_server {
    struct loop *loop;
    struct verify_desk *desk;
    struct channel *channels;
    unsigned count;
    char room[CHAN_MAX + 4];
};

static void free_asked(struct asked *a)
{
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    a->channel->open--;
    verify_desk_forget(&a->wait);
    free(a);
}

static void end_channel(struct channel *c)
{
    while (c->asked)
        free_asked(c->asked);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->server->count--;
    outbox_clear(&c->out);
    watch_free(&c->watch);
    close(c->out.fd);
    free(c);
}

/* While answers wait nothing more is read: the channel fills, and then it is the worker that waits. */
static void want(struct channel *c)
{
    watch_want(c->watch, outbox_waits(&c->out) ? LOOP_WRITE : LOOP_READ);
}

static void say(struct channel *c, uint32_t number, const struct verify_answer *a)
{
    struct buf b = {0};

    verify_answer_encode(&b, number, a);
    outbox_send(&c->out, VERIFY_ANSWER, &b);
    want(c);
}

static void on_told(void *arg, const struct verify_answer *answer)
{
    struct asked *a = arg;
    struct channel *c = a->channel;
    uint32_t number = a->number;

    a->wait = NULL; /* it is over */
    free_asked(a);
    say(c, number, answer);
}

static void ask(struct channel *c, const struct verify_ask *q)
{
    static const struct verify_answer busy = {.verdict = VERIFY_UNKNOWN, .text = {"too many questions", 18}};
    struct asked *a;
    struct verify_wait *w;

    if (c->open >= OPEN_MOST) {
        say(c, q->number, &busy);
        return;
    }
    a = mem_alloc(sizeof *a);
    *a = (struct asked){.next = c->asked, .link = &c->asked, .channel = c, .number = q->number};
    if (c->asked)
        c->asked->link = &a->next;
    c->asked = a;
    c->open++;
    w = verify_desk_ask(c->server->desk, q->route, q->address, on_told, a);
    if (w) /* else on_told() has been here, and a is gone */
        a->wait = w;
}

static int take(struct channel *c, const struct chan_msg *m)
{
    struct verify_ask q;

    if (m->type != VERIFY_ASK || m->nfds || verify_ask_decode(&q, m->data, m->len) < 0) {
        log_event(LOG_LEVEL_ERROR, "relay.bad-question", "a message of type %u from a worker is not well-formed",
                  m->type);
        return -1;
    }
    ask(c, &q);
    return 0;
}

static void on_channel(void *arg, unsigned what)
{
    struct channel *c = arg;
    struct verify_server *s = c->server;
    struct chan_msg m;
    int r = what & LOOP_WRITE ? outbox_push(&c->out) : 0;

    while (r >= 0 && !outbox_waits(&c->out) && (r = chan_recv(c->out.fd, s->room, sizeof s->room, &m, NULL)) > 0) {
        r = take(c, &m);
        chan_msg_close(&m);
    }
    if (r < 0)
        end_channel(c);
    else
        want(c);
}

struct verify_server *verify_server_new(struct loop *l, struct verify_desk *d)
{
    struct verify_server *s = mem_alloc(sizeof *s);

    s->loop = l;
    s->desk = d;
    return s;
}

void verify_server_add(struct verify_server *s, int fd)
{
    struct channel *c = mem_alloc(sizeof *c);

    *c = (struct channel){.next = s->channels, .link = &s->channels, .server = s, .out = {.fd = fd}};
    if (s->channels)
        s->channels->link = &c->next;
    s->channels = c;
    s->count++;
    c->watch = watch_new(s->loop, fd, on_channel, c);
    want(c);
}

unsigned verify_server_workers(const struct verify_server *s)
{
    return s->count;
}

void verify_server_free(struct verify_server **sp)
{
    struct verify_server *s = *sp;

    if (!s)
        return;
    while (s->channels)
        end_channel(s->channels);
    free(s);
    *sp = NULL;
}
