#include "sink/store_msg.h"

#include <errno.h>
#include <string.h>

size_t store_commit_size(uint32_t count)
{
    return 16 + (size_t)count * 4;
}

void store_commit_add(struct buf *batch, uint32_t slot, uint64_t size, const uint32_t *mailboxes,
                      uint32_t count)
{
    buf_append(batch, &slot, 4);
    buf_append(batch, &count, 4);
    buf_append(batch, &size, 8);
    buf_append(batch, mailboxes, (size_t)count * 4);
}

int store_commit_next(const uint8_t **data, size_t *len, struct store_commit *out)
{
    if (*len == 0)
        return 0;
    if (*len < 16)
        return -1;
    memcpy(&out->slot, *data, 4);
    memcpy(&out->count, *data + 4, 4);
    memcpy(&out->size, *data + 8, 8);
    if (out->count == 0 || out->count > STORE_RCPTS || *len - 16 < (size_t)out->count * 4)
        return -1;
    out->mailboxes = *data + 16;
    *data += store_commit_size(out->count);
    *len -= store_commit_size(out->count);
    return 1;
}

uint32_t store_commit_mailbox(const struct store_commit *c, uint32_t i)
{
    uint32_t v;

    memcpy(&v, c->mailboxes + (size_t)i * 4, 4);
    return v;
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
