#include "bench/bench_select.h"

#include <fnmatch.h>
#include <stddef.h>

const char *bench_stage_name(enum bench_stage at)
{
    static const char *const names[BENCH_STAGES] = {"connect", "sni", "helo", "mail", "rcpt"};

    return names[at];
}

/* The last thing that it asks for; -1: it asks for nothing, and is never chosen. */
static int stage_of(const struct bench_choice *c)
{
    if (c->rcpt)
        return BENCH_AT_RCPT;
    if (c->mail)
        return BENCH_AT_MAIL;
    if (c->helo)
        return BENCH_AT_HELO;
    if (c->sni)
        return BENCH_AT_SNI;
    return c->client_count ? BENCH_AT_CONNECT : -1;
}

bool bench_select_wants(const struct bench_scenario *sc)
{
    return !sc->why_not && stage_of(&sc->select) >= 0;
}

static bool fits(char *const *patterns, const char *text)
{
    if (!patterns)
        return true;
    for (; text && *patterns; patterns++)
        if (fnmatch(*patterns, text, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

static bool all_fit(const struct bench_choice *c, const struct bench_shown *s)
{
    if (c->client_count && (!s->client || !net_has(c->client, c->client_count, s->client)))
        return false;
    return fits(c->sni, s->sni) && fits(c->helo, s->helo) && fits(c->mail, s->mail) && fits(c->rcpt, s->rcpt);
}

const struct bench_scenario *bench_select(const struct bench_choices *c, enum bench_stage at,
                                          const struct bench_shown *shown)
{
    for (unsigned i = 0; i < c->count; i++)
        if (!c->list[i]->why_not && stage_of(&c->list[i]->select) == (int)at && all_fit(&c->list[i]->select, shown))
            return c->list[i];
    return NULL;
}
