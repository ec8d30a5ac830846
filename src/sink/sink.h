/* Where messages go, as a session sees it: open, write, commit -> answer, abort. The backend of this issue
 * is the store process (src/sink/store_client.c); others (queue, next hop) come behind the same interface. */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stddef.h>
#include <stdint.h>

enum sink_result {
    SINK_OK,     /* in every recipient's mailbox, on stable storage */
    SINK_FULL,   /* 452 4.3.1: ENOSPC */
    SINK_QUOTA,  /* 452 4.2.2: EDQUOT */
    SINK_FAILED, /* 451 4.3.0: anything else: EACCES, EROFS, EIO, mailbox gone, store dead */
};

struct sink_answer {
    enum sink_result result;
    int error;        /* errno behind it, 0 when OK */
    uint32_t mailbox; /* which recipient failed, UINT32_MAX when it was not one of them */
};

struct sink_message; /* one open message */
struct sink;         /* per worker */

/* Called from the worker's loop, never from inside sink_open/sink_commit. */
struct sink_events {
    void (*opened)(void *session, struct sink_message *m, const struct sink_answer *a); /* m NULL: failed */
    void (*committed)(void *session, const struct sink_answer *a); /* the message is gone afterwards */
};

/* Asks for an open message for these mailboxes. Returns it at once when one is at hand (the usual case);
 * else NULL with *pending = true: opened() follows, or sink_cancel() stops it; or NULL, *pending = false: a says. */
struct sink_message *sink_open(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count, int *pending,
                               struct sink_answer *a);
void sink_cancel(struct sink *s, void *session);

/* For recipients elsewhere: the message goes into the queue as well, or alone (count 0: mailboxes may be NULL); all or
 * none. head is the envelope as queue_file_write() makes it, with size 0, and id the one in it; both are copied. */
struct sink_queue {
    const char *id;
    const void *head;
    size_t head_size;
};
struct sink_message *sink_open_queued(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count,
                                      const struct sink_queue *queue, int *pending, struct sink_answer *a);
/* Appends. Errors (ENOSPC ...) are remembered and come back from commit; never blocks on the disk's flush. */
void sink_write(struct sink_message *m, const void *p, size_t n);
/* Into the mailboxes alone: what a delivery adds and mail on its way must not have (Return-Path). */
void sink_write_local(struct sink_message *m, const void *p, size_t n);
uint64_t sink_written(const struct sink_message *m);
/* Hands over what was written; committed() follows. The session may be gone by then: sink_forget(). */
void sink_commit(struct sink_message *m);
void sink_abort(struct sink_message **m);
/* The session dies while a commit is under way: the message is still delivered, the answer goes nowhere. */
void sink_forget(struct sink *s, void *session);

#endif
