/* Files ahead of need: a thread makes empty ones, so that a journal that is busy with a commit keeps nobody from
 * listening. They are made in a hidden directory of the delivery's base, in one of this store alone. O_TMPFILE where it
 * exists: such a file has no name and vanishes with its last descriptor, so a crash leaves nothing. Elsewhere they have
 * names there until they are committed; what a killed store left is removed by the next one. */
#ifndef SINK_POOL_H
#define SINK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/err.h"
#include "sink/maildir.h"

extern unsigned pool_place_files; /* so many in one directory, then another; a test makes it small */

#define POOL_BATCH 32u /* files per request: fits one message with descriptors */

struct pool_file {
    int fd;
    uint64_t temp; /* its number in the hidden directory, 0: nameless */
};

struct pool_batch {
    struct pool_batch *next;
    uint32_t worker, delivery;
    unsigned wanted, count;
    int error; /* errno: why there are fewer than wanted */
    struct pool_file file[POOL_BATCH];
};

struct pool;
/* notify_fd: an eventfd, written when a batch is done. Starts the thread: call behind the sandbox. */
int pool_new(struct pool **out, const struct conf *c, struct delivery *deliveries, struct maildirs *m, int notify_fd,
             struct err *e);
void pool_free(struct pool **p); /* ends the thread; batches nobody took are closed */
void pool_ask(struct pool *p, struct pool_batch *b);
struct pool_batch *pool_done(struct pool *p); /* NULL: none */
bool pool_is_idle(struct pool *p);            /* the thread waits for nobody, no disk either */
/* Closes a file that is not used, or whose names are made. Any thread. */
void pool_release(struct delivery *d, struct pool_file *f);
void pool_batch_free(struct delivery *deliveries, struct pool_batch *b);

#endif
