/* The group commit: what is ready is made durable together, in threads of its own, while the next group gathers.
 *
 *     flush the data of the group -> link each message into new/ of each recipient, all or none ->
 *     flush the names, each directory once -> answer
 *
 * Nothing is visible before its data is on stable storage, nothing is answered before its names are. A file whose
 * flush failed is closed, never flushed again: its pages count as clean from then on, and a second flush would succeed
 * without writing them. The sender tries again and the message is written anew.
 *
 * A worker may keep a second descriptor of a file and write to it after the commit: it could spoil a message that came
 * through itself, which it could have done before the commit as well. It can not read it, nor reach anybody else's.
 * What counts is the size at publication, checked after the flush. */
#ifndef SINK_COMMIT_H
#define SINK_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/pool.h"
#include "sink/publish.h"

struct work { /* one message on its way */
    struct work *next;
    uint32_t worker, slot; /* for the answer; a worker's number is never used twice */
    struct delivery *delivery;
    struct pool_file file, queue_file; /* .fd -1: none */
    uint32_t queue_slot;
    struct message message;
    uint32_t mailboxes[]; /* message.mailboxes */
};

#define COMMIT_THREADS 2 /* one group's data is flushed while another's names are */

/* For measurements alone: how many threads really. */
extern unsigned commit_threads;

struct committer;
/* Starts the threads (call behind the sandbox). notify_fd: an eventfd, written when a group is done. */
/* queue: where messages for the queue go, NULL: nowhere. */
int committer_new(struct committer **out, struct maildirs *m, struct flusher *f, const char *host, int procfd,
                  struct delivery *queue, int notify_fd, struct err *e);
/* Ends the threads behind the running groups. */
void committer_free(struct committer **c);
/* Hands over work; it is the committer's until it comes back. Never waits. committer_go() behind the last of a turn. */
void committer_add(struct committer *c, struct work *w);
void committer_go(struct committer *c);
struct work *committer_done(struct committer *c); /* a list, NULL: none; the files are closed */
bool committer_is_idle(struct committer *c);

struct work *work_new(uint32_t count);

#endif
