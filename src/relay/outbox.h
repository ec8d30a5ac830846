/* What does not fit into a channel waits here, in order. For whoever must say something and cannot wait. */
#ifndef RELAY_OUTBOX_H
#define RELAY_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct outbox_letter;
struct outbox {
    int fd; /* the owner's */
    struct outbox_letter *first, *last;
};

/* Takes the payload. Sends what it can; call outbox_push() when fd is writable, as long as outbox_waits(). */
void outbox_send(struct outbox *o, uint32_t type, struct buf *payload);
/* -1: nobody is there any more; what waits is kept. */
int outbox_push(struct outbox *o);
bool outbox_waits(const struct outbox *o);
void outbox_clear(struct outbox *o);

#endif
