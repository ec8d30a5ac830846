#include "relay/verify_desk.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "relay/verify_cache.h"

/* Exchange takes 20 connections from one address, and mail wants some of them. */
#define AT_ONCE 10
#define CACHE_MOST 20000
#define REST_SECONDS 10
/* Addresses that wait for one route. More than that is no mail traffic: 450, and nothing is allocated for it. */
#define WAITING_MOST 2000

const struct verify_desk_setup verify_desk_default = {.cache_most = CACHE_MOST / 2,
                                                      .at_once = AT_ONCE,
                                                      .deadline_us = VERIFY_SECONDS * INT64_C(1000000),
                                                      .rest_us = REST_SECONDS * INT64_C(1000000)};

struct verify_wait {
    struct verify_wait *next, **link;
    verify_desk_told *told;
    void *arg;
};

/* One address that is asked for, or will be. */
struct inquiry {
    struct inquiry *next, **link; /* of its way's, in the order in which they came */
    struct way *way;
    char *address;
    struct verify_wait *waits;
    int64_t until_us;
    bool running;
    struct smtp_client_rcpt rcpt;
    struct smtp_client_message message;
    struct relay_job job;
    struct verify_answer answer; /* as far as it is known */
    char *text;                  /* of answer */
};

struct way {
    struct verify_desk *desk;
    const struct relay_route *route;
    struct inquiry *first, **last;
    unsigned waiting, running;
    int64_t rest_until_us;
};

struct verify_desk {
    struct verify_desk_setup setup;
    struct verify_cache *cache;
    struct way *ways;
};

/* ---- the end of an inquiry */

static void free_inquiry(struct inquiry *q)
{
    struct way *w = q->way;

    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    else
        w->last = q->link;
    *(q->running ? &w->running : &w->waiting) -= 1;
    while (q->waits)
        verify_desk_forget(&(struct verify_wait *){q->waits});
    free(q->address);
    free(q->text);
    free(q);
}

static void tell(struct inquiry *q, const struct verify_answer *a)
{
    while (q->waits) {
        struct verify_wait *w = q->waits;
        verify_desk_told *told = w->told;
        void *arg = w->arg;

        verify_desk_forget(&w);
        told(arg, a);
    }
}

static struct verify_answer unknown(const char *why)
{
    return (struct verify_answer){.verdict = VERIFY_UNKNOWN, .text = {why, strlen(why)}};
}

static void end_unknown(struct inquiry *q, const char *why)
{
    struct verify_answer a = unknown(why);

    tell(q, &a);
    free_inquiry(q);
}

/* The next hop cannot be spoken to: those that wait would only find out the same, one connection after the other. */
static void rest(struct way *w)
{
    struct inquiry *q, *next;

    w->rest_until_us = loop_now_us(w->desk->setup.loop) + w->desk->setup.rest_us;
    for (q = w->first; q; q = next) {
        next = q->next;
        if (!q->running)
            end_unknown(q, "the next hop could not be asked a moment ago");
    }
}

/* ---- the relay's side */

static void on_result(void *arg, struct relay_result *r)
{
    static const enum verify_verdict verdicts[] = {[RELAY_DELIVERED] = VERIFY_YES,
                                                   [RELAY_RELAYED] = VERIFY_YES,
                                                   [RELAY_DEFERRED] = VERIFY_UNKNOWN,
                                                   [RELAY_FAILED] = VERIFY_NO};
    struct inquiry *q = arg;

    q->text = mem_strn(r->text.n ? r->text.p : "", r->text.n);
    q->answer = (struct verify_answer){.verdict = verdicts[r->outcome], .text = {q->text, r->text.n}};
    if (q->answer.verdict == VERIFY_UNKNOWN)
        return;
    q->answer.code = r->code;
    memcpy(q->answer.enhanced, r->enhanced, sizeof q->answer.enhanced);
}

static void on_done(void *arg, enum relay_health health)
{
    struct inquiry *q = arg;
    struct way *w = q->way;
    struct verify_desk *d = w->desk;
    bool failed = q->answer.verdict == VERIFY_UNKNOWN && health != RELAY_HEALTH_GOOD;

    verify_cache_put(d->cache, w->route->title, q->address, &q->answer, loop_now_us(d->setup.loop));
    tell(q, &q->answer);
    free_inquiry(q);
    if (failed)
        rest(w);
}

static const struct relay_task_events events = {on_result, on_done};

static void start(struct inquiry *q)
{
    struct way *w = q->way;

    w->waiting--;
    w->running++;
    q->running = true;
    q->rcpt = (struct smtp_client_rcpt){.address = q->address};
    q->message = (struct smtp_client_message){.sender = "", .rcpts = &q->rcpt, .rcpt_count = 1, .probe = true};
    q->job = (struct relay_job){.route = w->route, .message = &q->message, .fd = -1};
    relay_task_start(w->desk->setup.relay, &q->job, &events, q);
}

static struct inquiry *next_waiting(const struct way *w)
{
    struct inquiry *q = w->waiting && w->running < w->desk->setup.at_once ? w->first : NULL;

    while (q && q->running)
        q = q->next;
    return q;
}

/* ---- the desk */

struct verify_desk *verify_desk_new(const struct verify_desk_setup *s)
{
    struct verify_desk *d = mem_alloc(sizeof *d);

    d->setup = *s;
    d->cache = verify_cache_new(s->cache_most);
    d->ways = mem_alloc(sizeof *d->ways * (s->route_count + 1));
    for (unsigned i = 0; i < s->route_count; i++) {
        d->ways[i] = (struct way){.desk = d, .route = &s->routes[i]};
        d->ways[i].last = &d->ways[i].first;
    }
    return d;
}

void verify_desk_free(struct verify_desk **dp)
{
    struct verify_desk *d = *dp;

    if (!d)
        return;
    for (unsigned i = 0; i < d->setup.route_count; i++)
        while (d->ways[i].first) {
            relay_task_drop(d->setup.relay, d->ways[i].first);
            free_inquiry(d->ways[i].first);
        }
    verify_cache_free(&d->cache);
    free(d->ways);
    free(d);
    *dp = NULL;
}

/* A delivery of type mx is no place to ask: its hosts are other people's (and each recipient may have others). */
static struct way *find_way(const struct verify_desk *d, const char *route)
{
    for (unsigned i = 0; i < d->setup.route_count; i++)
        if (strcmp(d->setup.routes[i].title, route) == 0 && d->setup.routes[i].kind == RELAY_TO_HOST)
            return &d->ways[i];
    return NULL;
}

static struct inquiry *find_inquiry(const struct way *w, const char *address)
{
    struct inquiry *q = w->first;

    while (q && verify_address_compare(q->address, address) != 0)
        q = q->next;
    return q;
}

static struct inquiry *new_inquiry(struct way *w, const char *address, int64_t now_us)
{
    struct inquiry *q = mem_alloc(sizeof *q);

    q->way = w;
    q->address = mem_str(address);
    q->until_us = now_us + w->desk->setup.deadline_us;
    q->answer = unknown("nothing was said");
    q->link = w->last;
    *w->last = q;
    w->last = &q->next;
    w->waiting++;
    return q;
}

static struct verify_wait *join(struct inquiry *q, verify_desk_told *told, void *arg)
{
    struct verify_wait *w = mem_alloc(sizeof *w);

    *w = (struct verify_wait){.next = q->waits, .link = &q->waits, .told = told, .arg = arg};
    if (q->waits)
        q->waits->link = &w->next;
    q->waits = w;
    return w;
}

struct verify_wait *verify_desk_ask(struct verify_desk *d, const char *route, const char *address,
                                    verify_desk_told *told, void *arg)
{
    int64_t now_us = loop_now_us(d->setup.loop);
    struct way *w = find_way(d, route);
    const struct verify_answer *known = w ? verify_cache_find(d->cache, route, address, now_us) : NULL;
    struct inquiry *q = w ? find_inquiry(w, address) : NULL;
    struct verify_answer a;

    if (known || (!q && (!w || now_us < w->rest_until_us || w->waiting >= WAITING_MOST))) {
        a = unknown(!w                           ? "no such delivery"
                    : w->waiting >= WAITING_MOST ? "too many questions"
                                                 : "the next hop could not be asked a moment ago");
        told(arg, known ? known : &a);
        return NULL;
    }
    if (!q)
        q = new_inquiry(w, address, now_us);
    return join(q, told, arg);
}

void verify_desk_forget(struct verify_wait **wp)
{
    struct verify_wait *w = *wp;

    if (!w)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    free(w);
    *wp = NULL;
}

void verify_desk_turn(struct verify_desk *d)
{
    struct inquiry *q;

    for (unsigned i = 0; i < d->setup.route_count; i++)
        while ((q = next_waiting(&d->ways[i])))
            start(q); /* it may end at once, and all others with it */
}

/* Inquiries stand in the order of their deadlines. */
static void look_for_late(struct way *w, int64_t now_us)
{
    struct inquiry *q;

    while ((q = w->first) && q->until_us <= now_us) {
        bool silent = q->running;

        if (silent)
            relay_task_drop(w->desk->setup.relay, q);
        end_unknown(q, "the next hop did not answer in time");
        if (silent)
            rest(w);
    }
}

void verify_desk_tick(struct verify_desk *d)
{
    for (unsigned i = 0; i < d->setup.route_count; i++)
        look_for_late(&d->ways[i], loop_now_us(d->setup.loop));
}
