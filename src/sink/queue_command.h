/* What `postern queue` asks, and the answer: lines of JSON, one object each, the last one {"ok":true,"count":N} or
 * {"ok":false,"error":"..."}. A request is words with one blank between:
 *
 *     list [WHICH]       an object for each message: id, arrived, age, size, from, rcpts, waiting, tries, next, held,
 *                        running, destinations, reason; oldest first
 *     show ID            one object: the head, and every recipient with its state and last reply
 *     retry WHICH        due at once, back-off of its destinations forgotten
 *     hold WHICH         not tried until released; still bounces never
 *     release WHICH
 *     delete WHICH       gone, without a report
 *     flush WHICH        retry, as an MTA's administrator calls it
 *     status             counts: messages, bytes, held, running, destinations that are down, whether this store schedules
 *
 *     WHICH: all | id=ID | domain=DOMAIN (of a recipient) | from=ADDRESS | older=SECONDS | held; several: all must fit
 *
 * An ID alone may stand for id=ID. hold, delete: "all" must be said, nothing is not all. */
#ifndef SINK_QUEUE_COMMAND_H
#define SINK_QUEUE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "sink/queue_file.h"

enum queue_verb {
    QUEUE_LIST,
    QUEUE_SHOW,
    QUEUE_RETRY,
    QUEUE_HOLD,
    QUEUE_RELEASE,
    QUEUE_DELETE,
    QUEUE_FLUSH,
    QUEUE_STATUS,
};

struct queue_request {
    enum queue_verb verb;
    bool all, held;
    char id[QUEUE_FILE_ID_MOST + 1]; /* "": any */
    char domain[256];                /* as queue_table_plain_domain() has it, "": any */
    char from[QUEUE_FILE_TEXT_MOST + 1];
    bool by_sender;   /* from is meant: "" is the null sender */
    int64_t older_us; /* 0: any age */
};

/* Pure. -1: e says what is wrong with the request, in words for whoever typed it. */
int queue_command_parse(struct queue_request *out, struct span text, struct err *e);

#endif
