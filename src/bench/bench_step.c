#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench_session_own.h"

/* ---- whether one acts */

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

static bool offers(const struct client_hello *h, uint16_t version)
{
    for (unsigned i = 0; h && i < h->version_count; i++)
        if (h->versions[i] == version)
            return true;
    return false;
}

static bool fits_hello(const struct client_hello *h, const struct bench_step *step)
{
    return (!step->offers || offers(h, step->offers)) && (!step->bytes || (h && h->size > step->bytes));
}

static bool fits(const struct bench_session *s, const struct bench_step *step, enum bench_at at)
{
    if (step->at != at || (step->tls != BENCH_ANY && (step->tls == BENCH_IN_TLS) != s->in_tls))
        return false;
    if (step->rcpt && (!s->last_rcpt || fnmatch(step->rcpt, s->last_rcpt, FNM_CASEFOLD) != 0))
        return false;
    if (step->over && s->setup.at_once <= step->over)
        return false;
    if (at == BENCH_CLIENT_HELLO)
        return fits_hello(s->hello, step);
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

bool bench_step_stands(const struct bench_session *s, enum bench_at at)
{
    const struct bench_scenario *sc = s->setup.scenario;

    for (unsigned i = 0; i < sc->step_count; i++)
        if (sc->steps[i].at == at)
            return true;
    return false;
}

/* ---- what it says */

static void in_writes(struct bench_session *s, const struct bench_step *step, const char *p, size_t n)
{
    size_t most = step->split ? step->split : 1;

    for (size_t i = 0; i < n; i += most) {
        bench_session_part(s, p + i, n - i < most ? n - i : most);
        bench_session_pause(s, step->drip_ms ? step->drip_ms : 1);
    }
}

static void in_pieces(struct bench_session *s, const struct bench_step *step)
{
    for (unsigned i = 0; i < step->piece_count; i++) {
        buf_append(&s->said, step->pieces[i].p, step->pieces[i].n);
        bench_session_part(s, step->pieces[i].p, step->pieces[i].n);
        bench_session_pause(s, step->drip_ms ? step->drip_ms : 1);
    }
    bench_session_answered(s, s->delay_ms, 0);
}

/* Answer and what is injected, in one write where nothing else is wanted. */
static void speak(struct bench_session *s, const struct bench_step *step, const char *p, size_t n)
{
    struct buf all = {0};

    buf_append(&s->said, p, n);
    buf_append(&all, p, n);
    buf_append(&all, step->inject.p, step->inject.n);
    if (all.len && step->hold)
        bench_session_hold(s, buf_data(&all), all.len);
    else if (step->split || step->drip_ms)
        in_writes(s, step, all.len ? buf_data(&all) : "", all.len);
    else if (all.len)
        bench_session_part(s, buf_data(&all), all.len);
    bench_session_answered(s, s->delay_ms, step->inject.n);
    if (all.len && step->then == BENCH_EXTRA_REPLY)
        bench_session_send(s, p, n);
    buf_clear(&all);
}

/* A step that lets others act speaks only when it has something to say. */
static void say(struct bench_session *s, const struct bench_step *step, const char *right)
{
    const char *p = step->reply.p ? step->reply.p : right ? right : "";

    if (step->piece_count)
        in_pieces(s, step);
    else if (step->then != BENCH_SWALLOW && (!step->also || step->reply.p || step->inject.p))
        speak(s, step, p, step->reply.p ? step->reply.n : strlen(p));
    if (step->flood.n) {
        buf_append(&s->said, step->flood.p, step->flood.n);
        bench_session_flood(s, &step->flood, step->flood_times);
    }
}

static void act(struct bench_session *s, const struct bench_step *step, const char *right)
{
    struct bench_todo *t;

    if (step->unread_ms) {
        t = bench_session_push(s, BENCH_DO_PAUSE);
        t->ms = step->unread_ms;
        t->unread = true;
    }
    bench_session_pause(s, step->delay_ms);
    s->delay_ms += step->delay_ms;
    s->stored |= step->stored;
    say(s, step, right);
}

/* A line that does not end is none: whoever reads it waits for the rest. */
static char code_of(const struct buf *said)
{
    const char *p = buf_data(said);

    return said->len && p[said->len - 1] == '\n' ? *p : 0;
}

bool bench_step_acts(struct bench_session *s, enum bench_at at, const char *right, char *code)
{
    const struct bench_step *step;
    unsigned i = 0, count;
    bool done = false;

    buf_clear(&s->said);
    s->delay_ms = 0;
    while (!done && s->mode != BENCH_DEAF && (step = next_that_acts(s, at, &i, &count)) != NULL) {
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_FAULT,
                                                    .scenario = s->setup.scenario,
                                                    .step = step,
                                                    .number = i > s->wish_count ? i - s->wish_count : 0,
                                                    .count = count});
        act(s, step, right);
        done = !step->also;
        if (step->then == BENCH_PLAIN)
            *code = 'p';
        else if (done)
            *code = code_of(&s->said);
        if (step->then == BENCH_KEYUPDATE || step->then == BENCH_RENEGOTIATE)
            bench_session_push(s, BENCH_DO_TLS)->then = step->then;
        else if (step->then != BENCH_CONTINUE && step->then <= BENCH_HANG)
            bench_session_end(s, step->then);
    }
    if (!done && s->said.len)
        *code = code_of(&s->said);
    return done || s->said.len;
}

unsigned bench_step_code(const struct bench_session *s)
{
    const char *p = buf_data(&s->said);
    unsigned code = 0;

    for (size_t i = 0; i < 3; i++) {
        if (i >= s->said.len || p[i] < '0' || p[i] > '9')
            return 0;
        code = code * 10 + (unsigned)(p[i] - '0');
    }
    return code;
}

char bench_step_answer(struct bench_session *s, enum bench_at at, const char *right)
{
    size_t n = right ? strlen(right) : 0;
    char code;

    if (bench_step_acts(s, at, right, &code))
        return code;
    if (s->mode == BENCH_DEAF)
        return 0;
    buf_append(&s->said, right ? right : "", n);
    bench_session_part(s, right ? right : "", n);
    bench_session_answered(s, s->delay_ms, 0);
    return n ? *right : 0;
}
