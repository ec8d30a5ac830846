#include "bench/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define WAYS 4u /* rooms that a key may be in */

struct room {
    char *key; /* NULL: empty */
    size_t n;
    uint64_t when;
    struct seen_thing thing;
};

struct seen {
    struct room *rooms;
    unsigned count;
    uint64_t now;
};

struct seen *seen_new(unsigned rooms)
{
    struct seen *s = mem_alloc(sizeof *s);

    s->count = rooms < WAYS ? WAYS : rooms;
    s->rooms = mem_alloc(s->count * sizeof *s->rooms);
    return s;
}

void seen_free(struct seen **sp)
{
    struct seen *s = *sp;

    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++)
        free(s->rooms[i].key);
    free(s->rooms);
    free(s);
    *sp = NULL;
}

/* FNV-1a: who makes keys collide makes the bench forget what it saw of him. */
static unsigned first_room(const struct seen *s, const char *key, size_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)key[i]) * UINT64_C(1099511628211);
    return (unsigned)((h ^ h >> 32) & (s->count - 1)) & ~(WAYS - 1);
}

static struct room *find(struct seen *s, const char *key, size_t n)
{
    struct room *r = &s->rooms[first_room(s, key, n)];

    for (unsigned i = 0; i < WAYS; i++)
        if (r[i].key && r[i].n == n && memcmp(r[i].key, key, n) == 0)
            return &r[i];
    return NULL;
}

struct seen_thing *seen_get(struct seen *s, const char *key, size_t n)
{
    struct room *r = find(s, key, n);

    return r ? &r->thing : NULL;
}

struct seen_thing *seen_put(struct seen *s, const char *key, size_t n)
{
    struct room *r = find(s, key, n), *ways = &s->rooms[first_room(s, key, n)];

    if (!r) {
        r = ways;
        for (unsigned i = 1; i < WAYS; i++)
            if (ways[i].when < r->when)
                r = &ways[i];
        free(r->key);
        *r = (struct room){.key = mem_strn(key, n), .n = n};
    }
    r->when = ++s->now;
    return &r->thing;
}
