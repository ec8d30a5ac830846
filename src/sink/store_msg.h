/* Worker <-> store, over base/chan.h. The store trusts nothing here: decoding checks every length and number,
 * and what is not well-formed ends the channel. Numbers are in the machine's own order: both ends are one program. */
#ifndef SINK_STORE_MSG_H
#define SINK_STORE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sink/queue_file.h"
#include "sink/sink.h"

enum store_msg {
    /* worker -> store */
    STORE_WANT = 1, /* struct store_want: files for this delivery are short */
    STORE_COMMIT,   /* records, see store_commit_add() */
    STORE_DROP,     /* uint32_t slots[]: given back unused, or given up */
    /* store -> worker */
    STORE_FILES = 100, /* struct store_file[], one descriptor each */
    STORE_ANSWERS,     /* struct store_answer[] */
    STORE_NO_FILES,    /* struct store_no_files: none can be made, and why */
};

#define STORE_SLOTS 1024  /* files one worker may hold at once, in its pool, open or being committed */
#define STORE_RCPTS 30000 /* mailboxes of one message: a record fits one datagram; ext4 allows 65000 names */

struct store_want {
    uint32_t delivery, count;
};

struct store_file {
    uint32_t slot, delivery;
};

struct store_answer {
    uint32_t slot;
    uint32_t result; /* enum sink_result */
    int32_t error;
    uint32_t mailbox;
};

struct store_no_files {
    uint32_t delivery;
    int32_t error;
};

#define STORE_NO_SLOT UINT32_MAX

/* The queue's part of a finished message: a file of its own, with an envelope in front (queue_file.h), whose size the
 * store fills in. All or none: in every mailbox and in the queue. */
struct store_commit_queue {
    uint32_t slot;
    uint32_t head;                   /* bytes of the envelope; the rest is content */
    uint64_t size;                   /* of the whole file */
    char id[QUEUE_FILE_ID_MOST + 1]; /* and its name; in a record without the NUL, zeroes behind it */
};

/* One finished message inside STORE_COMMIT: slot, count, size, count mailbox numbers, and the queue's part where the
 * highest bit of count says so. A message for the queue alone has STORE_NO_SLOT, no mailbox and no size. */
struct store_commit {
    uint32_t slot, count;
    uint64_t size;
    const uint8_t *mailboxes; /* count numbers of 4 bytes, unaligned: read with store_commit_mailbox() */
    bool queued;
    struct store_commit_queue queue; /* if queued */
};

/* Against what the numbers of a worker are checked. */
struct store_bounds {
    uint32_t deliveries, mailboxes; /* the queue counts as a delivery, behind the others, where there is one */
    bool queue;
    uint64_t size; /* of one message */
};

/* ---- worker -> store. 0, or -1: malformed */
int store_want_decode(const void *data, size_t len, const struct store_bounds *b, struct store_want *out);
void store_commit_add(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes, uint32_t count);
/* The same with a part for the queue; slot STORE_NO_SLOT and count 0: for it alone. */
void store_commit_add_queued(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes, uint32_t count,
                             const struct store_commit_queue *queue);
size_t store_commit_size(uint32_t count); /* bytes a record takes */
size_t store_commit_size_queued(uint32_t count);
/* How many bytes of the batch, whole records, one datagram takes. */
size_t store_commit_datagram(const struct buf *batch);
/* Takes the next record off *data. 1: one; 0: the end; -1: malformed. b may be NULL: only the form is checked. */
int store_commit_next(const uint8_t **data, size_t *len, const struct store_bounds *b, struct store_commit *out);
uint32_t store_commit_mailbox(const struct store_commit *c, uint32_t i);
/* The number of slots in a STORE_DROP, -1 when malformed; store_drop_slot() reads one. */
int store_drop_count(const void *data, size_t len);
uint32_t store_drop_slot(const void *data, int i);

/* ---- store -> worker. The number of items, or -1: malformed */
int store_files_count(size_t len, unsigned nfds);
int store_file_decode(const void *data, int i, uint32_t deliveries, struct store_file *out);
int store_answers_count(size_t len);
int store_answer_decode(const void *data, int i, struct store_answer *out);
int store_no_files_decode(const void *data, size_t len, uint32_t deliveries, struct store_no_files *out);

enum sink_result store_result_of(int error); /* errno to result */

#endif
