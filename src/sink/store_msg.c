#include "sink/store_msg.h"

#include <errno.h>
#include <string.h>

#include "base/chan.h"

#define RECORD_HEAD ((size_t)16)
#define RECORD_QUEUE ((size_t)16 + QUEUE_FILE_ID_MOST)
#define QUEUED (UINT32_C(1) << 31) /* in count */

static int exact(void *out, size_t size, const void *data, size_t len)
{
    if (len != size)
        return -1;
    memcpy(out, data, size);
    return 0;
}

/* The number of items of this size that fill len exactly, at most max. */
static int items(size_t len, size_t size, size_t max)
{
    if (len == 0 || len % size || len / size > max)
        return -1;
    return (int)(len / size);
}

int store_want_decode(const void *data, size_t len, const struct store_bounds *b, struct store_want *out)
{
    if (exact(out, sizeof *out, data, len) < 0 || out->delivery >= b->deliveries || out->count == 0 ||
        out->count > STORE_SLOTS)
        return -1;
    return 0;
}

size_t store_commit_size(uint32_t count)
{
    return RECORD_HEAD + (size_t)count * 4;
}

size_t store_commit_size_queued(uint32_t count)
{
    return store_commit_size(count) + RECORD_QUEUE;
}

void store_commit_add(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes, uint32_t count)
{
    buf_append(batch, &slot, 4);
    buf_append(batch, &count, 4);
    buf_append(batch, &size, 8);
    buf_append(batch, mailboxes, (size_t)count * 4);
}

void store_commit_add_queued(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes, uint32_t count,
                             const struct store_commit_queue *queue)
{
    uint32_t marked = count | QUEUED;

    buf_append(batch, &slot, 4);
    buf_append(batch, &marked, 4);
    buf_append(batch, &size, 8);
    buf_append(batch, mailboxes, (size_t)count * 4);
    buf_append(batch, &queue->slot, 4);
    buf_append(batch, &queue->head, 4);
    buf_append(batch, &queue->size, 8);
    buf_append(batch, queue->id, QUEUE_FILE_ID_MOST);
}

static size_t size_of(const struct store_commit *c)
{
    return c->queued ? store_commit_size_queued(c->count) : store_commit_size(c->count);
}

size_t store_commit_datagram(const struct buf *batch)
{
    const uint8_t *p = (const uint8_t *)buf_data(batch);
    size_t left = batch->len, used = 0;
    struct store_commit c;

    while (store_commit_next(&p, &left, NULL, &c) == 1) {
        if (used + size_of(&c) > CHAN_MAX)
            break;
        used += size_of(&c);
    }
    return used;
}

static bool in_bounds(const struct store_commit *c, const struct store_bounds *b)
{
    /* nobody has more recipients than there are mailboxes: duplicates were taken out by the worker */
    if (c->size > b->size || c->count > b->mailboxes || (c->queued && (!b->queue || c->queue.size > b->size)))
        return false;
    for (uint32_t i = 0; i < c->count; i++)
        if (store_commit_mailbox(c, i) >= b->mailboxes)
            return false;
    return true;
}

/* The form of the queue's part: a name that is one and nothing behind it, an envelope inside the file. */
static bool take_queue(struct store_commit_queue *q, const uint8_t *p)
{
    size_t n;

    *q = (struct store_commit_queue){0};
    memcpy(&q->slot, p, 4);
    memcpy(&q->head, p + 4, 4);
    memcpy(&q->size, p + 8, 8);
    memcpy(q->id, p + 16, QUEUE_FILE_ID_MOST);
    n = strlen(q->id);
    for (size_t i = n; i < QUEUE_FILE_ID_MOST; i++)
        if (q->id[i] != '\0')
            return false;
    return q->slot < STORE_SLOTS && q->head > QUEUE_FILE_SIZE_AT + QUEUE_FILE_SIZE_DIGITS && q->head <= q->size &&
           q->size <= INT64_MAX && queue_file_is_id((struct span){q->id, n});
}

/* Either a file and its mailboxes, or neither and a part for the queue. */
static bool is_formed(const struct store_commit *c)
{
    if (c->count > STORE_RCPTS)
        return false;
    if (c->count)
        return c->slot < STORE_SLOTS && (!c->queued || c->queue.slot != c->slot);
    return c->queued && c->slot == STORE_NO_SLOT && c->size == 0;
}

int store_commit_next(const uint8_t **data, size_t *len, const struct store_bounds *b, struct store_commit *out)
{
    if (*len == 0)
        return 0;
    if (*len < RECORD_HEAD)
        return -1;
    memcpy(&out->slot, *data, 4);
    memcpy(&out->count, *data + 4, 4);
    memcpy(&out->size, *data + 8, 8);
    out->queued = out->count & QUEUED;
    out->count &= ~QUEUED;
    if (*len < size_of(out))
        return -1;
    out->mailboxes = *data + RECORD_HEAD;
    if (out->queued && !take_queue(&out->queue, out->mailboxes + (size_t)out->count * 4))
        return -1;
    if (!is_formed(out) || (b && !in_bounds(out, b)))
        return -1;
    *data += size_of(out);
    *len -= size_of(out);
    return 1;
}

uint32_t store_commit_mailbox(const struct store_commit *c, uint32_t i)
{
    uint32_t v;

    memcpy(&v, c->mailboxes + (size_t)i * 4, 4);
    return v;
}

int store_drop_count(const void *data, size_t len)
{
    int n = items(len, 4, STORE_SLOTS);

    for (int i = 0; i < n; i++)
        if (store_drop_slot(data, i) >= STORE_SLOTS)
            return -1;
    return n;
}

uint32_t store_drop_slot(const void *data, int i)
{
    uint32_t v;

    memcpy(&v, (const uint8_t *)data + (size_t)i * 4, 4);
    return v;
}

int store_files_count(size_t len, unsigned nfds)
{
    int n = items(len, sizeof(struct store_file), CHAN_FDS);

    return n < 0 || (unsigned)n != nfds ? -1 : n;
}

int store_file_decode(const void *data, int i, uint32_t deliveries, struct store_file *out)
{
    memcpy(out, (const uint8_t *)data + (size_t)i * sizeof *out, sizeof *out);
    return out->slot >= STORE_SLOTS || out->delivery >= deliveries ? -1 : 0;
}

int store_answers_count(size_t len)
{
    return items(len, sizeof(struct store_answer), STORE_SLOTS);
}

int store_answer_decode(const void *data, int i, struct store_answer *out)
{
    memcpy(out, (const uint8_t *)data + (size_t)i * sizeof *out, sizeof *out);
    return out->slot >= STORE_SLOTS || out->result > SINK_FAILED ? -1 : 0;
}

int store_no_files_decode(const void *data, size_t len, uint32_t deliveries, struct store_no_files *out)
{
    return exact(out, sizeof *out, data, len) < 0 || out->delivery >= deliveries ? -1 : 0;
}

enum sink_result store_result_of(int error)
{
    switch (error) {
    case 0:
        return SINK_OK;
    case ENOSPC:
        return SINK_FULL;
    case EDQUOT:
        return SINK_QUOTA;
    default:
        return SINK_FAILED;
    }
}
