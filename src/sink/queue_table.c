#include "sink/queue_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_idn.h"

#define LAST_CHANCE_US (INT64_C(15) * 60 * 1000000) /* for the last try, when its time is over */

/* ---- by name */

static uint32_t hash(const char *p, size_t n, uint32_t h)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    return h;
}

static void grow_messages(struct queue_table *t)
{
    t->message_cap = t->message_cap ? t->message_cap * 2 : 256;
    free(t->messages);
    t->messages = mem_alloc(t->message_cap * sizeof(struct queue_message *));
    for (struct queue_message *m = t->oldest; m; m = m->newer) {
        struct queue_message **at = &t->messages[hash(m->id, strlen(m->id), 2166136261u) & (t->message_cap - 1)];

        m->chain = *at;
        *at = m;
    }
}

struct queue_message *queue_table_find(const struct queue_table *t, struct span id)
{
    struct queue_message *m;

    if (!t->count)
        return NULL;
    m = t->messages[hash(id.p, id.n, 2166136261u) & (t->message_cap - 1)];
    while (m && !span_is(id, m->id))
        m = m->chain;
    return m;
}

static struct queue_destination **destination_slot(const struct queue_table *t, const char *route, const char *domain)
{
    uint32_t h = hash(route, strlen(route), hash(domain, strlen(domain) + 1, 2166136261u));
    struct queue_destination **at = &t->destinations[h & (t->destination_cap - 1)];

    while (*at && (strcmp((*at)->domain, domain) != 0 || strcmp((*at)->route, route) != 0))
        at = &(*at)->chain;
    return at;
}

static void grow_destinations(struct queue_table *t)
{
    struct queue_destination **before = t->destinations;
    uint32_t cap = t->destination_cap;

    t->destination_cap = cap ? cap * 2 : 64;
    t->destinations = mem_alloc(t->destination_cap * sizeof(struct queue_destination *));
    for (uint32_t i = 0; i < cap; i++) {
        struct queue_destination *d = before[i], *next;

        for (; d; d = next) {
            next = d->chain;
            d->chain = NULL;
            *destination_slot(t, d->route, d->domain) = d;
        }
    }
    free(before);
}

static struct queue_destination *destination_get(struct queue_table *t, const char *route, const char *domain)
{
    struct queue_destination **at;

    if (t->destination_count >= t->destination_cap)
        grow_destinations(t);
    at = destination_slot(t, route, domain);
    if (!*at) {
        *at = mem_alloc(sizeof **at);
        (*at)->route = mem_str(route);
        (*at)->domain = mem_str(domain);
        t->destination_count++;
    }
    (*at)->refs++;
    return *at;
}

static void destination_put(struct queue_table *t, struct queue_destination *d)
{
    struct queue_destination **at;

    if (--d->refs)
        return;
    at = destination_slot(t, d->route, d->domain);
    *at = d->chain;
    t->destination_count--;
    heap_drop(&t->ready, &d->node);
    heap_clear(&d->jobs);
    free(d->reason);
    free(d->route);
    free(d->domain);
    free(d);
}

void queue_table_plain_domain(char dst[256], struct span domain)
{
    char ascii[CONF_IDN_LEN];
    size_t n = domain.n < 255 ? domain.n : 255;
    struct err e;

    if (n)
        memcpy(dst, domain.p, n);
    while (n && dst[n - 1] == '.')
        n--;
    dst[n] = '\0';
    text_lower(dst, n);
    if (conf_idn_ascii(ascii, (struct span){dst, n}, &e) == 0)
        memcpy(dst, ascii, strlen(ascii) + 1);
}

void queue_table_domain(char dst[256], struct peer_text address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

    queue_table_plain_domain(dst, at ? (struct span){at + 1, address.n - (size_t)(at + 1 - address.p)}
                                     : (struct span){"", 0});
}

/* ---- by time */

static void line_up(struct queue_table *t, struct queue_destination *d)
{
    const struct heap_node *first = heap_first(&d->jobs);

    if (!first || d->running >= t->per_destination)
        heap_drop(&t->ready, &d->node);
    else
        heap_put(&t->ready, &d->node, first->key > d->not_before_us ? first->key : d->not_before_us);
}

uint32_t queue_table_random(struct queue_table *t)
{
    t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(t->random >> 32);
}

static struct queue_job *job_get(struct queue_table *t, struct queue_message *m, const struct queue_rcpt *r)
{
    char domain[256] = "";
    struct queue_job *j;

    if (t->by_domain(t->arg, r->route.p))
        queue_table_domain(domain, r->address);
    for (j = m->jobs; j; j = j->next)
        if (strcmp(j->destination->domain, domain) == 0 && strcmp(j->destination->route, r->route.p) == 0)
            return j;
    j = mem_alloc(sizeof *j);
    j->message = m;
    j->destination = destination_get(t, r->route.p, domain);
    j->next = m->jobs;
    m->jobs = j;
    return j;
}

bool queue_job_has(const struct queue_table *t, const struct queue_job *j, const struct queue_rcpt *r)
{
    char domain[256] = "";

    if (strcmp(j->destination->route, r->route.p) != 0)
        return false;
    if (t->by_domain(t->arg, r->route.p))
        queue_table_domain(domain, r->address);
    return strcmp(j->destination->domain, domain) == 0;
}

static int64_t soonest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t queue_table_over_us(const struct queue_table *t, int64_t give_up_us)
{
    return (give_up_us > t->since_us ? give_up_us : t->since_us) + LAST_CHANCE_US;
}

/* A recipient that waits: its job's time, and when somebody has to look at the message. */
static void plan_rcpt(struct queue_table *t, struct queue_message *m, struct queue_job *j,
                      const struct queue_rcpt_log *r, const struct queue_state *s, int64_t now_us, int64_t *look_us)
{
    struct retry_facts f = {.arrived_us = m->arrived_us,
                            .last_try_us = r->last_try_us,
                            .now_us = now_us,
                            .tries = r->tries,
                            .noticed = r->delay_noticed};
    struct retry_verdict v;
    int64_t over;

    retry_judge(&v, &t->retry, &f, queue_table_random(t));
    over = queue_table_over_us(t, v.give_up_us);
    *look_us = soonest(*look_us, v.what == RETRY_EXPIRE || v.notice ? now_us : over);
    if (v.notice_us)
        *look_us = soonest(*look_us, v.notice_us);
    if (s->retry_us > r->last_try_us)
        v.next_us = soonest(v.next_us, s->retry_us);
    j->waiting++;
    if (j->waiting == 1 || r->tries < j->tries) { /* those with the fewest tries go first */
        j->tries = r->tries;
        j->node.key = v.next_us;
    }
}

static void free_job(struct queue_table *t, struct queue_job *j)
{
    heap_drop(&j->destination->jobs, &j->node);
    line_up(t, j->destination);
    destination_put(t, j->destination);
    free(j);
}

static void settle_jobs(struct queue_table *t, struct queue_message *m)
{
    struct queue_job **at = &m->jobs, *j;

    while ((j = *at)) {
        if (!j->waiting && !j->running) {
            *at = j->next;
            free_job(t, j);
            continue;
        }
        if (j->running || m->held)
            heap_drop(&j->destination->jobs, &j->node);
        else
            heap_put(&j->destination->jobs, &j->node, j->node.key);
        line_up(t, j->destination);
        at = &j->next;
    }
}

void queue_table_refresh(struct queue_table *t, struct queue_message *m, const struct queue_loaded *l, int64_t now_us)
{
    int64_t look_us = QUEUE_NEVER;

    m->held = l->state->held;
    m->waiting = m->tries = 0;
    for (struct queue_job *j = m->jobs; j; j = j->next) {
        heap_drop(&j->destination->jobs, &j->node); /* before its key is another one */
        j->waiting = 0;
    }
    for (uint32_t i = 0; i < l->head->rcpt_count; i++) {
        const struct queue_rcpt_log *r = &l->state->rcpts[i];

        m->tries = r->tries > m->tries ? r->tries : m->tries;
        if (r->state == QUEUE_WAITING) {
            m->waiting++;
            plan_rcpt(t, m, job_get(t, m, &l->head->rcpts[i]), r, l->state, now_us, &look_us);
        }
    }
    if (!m->waiting) /* to be told, or finished by a process that died before it could remove it */
        look_us = now_us;
    settle_jobs(t, m);
    if (m->running || (m->held && m->waiting))
        look_us = QUEUE_NEVER;
    if (look_us == QUEUE_NEVER)
        heap_drop(&t->attention, &m->node);
    else
        heap_put(&t->attention, &m->node, look_us);
}

/* ---- messages */

void queue_table_init(struct queue_table *t)
{
    grow_messages(t);
    grow_destinations(t);
}

struct queue_message *queue_table_add(struct queue_table *t, const struct queue_loaded *l, int64_t now_us)
{
    size_t n = strlen(l->head->id) + 1;
    struct queue_message *m = mem_alloc(sizeof *m + n), **at;

    memcpy(m->id, l->head->id, n);
    m->size = l->head->size;
    m->arrived_us = l->head->arrived_us;
    m->rcpts = l->head->rcpt_count;
    m->sender = mem_strn(l->head->sender.p, l->head->sender.n);
    if (t->count >= t->message_cap)
        grow_messages(t);
    at = &t->messages[hash(m->id, n - 1, 2166136261u) & (t->message_cap - 1)];
    m->chain = *at;
    *at = m;
    m->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = m;
    t->newest = m;
    t->count++;
    t->bytes += m->size;
    queue_table_refresh(t, m, l, now_us);
    return m;
}

struct row {
    struct queue_message *message;
};

static int by_arrival(const void *a, const void *b)
{
    const struct queue_message *x = ((const struct row *)a)->message, *y = ((const struct row *)b)->message;

    return x->arrived_us != y->arrived_us ? (x->arrived_us < y->arrived_us ? -1 : 1) : strcmp(x->id, y->id);
}

void queue_table_sort(struct queue_table *t)
{
    struct row *all = mem_alloc((t->count + 1) * sizeof *all);
    uint32_t n = 0;

    for (struct queue_message *m = t->oldest; m; m = m->newer)
        all[n++].message = m;
    qsort(all, n, sizeof *all, by_arrival);
    t->oldest = t->newest = NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct queue_message *m = all[i].message;

        m->older = t->newest;
        m->newer = NULL;
        *(t->newest ? &t->newest->newer : &t->oldest) = m;
        t->newest = m;
    }
    free(all);
}

void queue_table_drop(struct queue_table *t, struct queue_message *m)
{
    struct queue_message **at = &t->messages[hash(m->id, strlen(m->id), 2166136261u) & (t->message_cap - 1)];
    struct queue_job *j;

    assert(!m->running);
    while (*at != m)
        at = &(*at)->chain;
    *at = m->chain;
    *(m->older ? &m->older->newer : &t->oldest) = m->newer;
    *(m->newer ? &m->newer->older : &t->newest) = m->older;
    heap_drop(&t->attention, &m->node);
    while ((j = m->jobs)) {
        m->jobs = j->next;
        free_job(t, j);
    }
    t->count--;
    t->bytes -= m->size;
    queue_loaded_free(&m->file);
    buf_clear(&m->lines);
    free(m->sender);
    free(m);
}

void queue_table_clear(struct queue_table *t)
{
    while (t->oldest)
        queue_table_drop(t, t->oldest);
    heap_clear(&t->ready);
    heap_clear(&t->attention);
    free(t->messages);
    free(t->destinations);
    t->messages = NULL;
    t->destinations = NULL;
    t->message_cap = t->destination_cap = 0;
}

/* ---- what is next */

struct queue_job *queue_table_next(const struct queue_table *t, int64_t now_us)
{
    const struct queue_destination *d = (struct queue_destination *)(void *)heap_first(&t->ready);

    if (!d || d->node.key > now_us)
        return NULL;
    return (struct queue_job *)(void *)heap_first(&d->jobs);
}

void queue_table_started(struct queue_table *t, struct queue_job *j)
{
    heap_drop(&j->destination->jobs, &j->node);
    j->running = true;
    j->destination->running++;
    j->message->running++;
    t->running++;
    heap_drop(&t->attention, &j->message->node);
    line_up(t, j->destination);
}

void queue_table_ended(struct queue_table *t, struct queue_job *j)
{
    j->running = false;
    j->destination->running--;
    j->message->running--;
    t->running--;
    line_up(t, j->destination);
}

struct queue_message *queue_table_attention(const struct queue_table *t, int64_t now_us)
{
    struct heap_node *n = heap_first(&t->attention);

    return n && n->key <= now_us ? (struct queue_message *)(void *)n : NULL;
}

int64_t queue_table_next_us(const struct queue_table *t)
{
    const struct heap_node *a = heap_first(&t->ready), *b = heap_first(&t->attention);

    return soonest(a ? a->key : QUEUE_NEVER, b ? b->key : QUEUE_NEVER);
}

void queue_table_health(struct queue_table *t, struct queue_destination *d, bool reached, const char *reason,
                        int64_t now_us)
{
    free(d->reason);
    d->reason = *reason ? mem_str(reason) : NULL;
    if (reached) {
        d->failures = 0;
        d->not_before_us = 0;
    } else if (now_us >= d->not_before_us) { /* what ran beside the first failure says nothing new */
        d->failures++;
        d->not_before_us = now_us + retry_back_off_us(d->failures, queue_table_random(t));
    }
    line_up(t, d);
}

void queue_table_forgive(struct queue_table *t, struct queue_destination *d)
{
    d->failures = 0;
    d->not_before_us = 0;
    line_up(t, d);
}

void queue_table_clock_back(struct queue_table *t, int64_t now_us)
{
    for (uint32_t i = 0; i < t->destination_cap; i++)
        for (struct queue_destination *d = t->destinations[i]; d; d = d->chain)
            queue_table_forgive(t, d);
    for (struct queue_message *m = t->oldest; m; m = m->newer)
        if (!m->running) /* else when that ends */
            heap_put(&t->attention, &m->node, now_us);
}
