/* delivery.failed: what could not be stored, where, why, and what to do. Throttled by mailbox and errno: a full disk
 * and a busy sender make one line a minute, not thousands. Called by one thread of a process: the store's loop, for
 * writes that failed the worker's. */
#ifndef SINK_COMPLAIN_H
#define SINK_COMPLAIN_H

#include <stdint.h>
#include <sys/types.h>

#include "conf/conf.h"

/* delivery conf->delivery_count: the queue. mailbox: UINT32_MAX when it is none in particular, then delivery says where. uid: whose file operation failed. */
void complain(const struct conf *c, unsigned delivery, uint32_t mailbox, uid_t uid, int error, int64_t mono_us);
/* One imperative sentence. room is for what has to be said with numbers. */
#define COMPLAIN_HINT 256
const char *complain_hint(int error, uid_t uid, const char *path, char room[COMPLAIN_HINT]);

#endif
