#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_server_own.h"

#define TICK_US 100000
#define TICKS_A_SECOND 10

static void on_alarm(void *arg)
{
    struct bench_server *v = arg;
    int64_t now = clock_now().mono_us;

    for (struct bench_conn *c = v->conns, *next; c; c = next) {
        next = c->next;
        if (c->resume_us)
            bench_conn_resume(c, now);
    }
}

void bench_server_alarm(struct bench_server *v, int64_t at_us)
{
    loop_alarm(v->setup.loop, at_us, on_alarm, v);
}

static void on_tick(void *arg)
{
    struct bench_server *v = arg;
    int64_t now = clock_now().mono_us;

    for (struct bench_conn *c = v->conns, *next; c; c = next) {
        next = c->next;
        bench_conn_tick(c, now);
    }
    v->ticks++;
    for (struct bench_port *p = v->ports; p && v->ticks % TICKS_A_SECOND == 0; p = p->next)
        if (p->listener)
            listener_tick(p->listener);
}

struct bench_server *bench_server_new(const struct bench_server_setup *s)
{
    struct bench_server *v = mem_alloc(sizeof *v);

    v->setup = *s;
    v->count = bench_count_new(s->seed);
    loop_ticker(s->loop, TICK_US, on_tick, v);
    return v;
}

void bench_server_end_sessions(struct bench_server *v)
{
    while (v->conns)
        bench_conn_end(v->conns, "server");
}

void bench_server_free(struct bench_server **vp)
{
    struct bench_server *v = *vp;

    if (!v)
        return;
    bench_server_end_sessions(v);
    while (v->ports) {
        struct bench_port *p = v->ports;

        bench_port_close(&p);
    }
    bench_count_free(&v->count);
    free(v);
    *vp = NULL;
}
