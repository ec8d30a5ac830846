/* The store process: creates message files ahead of need and passes their write-only descriptors to workers,
 * commits in groups (flush data, publish names, flush names), answers. Trusts nothing a worker says.
 * Messages between worker and store: store_msg.h. */
#ifndef SINK_STORE_H
#define SINK_STORE_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf.h"

struct store;

/* Before rights are dropped: opens the base directory of every delivery (creates it when missing, owner, group
 * and mode as configured) and whatever else it needs later (/proc/self/fd). A delivery that cannot be
 * opened is not fatal: its mailboxes answer 451 and it is retried (delivery.failed names the cause). */
int store_open(struct store **out, const struct conf *c, struct err *e);
/* Directories the store works below, for Landlock: descriptors stay the store's. */
unsigned store_directories(const struct store *s, const int **fds);
/* Some delivery belongs to another user than the store runs as: setfsuid(2) is needed (CAP_SETUID, CAP_SETGID). */
bool store_needs_fsuid(const struct store *s);

/* leader -> store on leader_fd: STORE_ADD_WORKER with one descriptor; store -> leader: STORE_READY once.
 * Where there is a queue (some delivery is no Maildir), also:
 * STORE_ADD_RELAY with one descriptor, the store's end of a channel to a relay (relay_msg.h);
 * STORE_QUEUE_DRAIN: this generation ends, another one shall schedule; STORE_QUEUE_LET_GO is the answer, once, when the
 * relay has reported what ran. Messages are accepted into the queue until the end;
 * STORE_QUEUE_ASK with a request (queue_command.h) and one descriptor, as for queue_ask(): the answer is written to
 * it, its last line begins with {"ok":. Without a queue it is closed with nothing written. */
enum store_order { STORE_ADD_WORKER = 1, STORE_ADD_RELAY, STORE_QUEUE_DRAIN, STORE_QUEUE_ASK };
enum store_report { STORE_READY = 100, STORE_QUEUE_LET_GO };

/* Does this configuration queue anything? */
bool store_has_queue(const struct conf *c);

/* After uid, Landlock and seccomp: starts its flush threads, serves until leader_fd ends, finishes the running
 * commit, returns the exit code within 2 s. */
int store_run(struct store *s, int leader_fd);

#endif
