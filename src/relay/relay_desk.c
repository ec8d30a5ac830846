#include "relay/relay_desk.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* ---- the list of transfers */

struct relay_task *relay_desk_add(struct relay_desk *d)
{
    struct relay_task *t = mem_alloc(sizeof *t);

    t->desk = d;
    t->health = RELAY_HEALTH_UNREACHABLE; /* until somebody speaks */
    t->next = d->transfers;
    t->link = &d->transfers;
    if (d->transfers)
        d->transfers->link = &t->next;
    d->transfers = t;
    d->busy++;
    return t;
}

static void free_tlsa(struct tls_tlsa *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free((void *)list[i].data);
    free(list);
}

static void release(struct relay_task *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->desk->busy--;
    dns_cancel(&t->question);
    for (unsigned i = 0; i < t->candidate_count; i++) {
        free(t->candidates[i].host);
        free_tlsa(t->candidates[i].tlsa, t->candidates[i].tlsa_count);
    }
    free(t->candidates);
    free(t->told);
    free(t->rcpts);
    free(t->places);
    free(t->last_text);
    free(t->last_remote);
    free(t->last_tls);
    free(t);
}

void relay_task_end(struct relay_task *t)
{
    const struct relay_task_events *events = t->events;
    enum relay_health health = t->health;
    void *arg = t->arg;

    release(t);
    events->done(arg, health);
}

/* ---- candidates */

void relay_task_candidates(struct relay_task *t, const struct dns_mail *m)
{
    const struct relay_route *r = t->job->route;
    unsigned count = 0;

    for (unsigned i = 0; i < m->host_count; i++)
        count += m->hosts[i].address_count;
    t->candidates = mem_alloc(sizeof *t->candidates * (count + 1));
    for (unsigned i = 0; i < m->host_count; i++)
        for (unsigned k = 0; k < m->hosts[i].address_count; k++) {
            struct relay_candidate *c = &t->candidates[t->candidate_count++];

            *c = (struct relay_candidate){.address = m->hosts[i].addresses[k],
                                          .host = mem_str(m->hosts[i].name),
                                          .secure = m->hosts[i].secure,
                                          .mx = r->kind == RELAY_TO_MX};
            addr_set_port(&c->address, r->port);
        }
}

void relay_task_fixed(struct relay_task *t)
{
    const struct relay_route *r = t->job->route;

    t->candidates = mem_alloc(sizeof *t->candidates);
    t->candidates[0] = (struct relay_candidate){.address = r->address, .host = mem_str(r->host)};
    t->candidate_count = 1;
}

static struct tls_tlsa *copy_tlsa(const struct tls_tlsa *from, unsigned count)
{
    struct tls_tlsa *to = mem_alloc(sizeof *to * (count + 1));

    for (unsigned i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].data = (uint8_t *)mem_strn((const char *)from[i].data, from[i].len);
    }
    return to;
}

void relay_candidate_tlsa(struct relay_candidate *k, struct dns_tlsa_set *s)
{
    k->tlsa = mem_alloc(sizeof *k->tlsa * (s->count + 1));
    k->tlsa_count = s->count;
    for (unsigned i = 0; i < s->count; i++) {
        k->tlsa[i] = (struct tls_tlsa){s->records[i].usage, s->records[i].selector, s->records[i].matching,
                                       s->records[i].data, s->records[i].len};
        s->records[i].data = NULL;
    }
    dns_tlsa_set_free(&s);
}

/* ---- connections */

/* RFC 7672 3.2.2: where a CA that the TLSA records name has signed (usage 2), "the original next-hop domain used in the MX
 * lookup MUST be included as a second reference identifier". Usage 3 is about no name, so that connections serve many. */
static const char *other_name(const struct relay_task *t, const struct relay_candidate *k, enum relay_tls tls)
{
    for (unsigned i = 0; tls == RELAY_TLS_DANE && k->mx && i < k->tlsa_count; i++)
        if (k->tlsa[i].usage == 2)
            return t->job->domain;
    return t->job->route->also;
}

static bool same_text(const char *a, const char *b)
{
    return a ? b && strcmp(a, b) == 0 : !b;
}

static bool same_place(const struct relay_link *l, const struct relay_task *t, const struct relay_candidate *k,
                       enum relay_tls tls)
{
    return l->route == t->job->route && l->hop.tls == tls && addr_equal(&l->hop.address, &k->address) &&
           same_text(l->host, k->host) && same_text(l->also, other_name(t, k, tls));
}

bool relay_desk_take(struct relay_task *t, const struct relay_candidate *k, enum relay_tls tls)
{
    for (struct relay_link *l = t->desk->links; l; l = l->next) {
        if (!l->idle || !same_place(l, t, k, tls))
            continue;
        l->idle = false;
        l->start = true;
        l->transfer = t;
        t->desk->idle--;
        t->conn = l->conn;
        return true;
    }
    return false;
}

static void free_link(struct relay_link *l)
{
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->desk->idle -= l->idle;
    free(l->host);
    free(l->also);
    free_tlsa(l->tlsa, l->hop.tlsa_count);
    free(l);
}

int relay_desk_open(struct relay_task *t, const struct relay_candidate *k, enum relay_tls tls, struct err *e)
{
    const struct relay_route *r = t->job->route;
    struct relay_desk *d = t->desk;
    struct relay_link *l = mem_alloc(sizeof *l);

    l->desk = d;
    l->opened_us = loop_now_us(d->setup.loop);
    l->route = r;
    l->transfer = t;
    l->host = mem_str(k->host);
    l->also = mem_str(other_name(t, k, tls));
    l->tlsa = copy_tlsa(k->tlsa, tls == RELAY_TLS_DANE ? k->tlsa_count : 0);
    l->hop = (struct relay_hop){.address = k->address,
                                .host = l->host,
                                .also = l->also,
                                .trust = r->trust,
                                .lmtp = r->lmtp,
                                .implicit_tls = r->implicit_tls,
                                .tls = tls,
                                .tlsa = l->tlsa,
                                .tlsa_count = tls == RELAY_TLS_DANE ? k->tlsa_count : 0,
                                .user = r->user,
                                .password = r->password,
                                .detect_loop = k->mx};
    l->next = d->links;
    l->link = &d->links;
    if (d->links)
        d->links->link = &l->next;
    d->links = l;
    l->conn = relay_conn_open(&d->conn, &l->hop, l, e);
    if (!l->conn) {
        free_link(l);
        return -1;
    }
    t->conn = l->conn;
    return 0;
}

void relay_desk_leave(struct relay_task *t)
{
    for (struct relay_link *l = t->desk->links; l; l = l->next)
        if (l->transfer == t)
            l->transfer = NULL;
    t->conn = NULL;
}

/* ---- events of a connection */

static bool is_old(const struct relay_link *l)
{
    const struct relay_desk *d = l->desk;

    return loop_now_us(d->setup.loop) - l->opened_us >= (int64_t)d->setup.kept_seconds * 1000000;
}

static void on_ready(void *arg, struct relay_conn *c, bool reusable)
{
    struct relay_link *l = arg;
    struct relay_desk *d = l->desk;

    if (l->transfer) {
        relay_task_ready(l->transfer, reusable);
    } else if (!reusable || is_old(l) || d->idle >= d->setup.idle_most) {
        relay_conn_quit(c);
    } else {
        l->idle = true;
        l->idle_since_us = loop_now_us(d->setup.loop);
        d->idle++;
    }
}

static void on_result(void *arg, struct relay_conn *c, const struct smtp_client_action *a)
{
    struct relay_link *l = arg;

    (void)c;
    if (l->transfer)
        relay_task_result(l->transfer, a);
}

static void on_message_done(void *arg, struct relay_conn *c)
{
    struct relay_link *l = arg;

    (void)c;
    if (l->transfer)
        relay_task_message_done(l->transfer);
}

static void on_failed(void *arg, struct relay_conn *c, const struct relay_failure *f)
{
    struct relay_link *l = arg;

    (void)c;
    if (l->transfer && l->start)
        l->transfer->again = true; /* it ended while nobody used it: nothing was learned */
    else if (l->transfer)
        relay_task_failed(l->transfer, f);
}

static void on_closed(void *arg, struct relay_conn *c)
{
    struct relay_link *l = arg;
    struct relay_task *t = l->transfer;

    (void)c;
    free_link(l);
    if (t)
        relay_task_closed(t);
}

static const struct relay_conn_events events = {on_ready, on_result, on_message_done, on_failed, on_closed};

/* ---- the desk */

struct relay_desk *relay_desk_new(const struct relay_desk_setup *s)
{
    struct relay_desk *d = mem_alloc(sizeof *d);

    d->setup = *s;
    d->conn = (struct relay_conn_setup){.loop = s->loop,
                                        .tls = s->tls,
                                        .hostname = s->hostname,
                                        .events = &events,
                                        .connect_timeout = s->connect_timeout};
    return d;
}

void relay_desk_free(struct relay_desk **dp)
{
    struct relay_desk *d = *dp;

    if (!d)
        return;
    while (d->links) {
        struct relay_link *l = d->links;

        relay_conn_drop(&l->conn);
        free_link(l);
    }
    while (d->transfers)
        release(d->transfers);
    free(d);
    *dp = NULL;
}

void relay_task_drop(struct relay_desk *d, const void *arg)
{
    struct relay_task *t = d->transfers;
    struct relay_link *l = d->links;

    while (t && t->arg != arg)
        t = t->next;
    if (!t)
        return;
    while (l && l->transfer != t)
        l = l->next;
    if (l) {
        relay_conn_drop(&l->conn);
        free_link(l);
    }
    release(t);
}

unsigned relay_desk_busy(const struct relay_desk *d)
{
    return d->busy;
}

/* A connection that was taken says ready here, never inside the call that took it. One at a time from the beginning, since
 * each may change the list. */
void relay_desk_turn(struct relay_desk *d)
{
    struct relay_link *l = d->links;

    while (l) {
        if (!l->start) {
            l = l->next;
            continue;
        }
        l->start = false;
        relay_task_ready(l->transfer, true);
        l = d->links;
    }
}

static struct relay_link *late(struct relay_desk *d, int64_t now_us)
{
    for (struct relay_link *l = d->links; l; l = l->next)
        if (l->idle && now_us - l->idle_since_us > (int64_t)d->setup.idle_seconds * 1000000)
            return l;
    return NULL;
}

void relay_desk_tick(struct relay_desk *d)
{
    int64_t now_us = loop_now_us(d->setup.loop);
    struct relay_link *l, *next;

    while ((l = late(d, now_us))) {
        l->idle = false;
        d->idle--;
        relay_conn_quit(l->conn);
    }
    /* a tick may end a connection, and a transfer that goes on may begin another at the head of the list */
    for (l = d->links; l; l = next) {
        next = l->next;
        relay_conn_tick(l->conn, now_us);
    }
}
