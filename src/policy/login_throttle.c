#include "policy/login_throttle.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define WAYS 8u /* places where a key may stand */

struct entry {
    uint64_t key; /* 0: free */
    int64_t last_us;
    unsigned count;
};

struct login_throttle {
    size_t count;
    struct entry list[];
};

struct login_throttle *login_throttle_new(size_t entries)
{
    size_t count = entries < WAYS ? WAYS : entries;
    struct login_throttle *t = mem_alloc(sizeof *t + count * sizeof *t->list);

    t->count = count;
    return t;
}

void login_throttle_free(struct login_throttle **t)
{
    free(*t);
    *t = NULL;
}

/* Two names that share a hash share their failures: at worst a delay that one of them has not earned. */
static uint64_t key_of(enum login_kind kind, const void *key, size_t n)
{
    const unsigned char *p = key;
    uint64_t h = UINT64_C(14695981039346656037) + kind; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h ? h : 1;
}

static unsigned left_of(const struct entry *e, int64_t now_us)
{
    int64_t forgotten = (now_us - e->last_us) / LOGIN_FORGET_US;

    return forgotten >= e->count ? 0 : e->count - (unsigned)forgotten;
}

static const struct entry *find(const struct login_throttle *t, uint64_t key)
{
    for (size_t i = 0; i < WAYS; i++)
        if (t->list[(key + i) % t->count].key == key)
            return &t->list[(key + i) % t->count];
    return NULL;
}

static struct entry *place(struct login_throttle *t, uint64_t key)
{
    struct entry *oldest = &t->list[key % t->count];

    for (size_t i = 0; i < WAYS; i++) {
        struct entry *e = &t->list[(key + i) % t->count];

        if (e->key == key)
            return e;
        if (!e->key || e->last_us < oldest->last_us)
            oldest = e;
    }
    *oldest = (struct entry){.key = key};
    return oldest;
}

int64_t login_throttle_delay(const struct login_throttle *t, enum login_kind kind, const void *key, size_t n,
                             int64_t now_us, bool *too_many)
{
    const struct entry *e = find(t, key_of(kind, key, n));
    unsigned count = e ? left_of(e, now_us) : 0;

    if (too_many)
        *too_many = kind == LOGIN_CLIENT && count >= LOGIN_TOO_MANY;
    if (count <= LOGIN_FREE)
        return 0;
    if (count - LOGIN_FREE > 8)
        return LOGIN_DELAY_MOST_US;
    return LOGIN_DELAY_US << (count - LOGIN_FREE - 1) < LOGIN_DELAY_MOST_US ? LOGIN_DELAY_US << (count - LOGIN_FREE - 1)
                                                                            : LOGIN_DELAY_MOST_US;
}

bool login_throttle_failed(struct login_throttle *t, enum login_kind kind, const void *key, size_t n, int64_t now_us)
{
    struct entry *e = place(t, key_of(kind, key, n));

    e->count = left_of(e, now_us) + 1;
    if (e->count > LOGIN_TOO_MANY * 2)
        e->count = LOGIN_TOO_MANY * 2;
    e->last_us = now_us;
    return e->count == LOGIN_TOO_MANY;
}

void login_throttle_worked(struct login_throttle *t, enum login_kind kind, const void *key, size_t n, int64_t now_us)
{
    uint64_t hash = key_of(kind, key, n);
    struct entry *e = find(t, hash) ? place(t, hash) : NULL;

    if (!e)
        return;
    e->count = left_of(e, now_us);
    if (kind == LOGIN_NAME)
        e->count = 0;
    else if (e->count)
        e->count--;
    e->last_us = now_us;
}
