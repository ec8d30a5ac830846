#include "relay/verify_cache.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct known {
    char *route, *address;
    struct verify_answer answer;
    char *text; /* of answer */
    int64_t until_us;
    struct known *next, **link; /* in the list of its kind, oldest first */
};

struct kind {
    struct known *first, **last;
    unsigned count;
};

/* A balanced tree and no table of hashes: whoever chooses addresses cannot make it slow. */
struct verify_cache {
    void *tree;
    struct kind kinds[VERIFY_UNKNOWN];
    unsigned most;
};

int verify_address_compare(const char *a, const char *b)
{
    const char *at_a = strrchr(a, '@'), *at_b = strrchr(b, '@');
    size_t n = at_a ? (size_t)(at_a - a) : strlen(a), m = at_b ? (size_t)(at_b - b) : strlen(b);
    int r = memcmp(a, b, n < m ? n : m);

    if (r == 0 && n != m)
        r = n < m ? -1 : 1;
    return r ? r : strcasecmp(at_a ? at_a : "", at_b ? at_b : "");
}

static int compare(const void *pa, const void *pb)
{
    const struct known *a = pa, *b = pb;
    int r = strcmp(a->route, b->route);

    return r ? r : verify_address_compare(a->address, b->address);
}

struct verify_cache *verify_cache_new(unsigned most)
{
    struct verify_cache *c = mem_alloc(sizeof *c);

    c->most = most;
    for (unsigned i = 0; i < VERIFY_UNKNOWN; i++)
        c->kinds[i].last = &c->kinds[i].first;
    return c;
}

static void drop(struct verify_cache *c, struct known *e)
{
    struct kind *k = &c->kinds[e->answer.verdict];

    tdelete(e, &c->tree, compare);
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    else
        k->last = e->link;
    k->count--;
    free(e->route);
    free(e->address);
    free(e->text);
    free(e);
}

void verify_cache_free(struct verify_cache **cp)
{
    struct verify_cache *c = *cp;

    if (!c)
        return;
    for (unsigned i = 0; i < VERIFY_UNKNOWN; i++)
        while (c->kinds[i].first)
            drop(c, c->kinds[i].first);
    free(c);
    *cp = NULL;
}

static struct known *find(const struct verify_cache *c, const char *route, const char *address)
{
    struct known key = {.route = (char *)(uintptr_t)route, .address = (char *)(uintptr_t)address};
    struct known **at = tfind(&key, &c->tree, compare);

    return at ? *at : NULL;
}

const struct verify_answer *verify_cache_find(struct verify_cache *c, const char *route, const char *address,
                                              int64_t now_us)
{
    struct known *e = find(c, route, address);

    if (e && e->until_us <= now_us) {
        drop(c, e);
        e = NULL;
    }
    return e ? &e->answer : NULL;
}

void verify_cache_put(struct verify_cache *c, const char *route, const char *address, const struct verify_answer *a,
                      int64_t now_us)
{
    struct known *e = find(c, route, address);
    struct kind *k;

    if (a->verdict == VERIFY_UNKNOWN)
        return;
    if (e)
        drop(c, e);
    k = &c->kinds[a->verdict];
    if (k->count == c->most)
        drop(c, k->first);
    e = mem_alloc(sizeof *e);
    e->route = mem_str(route);
    e->address = mem_str(address);
    e->answer = *a;
    e->answer.text.n = a->text.n < VERIFY_TEXT_MOST ? a->text.n : VERIFY_TEXT_MOST;
    e->answer.text.p = e->text = mem_strn(a->text.n ? a->text.p : "", e->answer.text.n);
    e->until_us = now_us + (a->verdict == VERIFY_YES ? VERIFY_YES_US : VERIFY_NO_US);
    e->link = k->last;
    *k->last = e;
    k->last = &e->next;
    k->count++;
    if (!tsearch(e, &c->tree, compare)) /* no memory for a node: then it is not kept */
        drop(c, e);
}

unsigned verify_cache_count(const struct verify_cache *c)
{
    return c->kinds[VERIFY_YES].count + c->kinds[VERIFY_NO].count;
}
