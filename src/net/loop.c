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
    struct ticker alarm;
    int64_t alarm_us; /* 0: not set */
    bool stop;
    int64_t now_us; /* 0: not read in this turn yet */
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
    *out = l;
    return 0;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    for (unsigned i = 0; i < l->ticker_count; i++)
        event_del(&l->tickers[i].ev);
    if (l->alarm_us)
        event_del(&l->alarm.ev);
    event_base_free(l->base);
    free(l);
    *lp = NULL;
}

int loop_turn(struct loop *l, bool wait, loop_fn *turn_end, void *arg)
{
    l->now_us = 0; /* whatever was known is old after waiting */
    if (event_base_loop(l->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK)) < 0)
        return -1;
    turn_end(arg);
    return 0;
}

void loop_run(struct loop *l, loop_fn *turn_end, void *arg)
{
    while (!l->stop && loop_turn(l, true, turn_end, arg) == 0)
        ;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

int64_t loop_now_us(struct loop *l)
{
    if (!l->now_us)
        l->now_us = clock_now().mono_us;
    return l->now_us;
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

unsigned watch_wanted(const struct watch *w)
{
    return w->want;
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

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    l->alarm_us = 0; /* before the call: it may set the next */
    l->alarm.fn(l->alarm.arg);
}

void loop_alarm(struct loop *l, int64_t at_us, loop_fn *fn, void *arg)
{
    int64_t left;
    struct timeval tv;

    /* wishes close to each other ring once: a thousand delayed greetings are fifty walks a second, not a thousand */
    at_us += LOOP_ALARM_US - at_us % LOOP_ALARM_US;
    if (l->alarm_us && l->alarm_us <= at_us)
        return;
    if (l->alarm_us)
        event_del(&l->alarm.ev);
    left = at_us - loop_now_us(l);
    if (left < 0)
        left = 0;
    tv = (struct timeval){left / 1000000, left % 1000000};
    l->alarm_us = at_us;
    l->alarm.fn = fn;
    l->alarm.arg = arg;
    event_assign(&l->alarm.ev, l->base, -1, 0, on_alarm, l);
    event_add(&l->alarm.ev, &tv);
}
