#include <stdlib.h>

#include "bench/bench_session_own.h"

void bench_choose(struct bench_session *s, enum bench_stage at)
{
    struct bench_shown shown = {
        .client = s->setup.peer, .sni = s->sni, .helo = s->helo, .mail = s->sender, .rcpt = s->last_rcpt};
    const struct bench_scenario *sc = s->setup.choices ? bench_select(s->setup.choices, at, &shown) : NULL;

    if (!sc || sc == s->setup.scenario)
        return;
    s->setup.scenario = sc;
    bench_session_tell(s,
                       &(struct bench_event){.kind = BENCH_EV_SELECT, .scenario = sc, .stage = bench_stage_name(at)});
}

void bench_choose_asked(struct bench_session *s, const char *address)
{
    struct bench_wish *w = &s->wishes[s->wish_count];

    if (!s->setup.choices || s->wish_count == BENCH_WISHES || !bench_trigger_parse(&w->trigger, address))
        return;
    w->address = mem_str(address);
    s->wish_count++;
}

void bench_choose_forget(struct bench_session *s)
{
    while (s->wish_count)
        free(s->wishes[--s->wish_count].address);
}
