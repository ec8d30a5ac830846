#include "sink/queue_heap.h"

#include <stdlib.h>

#include "base/text.h"

static void place(struct heap *h, uint32_t at, struct heap_node *n)
{
    h->node[at] = n;
    n->at = at + 1;
}

static void up(struct heap *h, uint32_t at, struct heap_node *n)
{
    while (at && h->node[(at - 1) / 2]->key > n->key) {
        place(h, at, h->node[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(h, at, n);
}

static void down(struct heap *h, uint32_t at, struct heap_node *n)
{
    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child + 1 < h->count && h->node[child + 1]->key < h->node[child]->key)
            child++;
        if (child >= h->count || h->node[child]->key >= n->key)
            break;
        place(h, at, h->node[child]);
        at = child;
    }
    place(h, at, n);
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
    int64_t before = n->key;

    n->key = key;
    if (n->at) {
        if (key < before)
            up(h, n->at - 1, n);
        else
            down(h, n->at - 1, n);
        return;
    }
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->node = mem_grow(h->node, h->cap * sizeof(struct heap_node *));
    }
    h->count++;
    up(h, h->count - 1, n);
}

void heap_drop(struct heap *h, struct heap_node *n)
{
    uint32_t at = n->at - 1;
    struct heap_node *last;

    if (!n->at)
        return;
    n->at = 0;
    last = h->node[--h->count];
    if (last == n)
        return;
    if (last->key < n->key)
        up(h, at, last);
    else
        down(h, at, last);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count ? h->node[0] : NULL;
}

void heap_clear(struct heap *h)
{
    free(h->node);
    *h = (struct heap){0};
}
