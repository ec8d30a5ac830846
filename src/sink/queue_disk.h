/* The queue's directory: reading a file's head and log, appending to the log, making and removing files. For the queue's
 * thread; waits for the disk. Through sink/fsops.h where something is written, so that tests can make disks fail. */
#ifndef SINK_QUEUE_DISK_H
#define SINK_QUEUE_DISK_H

#include "sink/queue_log.h"

struct queue_disk {
    int dir, procfd;
    bool unflushed; /* names went that may come back by a power cut */
};

struct queue_loaded {
    struct queue_head *head;
    struct queue_state *state;
    uint64_t content_at, log_at, bytes;
};

/* 1: *out. 0: there is no such file. -1: e: it cannot be read, or is damaged. */
int queue_disk_load(const struct queue_disk *d, const char *id, struct queue_loaded **out, struct err *e);
void queue_loaded_free(struct queue_loaded **l);
/* For reading; the relay gets it. -1 and errno. */
int queue_disk_open(const struct queue_disk *d, const char *id);
/* Appends lines behind what counts in the log (a cut-off line goes) and flushes, unless the caller will do so for the
 * whole file system. -1: nothing of it counts. */
int queue_disk_append(const struct queue_disk *d, const char *id, struct queue_loaded *l, const struct buf *lines,
                      bool flush, struct err *e);
/* A new file with that text, name and all on stable storage. -1: there is none. */
int queue_disk_publish(const struct queue_disk *d, const char *id, const struct buf *text, struct err *e);
int queue_disk_remove(struct queue_disk *d, const char *id, struct err *e);
void queue_disk_flush(struct queue_disk *d); /* removed names, some times a second */

#endif
