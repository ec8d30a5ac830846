/* Threads that unlink files. An unlink waits for the journal of the file system, often longer than a whole transfer
 * takes; several at once wait together for the same moment, so that some threads do many times what one does.
 *
 * Whoever adds a name keeps what `what` points to until remover_take() has given it back. An eventfd of the owner is
 * written when something can be taken. Owner: one thread, all functions are its own. */
#ifndef SINK_REMOVER_H
#define SINK_REMOVER_H

#include "base/err.h"

struct remover;

/* dir, wake_fd: stay the caller's, and must outlive it. */
int remover_new(struct remover **out, int dir, int wake_fd, struct err *e);
/* what: the owner's own. The name is copied. */
void remover_add(struct remover *r, const char *name, void *what);
/* One that is done, in any order: error is 0 (gone, or was not there) or an errno. NULL: none is. */
void *remover_take(struct remover *r, int *error);
/* What was added is removed before it returns; nothing can be taken any more. */
void remover_free(struct remover **r);

#endif
