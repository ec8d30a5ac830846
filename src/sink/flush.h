/* Making a group durable: one syncfs for many files, or a flush for each by up to 16 threads. Which one is cheaper
 * depends on the disk and on what else is dirty on it, so it is chosen group by group from what the last ones took
 * (docs/storage.md has the measurements). */
#ifndef SINK_FLUSH_H
#define SINK_FLUSH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define FLUSH_THREADS 16

struct flush_item {
    int fd;
    dev_t dev;
    int error;  /* out: errno, 0: on stable storage */
    void *user; /* the caller's */
};

enum flush_kind { FLUSH_DATA, FLUSH_NAMES };

/* What the last groups of one file system took. */
struct flush_history {
    int64_t whole_us, each_us; /* moving averages of a group, 0: not tried yet */
    int64_t again_us;          /* monotonic: not before this is a syncfs tried again */
    int64_t hold_us;           /* how long the next pause will be */
};
/* May a group of n be flushed by one syncfs? Pure. */
bool flush_whole_is_better(const struct flush_history *h, unsigned n, int64_t now_us);
/* Takes in what a group of n took. error: the syncfs failed. Pure. */
void flush_learn(struct flush_history *h, bool whole, unsigned n, int64_t took_us, int64_t now_us, bool error);

/* For measurements alone: -1 chooses, 0 never, 1 always a syncfs. */
extern int flush_force;

struct flusher;
int flusher_new(struct flusher **out, struct err *e); /* starts its threads: call behind the sandbox */
void flusher_free(struct flusher **f);
/* Waits until every item is on stable storage or has its error. Any thread; several at once. Sorts the items. */
void flusher_run(struct flusher *f, struct flush_item *items, unsigned n, enum flush_kind kind);

#endif
