#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"

#define TICKERS 4

struct ticker {
    struct event ev;
    loop_fn *fn;
    void *arg;
};

struct loop {
    struct event_base *base;
    struct ticker tickers[TICKERS];
    unsigned ticker_count;
    bool stop;
    int64_t now_us;
};

struct watch {
    struct event ev;
    loop_io *io;
    void *arg;
    struct loop *loop;
    int fd;
    unsigned want;
};

int loop_new(struct loop **out, struct err *e)
{
    struct event_config *cfg = event_config_new();
    struct loop *l = mem_alloc(sizeof *l);

    /* one epoll_ctl less for each change of mind within a turn; no descriptor of ours is duplicated while watched */
    event_config_set_flag(cfg, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    if (!l->base) {
        free(l);
        return err_set(e, "libevent cannot make an event base");
    }
    l->now_us = clock_now().mono_us;
    *out = l;
    return 0;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    for (unsigned i = 0; i < l->ticker_count; i++)
        event_del(&l->tickers[i].ev);
    event_base_free(l->base);
    free(l);
    *lp = NULL;
}

void loop_run(struct loop *l, loop_fn *turn_end, void *arg)
{
    while (!l->stop) {
        if (event_base_loop(l->base, EVLOOP_ONCE) < 0)
            return;
        turn_end(arg);
    }
}

void loop_stop(struct loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

int64_t loop_now_us(const struct loop *l)
{
    (void)l;
    return clock_now().mono_us;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    w->io(w->arg, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

struct watch *watch_new(struct loop *l, int fd, loop_io *io, void *arg)
{
    struct watch *w = mem_alloc(sizeof *w);

    w->loop = l;
    w->fd = fd;
    w->io = io;
    w->arg = arg;
    return w;
}

void watch_want(struct watch *w, unsigned what)
{
    if (w->want == what)
        return;
    if (w->want)
        event_del(&w->ev);
    w->want = what;
    if (!what)
        return;
    event_assign(&w->ev, w->loop->base, w->fd,
                 (short)(EV_PERSIST | (what & LOOP_READ ? EV_READ : 0) | (what & LOOP_WRITE ? EV_WRITE : 0)), on_io, w);
    event_add(&w->ev, NULL);
}

void watch_free(struct watch **wp)
{
    struct watch *w = *wp;

    if (!w)
        return;
    if (w->want)
        event_del(&w->ev);
    free(w);
    *wp = NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct ticker *t = arg;

    (void)fd;
    (void)what;
    t->fn(t->arg);
}

void loop_ticker(struct loop *l, int64_t interval_us, loop_fn *fn, void *arg)
{
    struct ticker *t = &l->tickers[l->ticker_count++];
    struct timeval tv = {interval_us / 1000000, interval_us % 1000000};

    t->fn = fn;
    t->arg = arg;
    event_assign(&t->ev, l->base, -1, EV_PERSIST, on_tick, t);
    event_add(&t->ev, &tv);
}
