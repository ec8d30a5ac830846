/* The files a worker has at hand for one delivery, and how many it should have: one for each message that will want
 * one, and a few more, asked for before they are needed. */
#ifndef SINK_CLIENT_POOL_H
#define SINK_CLIENT_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "sink/store_msg.h"

#define CLIENT_NO_SLOT UINT32_MAX

struct client_file {
    int fd; /* write-only */
    uint32_t slot;
};

struct client_pool {
    struct client_file *file;
    unsigned count, cap;
    unsigned asked;  /* by STORE_WANT, not come yet */
    unsigned needed; /* messages without a file, and sessions that wait to open one */
};

void client_pool_add(struct client_pool *p, uint32_t slot, int fd);
bool client_pool_take(struct client_pool *p, struct client_file *out);
/* How many to ask for now: 0 while there are enough. */
unsigned client_pool_short(const struct client_pool *p);
/* Gives back what is far more than needed: closes it and appends its slots to drops. */
void client_pool_trim(struct client_pool *p, struct buf *drops);
void client_pool_clear(struct client_pool *p);

#endif
