/* What comes first: a binary heap of nodes that live inside their owners, so that one can be moved or taken out from the
 * middle. The node is its owner's first member: a node is cast to its owner. */
#ifndef SINK_QUEUE_HEAP_H
#define SINK_QUEUE_HEAP_H

#include <stdint.h>

struct heap_node {
    int64_t key;
    uint32_t at; /* its place + 1; 0: in no heap */
};

struct heap {
    struct heap_node **node;
    uint32_t count, cap;
};

/* Puts it in, or moves it to where key belongs. */
void heap_put(struct heap *h, struct heap_node *n, int64_t key);
void heap_drop(struct heap *h, struct heap_node *n); /* nothing when it is not in */
struct heap_node *heap_first(const struct heap *h);  /* NULL: empty */
void heap_clear(struct heap *h);

#endif
