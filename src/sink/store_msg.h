/* Worker <-> store, over base/chan.h. The store trusts nothing here: decoding checks every length and number. */
#ifndef SINK_STORE_MSG_H
#define SINK_STORE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sink/sink.h"

enum store_msg {
    /* worker -> store */
    STORE_WANT = 1, /* struct store_want: files for this delivery are short */
    STORE_COMMIT,   /* records, see store_commit_add() */
    STORE_DROP,     /* uint32_t slots[]: begun and given up */
    /* store -> worker */
    STORE_FILES = 100, /* struct store_file[], one descriptor each */
    STORE_ANSWERS,     /* struct store_answer[] */
    STORE_NO_FILES,    /* struct store_no_files: none can be made, and why */
};

#define STORE_SLOTS 1024     /* files one worker may hold at once, in its pool or open */
#define STORE_RCPTS 100000   /* recipients of one message: far above any limit of the configuration */

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

/* One finished message inside STORE_COMMIT: slot, count, size, then count mailbox numbers. */
struct store_commit {
    uint32_t slot, count;
    uint64_t size;
    const uint8_t *mailboxes; /* count numbers of 4 bytes, unaligned: read with store_commit_mailbox() */
};

void store_commit_add(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes,
                      uint32_t count);
/* Bytes a record takes. */
size_t store_commit_size(uint32_t count);
/* Takes the next record off *data. 1: one; 0: the end; -1: malformed. */
int store_commit_next(const uint8_t **data, size_t *len, struct store_commit *out);
uint32_t store_commit_mailbox(const struct store_commit *c, uint32_t i);

enum sink_result store_result_of(int error); /* errno to result */

#endif
