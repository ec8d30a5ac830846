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
    case BENCH_LEASE: /* counters are a lease's own */
        snprintf(dst, cap, "lease");
        break;
    case BENCH_SESSION:
        snprintf(dst, cap, "session %u", s->number);
        break;
    }
}

static bool fits(const struct bench_session *s, const struct bench_step *step, enum bench_at at)
{
    if (step->at != at || (step->tls != BENCH_ANY && (step->tls == BENCH_IN_TLS) != s->in_tls))
        return false;
    if (step->rcpt && (!s->last_rcpt || fnmatch(step->rcpt, s->last_rcpt, FNM_CASEFOLD) != 0))
        return false;
    return at != BENCH_BODY || s->reached == step->bytes;
}

/* What an address asked for at RCPT is about that address, at other points about the transaction. */
static bool wish_acts(struct bench_session *s, const struct bench_wish *w, enum bench_at at, unsigned *count)
{
    return w->trigger.step.at == at && (at != BENCH_RCPT || strcmp(w->address, s->last_rcpt) == 0) &&
           bench_count_acts(s->setup.count, &w->trigger.step, bench_count_step("", at), w->address, s->now_s, count);
}

static bool step_acts(struct bench_session *s, unsigned place, enum bench_at at, unsigned *count)
{
    const struct bench_scenario *sc = s->setup.scenario;
    char key[1024];

    if (!fits(s, &sc->steps[place], at))
        return false;
    key_of(s, &sc->steps[place], key, sizeof key);
    return bench_count_acts(s->setup.count, &sc->steps[place], bench_count_step(sc->name, place), key, s->now_s, count);
}

/* The next step that acts here, from *i on: what addresses ask for goes before what the scenario says. NULL: none. */
static const struct bench_step *next_that_acts(struct bench_session *s, enum bench_at at, unsigned *i, unsigned *count)
{
    const struct bench_scenario *sc = s->setup.scenario;

    while (*i < s->wish_count + sc->step_count) {
        unsigned k = (*i)++;

        if (k < s->wish_count && wish_acts(s, &s->wishes[k], at, count))
            return &s->wishes[k].trigger.step;
        if (k >= s->wish_count && step_acts(s, k - s->wish_count, at, count))
            return &sc->steps[k - s->wish_count];
    }
    return NULL;
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
    const char *p = right ? right : "";
    size_t n = strlen(p);
    const struct bench_step *step;
    unsigned i = 0, count;

    while (s->mode != BENCH_DEAF && (step = next_that_acts(s, at, &i, &count)) != NULL) {
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
