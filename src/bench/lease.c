#include "bench/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/text.h"

struct lease_table {
    struct bench_server *server;
    unsigned most, count;
    struct lease *first;
    json_t *sids; /* of sessions that are open: "sid": "lease" */
};

struct lease_table *lease_table_new(struct bench_server *v, unsigned most)
{
    struct lease_table *t = mem_alloc(sizeof *t);

    t->server = v;
    t->most = most;
    t->sids = json_object();
    return t;
}

void lease_table_free(struct lease_table **tp)
{
    struct lease_table *t = *tp;

    if (!t)
        return;
    while (t->first) {
        struct lease *l = t->first;

        lease_end(t, &l);
    }
    json_decref(t->sids);
    free(t);
    *tp = NULL;
}

unsigned lease_table_count(const struct lease_table *t)
{
    return t->count;
}

struct lease *lease_table_first(const struct lease_table *t)
{
    return t->first;
}

struct lease *lease_find(const struct lease_table *t, const char *id)
{
    for (struct lease *l = t->first; l; l = l->next)
        if (strcmp(l->id, id) == 0)
            return l;
    return NULL;
}

/* Not to be guessed by a test that has mistyped its own. */
static void name_it(struct lease *l)
{
    uint64_t r = 0;

    (void)!getrandom(&r, sizeof r, 0);
    snprintf(l->id, sizeof l->id, "l%012llx", (unsigned long long)(r & 0xffffffffffffu));
}

struct lease *lease_new(struct lease_table *t, const struct lease_setup *s, int64_t now_us, struct err *e)
{
    struct bench_port_setup port = {.name = *s->name ? s->name : NULL,
                                    .address = s->address,
                                    .scenario = s->scenario,
                                    .seed = s->seed,
                                    .choices = s->choices};
    struct lease *l;

    if (t->count == t->most) {
        err_set(e, "there are %u leases already", t->count);
        return NULL;
    }
    l = mem_alloc(sizeof *l);
    do
        name_it(l);
    while (lease_find(t, l->id));
    port.lease = l->id;
    l->port = bench_port_open(t->server, &port, e);
    if (!l->port) {
        free(l);
        return NULL;
    }
    l->name = mem_str(s->name);
    l->address = *bench_port_address(l->port);
    l->scenario = s->scenario;
    l->policy = s->policy;
    l->seed = s->seed;
    l->expires_us = now_us + s->ttl_s * INT64_C(1000000);
    l->next = t->first;
    t->first = l;
    t->count++;
    return l;
}

void lease_end(struct lease_table *t, struct lease **lp)
{
    struct lease *l = *lp, **at = &t->first;

    *lp = NULL;
    bench_port_end_sessions(l->port);
    bench_port_close(&l->port);
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    t->count--;
    free(l->name);
    free(l);
}

struct lease *lease_take(struct lease_table *t, const json_t *line)
{
    const char *ev = json_string_value(json_object_get(line, "ev")),
               *sid = json_string_value(json_object_get(line, "sid")), *id;
    struct lease *l;

    if (!ev || !sid)
        return NULL;
    if (strcmp(ev, "session_start") == 0) {
        id = json_string_value(json_object_get(line, "lease"));
        if (!id || !lease_find(t, id))
            return NULL;
        json_object_set_new(t->sids, sid, json_string(id));
    }
    id = json_string_value(json_object_get(t->sids, sid));
    l = id ? lease_find(t, id) : NULL;
    if (l) {
        bench_facts_take(&l->facts, line);
        l->sessions += strcmp(ev, "session_start") == 0;
        l->ended += strcmp(ev, "session_end") == 0;
        l->messages += strcmp(ev, "message") == 0;
        l->accepted += strcmp(ev, "message") == 0 && json_is_true(json_object_get(line, "accepted"));
    }
    if (strcmp(ev, "session_end") == 0)
        json_object_del(t->sids, sid);
    return l;
}

struct lease *lease_expired(const struct lease_table *t, int64_t now_us)
{
    for (struct lease *l = t->first; l; l = l->next)
        if (now_us >= l->expires_us)
            return l;
    return NULL;
}

void lease_judge(const struct lease *l, bool over, struct bench_verdict *out)
{
    bench_judge(out, l->scenario, l->policy, &l->facts, over);
    if (out->result == BENCH_PASS && l->ended < l->sessions) {
        out->result = BENCH_UNDECIDED;
        snprintf(out->why, sizeof out->why, "nothing wrong so far; %u of its sessions are open",
                 l->sessions - l->ended);
    }
}
