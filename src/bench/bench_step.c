#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench_session_own.h"

static void key_of(const struct bench_session *s, const struct bench_step *step, char *dst, size_t cap)
{
    const char *rcpt = s->last_rcpt ? s->last_rcpt : "", *sender = s->sender ? s->sender : "";

    switch (step->per) {
    case BENCH_GLOBAL:
        snprintf(dst, cap, "*");
        break;
    case BENCH_CLIENT:
        snprintf(dst, cap, "%s", s->setup.client);
        break;
    case BENCH_TRIPLE:
        snprintf(dst, cap, "%s %s %s", s->setup.client, sender, rcpt);
        break;
    case BENCH_RCPTS:
        snprintf(dst, cap, "%s", rcpt);
        break;
    case BENCH_LEASE:
        snprintf(dst, cap, "%s", s->setup.lease);
        break;
    case BENCH_SESSION:
        snprintf(dst, cap, "%p", (const void *)s);
        break;
    }
}

static bool fits(struct bench_session *s, const struct bench_step *step, enum bench_at at, unsigned *count)
{
    char key[1024];

    if (step->at != at || (step->tls != BENCH_ANY && (step->tls == BENCH_IN_TLS) != s->in_tls))
        return false;
    if (step->rcpt && (!s->last_rcpt || fnmatch(step->rcpt, s->last_rcpt, FNM_CASEFOLD) != 0))
        return false;
    if (at == BENCH_BODY && s->reached != step->bytes)
        return false;
    key_of(s, step, key, sizeof key);
    return bench_count_acts(s->setup.count, step, key, s->now_s, count);
}

static void say(struct bench_session *s, const struct bench_step *step, const char *p, size_t n)
{
    struct buf all = {0};

    if (step->piece_count) {
        for (unsigned i = 0; i < step->piece_count; i++) {
            bench_session_send(s, step->pieces[i].p, step->pieces[i].n);
            bench_session_pause(s, 1);
        }
        return;
    }
    if (step->drip_ms) {
        for (size_t i = 0; i < n; i++) {
            bench_session_send(s, p + i, 1);
            bench_session_pause(s, step->drip_ms);
        }
        return;
    }
    buf_append(&all, p, n);
    if (step->inject.p)
        buf_append(&all, step->inject.p, step->inject.n);
    if (all.len)
        bench_session_send(s, buf_data(&all), all.len);
    buf_clear(&all);
}

char bench_step_answer(struct bench_session *s, enum bench_at at, const char *right)
{
    const struct bench_scenario *sc = s->setup.scenario;
    const char *p = right ? right : "";
    size_t n = strlen(p);

    for (unsigned i = 0; i < sc->step_count && s->mode != BENCH_DEAF; i++) {
        const struct bench_step *step = &sc->steps[i];
        unsigned count;

        if (!fits(s, step, at, &count))
            continue;
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_FAULT, .step = step, .count = count});
        bench_session_pause(s, step->delay_ms);
        if (step->reply.p) {
            p = step->reply.p;
            n = step->reply.n;
        }
        if (step->also && step->then == BENCH_CONTINUE && !step->reply.p)
            continue;
        say(s, step, p, n);
        if (step->then == BENCH_PLAIN)
            return 'p';
        if (step->then != BENCH_CONTINUE)
            bench_session_end(s, step->then);
        return n ? *p : 0;
    }
    bench_session_send(s, p, n);
    return n ? *p : 0;
}
