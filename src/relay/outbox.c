#include "relay/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/chan.h"
#include "base/text.h"

struct outbox_letter {
    struct outbox_letter *next;
    uint32_t type;
    size_t len;
    char bytes[];
};

static void drop_first(struct outbox *o)
{
    struct outbox_letter *l = o->first;

    o->first = l->next;
    if (!o->first)
        o->last = NULL;
    free(l);
}

int outbox_push(struct outbox *o)
{
    while (o->first) {
        int r = chan_send(o->fd, o->first->type, o->first->bytes, o->first->len, NULL, 0, NULL);

        if (r <= 0)
            return r;
        drop_first(o);
    }
    return 0;
}

void outbox_send(struct outbox *o, uint32_t type, struct buf *payload)
{
    struct outbox_letter *l = mem_alloc(sizeof *l + payload->len);

    l->type = type;
    l->len = payload->len;
    memcpy(l->bytes, buf_data(payload), payload->len);
    buf_clear(payload);
    if (o->last)
        o->last->next = l;
    else
        o->first = l;
    o->last = l;
    (void)outbox_push(o); /* an end is heard when the channel is looked at */
}

bool outbox_waits(const struct outbox *o)
{
    return o->first != NULL;
}

void outbox_clear(struct outbox *o)
{
    while (o->first)
        drop_first(o);
}
