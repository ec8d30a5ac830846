#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_server_own.h"

#define TICK_US 100000
#define TICKS_A_SECOND 10
#define SILENCE_US INT64_C(600000000)

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
    if (!s->silence_us)
        v->setup.silence_us = SILENCE_US;
    v->count = bench_count_new(s->seed);
    v->names = bench_names_new();
    loop_ticker(s->loop, TICK_US, on_tick, v);
    return v;
}

struct bench_tls_ctx *bench_server_tls(struct bench_server *v, const struct bench_scenario *sc, struct err *e)
{
    struct bench_tls_ctx *tls;
    struct bench_ctx *x;

    for (x = v->contexts; x; x = x->next)
        if (x->scenario == sc)
            return x->tls;
    if (bench_tls_ctx_new(&tls, &sc->tls, v->setup.pki_dir, e) < 0)
        return NULL;
    x = mem_alloc(sizeof *x);
    x->scenario = sc;
    x->tls = tls;
    x->next = v->contexts;
    v->contexts = x;
    return tls;
}

int bench_server_try(struct bench_server *v, const struct bench_scenario *sc, struct err *e)
{
    return bench_server_tls(v, sc, e) ? 0 : -1;
}

bool bench_server_forget(struct bench_server *v, const struct bench_scenario *sc)
{
    for (const struct bench_port *p = v->ports; p; p = p->next)
        if (p->scenario == sc)
            return false;
    for (const struct bench_conn *c = v->conns; c;
         c = c->next) /* which may have chosen another one since its handshake */
        if (bench_session_scenario(c->session) == sc || c->tls_scenario == sc)
            return false;
    for (struct bench_ctx **at = &v->contexts, *x; (x = *at) != NULL; at = &x->next)
        if (x->scenario == sc) {
            *at = x->next;
            bench_tls_ctx_free(&x->tls);
            free(x);
            break;
        }
    return true;
}

const struct bench_totals *bench_server_totals(const struct bench_server *v)
{
    return &v->totals;
}

void bench_server_end_sessions(struct bench_server *v)
{
    while (v->conns)
        bench_conn_end(v->conns, "server", "stopped");
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
    for (struct bench_ctx *x = v->contexts, *next; x; x = next) {
        next = x->next;
        bench_tls_ctx_free(&x->tls);
        free(x);
    }
    bench_count_free(&v->count);
    bench_names_free(&v->names);
    free(v);
    *vp = NULL;
}
