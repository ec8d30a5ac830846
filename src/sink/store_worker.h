/* The store's side of one worker: which files it holds, what it is owed, and every check of what it says. */
#ifndef SINK_STORE_WORKER_H
#define SINK_STORE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/commit.h"
#include "sink/pool.h"
#include "sink/store_msg.h"

struct store_rooms { /* what all workers of a store share */
    const struct conf *conf;
    struct delivery *deliveries;
    struct pool *pool;
    struct committer *committer;
    struct store_bounds bounds;
    struct delivery *queue; /* the last of deliveries, NULL: there is none */
    unsigned slots;         /* files one worker may hold: descriptors are finite */
    char *room;             /* CHAN_MAX + 4 bytes to receive into */
};

struct store_worker;

/* fd is the worker's from now on. */
struct store_worker *store_worker_new(struct store_rooms *r, int fd, uint32_t number);
/* Its files vanish; what it has committed is finished without it. */
void store_worker_free(struct store_worker **w);
int store_worker_fd(const struct store_worker *w);
uint32_t store_worker_number(const struct store_worker *w);
short store_worker_events(const struct store_worker *w); /* for poll(2) */
/* Takes what there is. -1: it is gone, or said what no worker of ours says; store_worker_free() is next. */
int store_worker_readable(struct store_worker *w);
/* Sends what waits: answers, refusals, wishes for files. */
void store_worker_push(struct store_worker *w);
void store_worker_files(struct store_worker *w, struct pool_batch *b); /* takes the batch */
void store_worker_answer(struct store_worker *w, const struct work *done);

#endif
