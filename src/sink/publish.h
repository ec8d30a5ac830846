/* Giving messages their names: each into new/ of each recipient, all or none, and the names flushed, each directory
 * once. One struct publish serves one group of one committer thread. */
#ifndef SINK_PUBLISH_H
#define SINK_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/flush.h"
#include "sink/maildir.h"
#include "sink/names.h"
#include "sink/queue_file.h"

struct message_queued { /* the file for the queue, if there is one */
    int fd;             /* -1: none */
    uint64_t size;      /* of the file, and .head of its envelope, as the worker said */
    uint32_t head;
    bool linked;
    char id[QUEUE_FILE_ID_MOST + 1];
};

struct message { /* finished by a worker, with its data on stable storage when it comes here */
    int fd;      /* -1: for the queue alone */
    dev_t dev;
    const struct delivery *delivery; /* whose file it is */
    uint64_t size;                   /* as the worker said */
    const uint32_t *mailboxes;
    uint32_t count;
    uint32_t linked; /* names that were made, for the first so many mailboxes */
    char name[NAMES_MOST];
    struct message_queued queued;
    struct message *next_queued; /* among those whose name in the queue is to be flushed */
    int error;                   /* errno, 0: nothing failed so far */
    uint32_t mailbox;            /* which one failed, UINT32_MAX: none of them in particular */
};

struct publish;
/* queue: where messages for the queue go, NULL: nowhere. */
struct publish *publish_new(struct maildirs *m, struct flusher *f, const char *host, int procfd,
                            struct delivery *queue);
void publish_free(struct publish **p);
/* Links, the queue last (its scheduler may begin at once); on failure takes back what was linked. The name counts when publish_end() says so. */
void publish_message(struct publish *p, struct message *m);
/* Flushes the names of all messages since the last time; those whose directory failed get ->error and are taken back. */
void publish_end(struct publish *p);

void message_fail(struct message *m, int error, uint32_t mailbox); /* the first reason counts */

#endif
