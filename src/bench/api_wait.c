#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/api_own.h"

#define WAIT_S 30u
#define WAIT_MOST_S 3600u

enum what { MESSAGE, SESSION_END, SESSIONS, VERDICT, WHATS };
static const char *const whats[WHATS] = {"message", "session_end", "sessions", "verdict"};

static bool is_met(const struct api_wait *w, const struct lease *l)
{
    struct bench_verdict v;

    switch (w->what) {
    case MESSAGE:
        return l->messages >= w->n;
    case SESSION_END:
        return l->ended >= w->n;
    case SESSIONS:
        return l->sessions >= w->n;
    default:
        lease_judge(l, w->over, &v);
        return v.result != BENCH_UNDECIDED;
    }
}

static void unlink_wait(struct api_wait *w)
{
    struct api_wait **at = &w->api->waits;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->api->wait_count--;
}

static void answer(struct api_wait *w, const struct lease *l, bool met)
{
    struct api_call c = {.r = w->r};
    json_t *o = api_lease_json(w->api, l, w->over);

    unlink_wait(w);
    json_object_set_new(o, "met", json_boolean(met));
    api_json(&c, 200, o);
    free(w);
}

static void on_gone(void *arg)
{
    unlink_wait(arg);
    free(arg);
}

void api_wait_get(struct api *a, struct api_call *c)
{
    const struct lease *l = lease_find(a->setup.leases, c->part[2]);
    const char *what = http_request_query(c->r, "for"), *over = http_request_query(c->r, "over");
    uint64_t n, seconds;
    struct api_wait *w;
    int i = 0;

    while (what && i < WHATS && strcmp(whats[i], what) != 0)
        i++;
    if (!l)
        api_error(c, 404, "POST /v1/leases makes one; its time may be over", "there is no lease %.40s", c->part[2]);
    else if (!what || i == WHATS)
        api_error(c, 400, "for=message, session_end, sessions or verdict", "wait for what?");
    else if (a->wait_count >= API_WAITS)
        api_error(c, 503, "wait for fewer things at once", "%u are waiting already", a->wait_count);
    else if (api_number(c, "n", 1, 1000000, &n) == 0 &&
             api_number(c, "timeout_s", WAIT_S, WAIT_MOST_S, &seconds) == 0) {
        w = mem_alloc(sizeof *w);
        *w = (struct api_wait){.next = a->waits, .r = c->r, .api = a, .what = i, .n = (unsigned)n};
        snprintf(w->lease, sizeof w->lease, "%s", l->id);
        w->over = over && strcmp(over, "1") == 0;
        w->until_us = clock_now().mono_us + (int64_t)seconds * 1000000;
        a->waits = w;
        a->wait_count++;
        if (is_met(w, l))
            answer(w, l, true);
        else
            http_request_keep(w->r, on_gone, w);
    }
}

void api_wait_look(struct api *a, struct lease *l)
{
    for (struct api_wait *w = a->waits, *next; w; w = next) {
        next = w->next;
        if (strcmp(w->lease, l->id) == 0 && is_met(w, l))
            answer(w, l, true);
    }
}

void api_wait_tick(struct api *a, int64_t now_us)
{
    for (struct api_wait *w = a->waits, *next; w; w = next) {
        const struct lease *l = lease_find(a->setup.leases, w->lease);

        next = w->next;
        if (now_us >= w->until_us && l)
            answer(w, l, false);
    }
}

void api_wait_drop(struct api *a, const char *lease)
{
    for (struct api_wait *w = a->waits, *next; w; w = next) {
        struct api_call c = {.r = w->r};

        next = w->next;
        if (lease && strcmp(w->lease, lease) != 0)
            continue;
        unlink_wait(w);
        free(w);
        api_error(&c, 410, "make another one", "the lease is over");
    }
}
