#include "bench/bench_count.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define BUCKETS 4096u

struct entry {
    struct entry *next;
    const struct bench_step *step;
    unsigned count;
    int64_t first_s;
    char key[];
};

struct bench_count {
    uint64_t random;
    struct entry *bucket[BUCKETS];
};

struct bench_count *bench_count_new(uint64_t seed)
{
    struct bench_count *c = mem_alloc(sizeof *c);

    c->random = seed;
    return c;
}

void bench_count_free(struct bench_count **cp)
{
    struct bench_count *c = *cp;

    if (!c)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry *e = c->bucket[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    free(c);
    *cp = NULL;
}

/* splitmix64 */
static uint64_t draw(struct bench_count *c)
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct entry *find(struct bench_count *c, const struct bench_step *s, const char *key, int64_t now_s)
{
    uint64_t h = 14695981039346656037u ^ (uintptr_t)s; /* FNV-1a */
    struct entry **at, *e;
    size_t n = strlen(key);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    at = &c->bucket[h % BUCKETS];
    for (e = *at; e; e = e->next)
        if (e->step == s && strcmp(e->key, key) == 0)
            return e;
    e = mem_alloc(sizeof *e + n + 1);
    e->step = s;
    e->first_s = now_s;
    memcpy(e->key, key, n + 1);
    e->next = *at;
    *at = e;
    return e;
}

bool bench_count_acts(struct bench_count *c, const struct bench_step *s, const char *key, int64_t now_s,
                      unsigned *count)
{
    struct entry *e = find(c, s, key, now_s);
    unsigned n = ++e->count;

    *count = n;
    if (n <= s->after || (s->times && n > s->after + s->times))
        return false;
    if (s->every && (n - s->after) % s->every != 0)
        return false;
    if (s->until_s && now_s - e->first_s >= s->until_s)
        return false;
    return s->chance >= 1000 || draw(c) % 1000 < s->chance;
}
