/* What the queue asks of the rest of the store: where mail to a sender goes, and to put a report into a mailbox. In the
 * queue's thread alone. */
#ifndef SINK_STORE_HOME_H
#define SINK_STORE_HOME_H

#include "conf/conf.h"
#include "sink/publish.h"
#include "sink/queue.h"

struct store_home {
    const struct conf *conf;
    struct maildirs *maildirs;
    struct flusher *flusher;
    int procfd;
    char host[NAMES_HOST_MOST];
    struct publish *publish; /* made when the first report is */
    unsigned *here;          /* what find_home() gave last */
};

void store_home_hooks(struct queue_hooks *out, struct store_home *h);
void store_home_end(struct store_home *h);

#endif
