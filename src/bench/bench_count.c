#include "bench/bench_count.h"

#include <stdlib.h>

#include "base/text.h"

#define BUCKETS 64u

struct entry {
    struct entry *next;   /* in its bucket */
    struct entry *newer;  /* of all */
    uint64_t hash, other; /* two of what it counts by: texts of senders are not kept */
    unsigned count;
    int64_t first_s;
    int64_t tokens, filled_s; /* of step.rate: in parts of which a token has rate_s */
    bool filled;
};

struct bench_count {
    uint64_t seed;
    unsigned sessions;
    struct entry **bucket;
    unsigned buckets, entries;
    struct entry *oldest, **newest;
};

struct bench_count *bench_count_new(uint64_t seed)
{
    struct bench_count *c = mem_alloc(sizeof *c);

    c->seed = seed;
    c->buckets = BUCKETS;
    c->bucket = mem_alloc(c->buckets * sizeof(struct entry *));
    c->newest = &c->oldest;
    return c;
}

void bench_count_free(struct bench_count **cp)
{
    struct bench_count *c = *cp;

    if (!c)
        return;
    for (struct entry *e = c->oldest, *newer; e; e = newer) {
        newer = e->newer;
        free(e);
    }
    free(c->bucket);
    free(c);
    *cp = NULL;
}

uint64_t bench_count_seed(const struct bench_count *c)
{
    return c->seed;
}

unsigned bench_count_session(struct bench_count *c)
{
    return ++c->sessions;
}

/* splitmix64's last steps: every bit of z in every bit of the result */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* FNV-1a */
static uint64_t hash(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

uint64_t bench_count_step(const char *scenario, unsigned place)
{
    return mix(hash(14695981039346656037u, scenario) + place);
}

static void forget_oldest(struct bench_count *c)
{
    struct entry *e = c->oldest, **at = &c->bucket[e->hash % c->buckets];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    c->oldest = e->newer;
    if (!c->oldest)
        c->newest = &c->oldest;
    c->entries--;
    free(e);
}

static void put(struct bench_count *c, struct entry *e)
{
    struct entry **at = &c->bucket[e->hash % c->buckets];

    e->next = *at;
    *at = e;
}

static void grow(struct bench_count *c)
{
    free(c->bucket);
    c->buckets *= 4;
    c->bucket = mem_alloc(c->buckets * sizeof(struct entry *));
    for (struct entry *e = c->oldest; e; e = e->newer)
        put(c, e);
}

static struct entry *find(struct bench_count *c, uint64_t id, const char *key, int64_t now_s)
{
    uint64_t h = hash(id, key), other = hash(~id, key);
    struct entry *e;

    for (e = c->bucket[h % c->buckets]; e; e = e->next)
        if (e->hash == h && e->other == other)
            return e;
    if (c->entries == BENCH_COUNT_MOST)
        forget_oldest(c);
    if (c->entries == c->buckets)
        grow(c);
    e = mem_alloc(sizeof *e);
    e->hash = h;
    e->other = other;
    e->first_s = now_s;
    put(c, e);
    *c->newest = e;
    c->newest = &e->newer;
    c->entries++;
    return e;
}

/* A bucket of rate_count tokens, filled up within rate_s. True: it is empty. */
static bool is_beyond(struct entry *e, const struct bench_step *s, int64_t now_s)
{
    int64_t most = (int64_t)s->rate_count * s->rate_s;

    e->tokens = e->filled ? e->tokens + (now_s - e->filled_s) * s->rate_count : most;
    if (e->tokens > most)
        e->tokens = most;
    e->filled = true;
    e->filled_s = now_s;
    if (e->tokens < s->rate_s)
        return true;
    e->tokens -= s->rate_s;
    return false;
}

bool bench_count_acts(struct bench_count *c, const struct bench_step *s, uint64_t id, const char *key, int64_t now_s,
                      unsigned *count)
{
    struct entry *e = find(c, id, key, now_s);
    unsigned n = ++e->count;

    *count = n;
    if (n <= s->after || (s->times && n > s->after + s->times))
        return false;
    if (s->every && (n - s->after) % s->every != 0)
        return false;
    if (s->until_s && now_s - e->first_s >= s->until_s)
        return false;
    if (s->rate_count && !is_beyond(e, s, now_s))
        return false;
    return s->chance >= 1000 || mix(mix(c->seed ^ e->hash) + n * 0x9e3779b97f4a7c15u) % 1000 < s->chance;
}
