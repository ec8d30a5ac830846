/* The queue's scheduler: one thread inside the store process, the only one that touches files of the queue once they
 * have their names. It holds flock(LOCK_EX) on queue/.lock while it schedules: of two generations only one does, and
 * the kernel lets go when a store dies. It may wait for disks; the store's loop never waits for it.
 *
 *     take over (lock, scan) -> start what is due, within limits -> results to the file's log, fdatasync ->
 *     reports published -> finished files unlinked by threads of their own (remover.h), the directory flushed some
 *     times a second
 *
 * Memory: a record of some 300 bytes for each message and destination, whatever the message's size; heads and logs are
 * read again when they are needed. Order of the steps is what makes a kill harmless: see queue_log.h.
 *
 * All functions are for the store's loop, except where it says otherwise. */
#ifndef SINK_QUEUE_H
#define SINK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/conf.h"
#include "policy/retry.h"

struct queue;

/* Where mail to this address goes: reports on their way back. Called in the queue's thread: pure, or locked. */
enum queue_way { QUEUE_WAY_NONE, QUEUE_WAY_LOCAL, QUEUE_WAY_ROUTE };
struct queue_home {
    enum queue_way way;
    const unsigned *mailboxes; /* LOCAL: indices of conf.mailboxes */
    unsigned mailbox_count;
    const char *route; /* ROUTE: title of the delivery */
    char *address;     /* ... and, malloc'd, under which other name; NULL: as it is */
};

struct queue_hooks {
    void (*home)(void *arg, struct queue_home *out, struct peer_text address);
    /* Puts text into mailboxes, all or none, on stable storage when it returns. 0, or errno. */
    int (*deliver)(void *arg, const unsigned *mailboxes, unsigned count, const char *text, size_t n);
    /* Does this route send by domain (mx)? Then a transfer's recipients share theirs. */
    bool (*by_domain)(void *arg, const char *route);
    /* Does it lead to Maildirs here? Then the mailbox had it with the queue's file, and only a report is owed. */
    bool (*is_here)(void *arg, const char *route);
    /* Is "delivered" there the mailbox itself (LMTP)? Then the success report is ours, else the next server's. */
    bool (*is_final)(void *arg, const char *route);
    void *arg;
};

struct queue_limits {
    unsigned transfers;       /* at once, all together */
    unsigned per_destination; /* ... to one destination: a route, or a route and a domain */
    struct retry_plan retry;
};
extern const struct queue_limits queue_limits_default; /* 100, 20 */

/* Before rights are dropped: opens state-dir/queue (made when missing, 0700), its lock file and an inotify on it. */
int queue_open(struct queue **out, const char *state_dir, const char *hostname, uid_t uid, gid_t gid, struct err *e);
/* Behind the sandbox: starts the thread. */
int queue_start(struct queue *q, const struct queue_limits *l, const struct queue_hooks *h, struct err *e);

/* A relay is there: fd is the queue's from now on. One before it that still runs is told to drain. */
void queue_add_relay(struct queue *q, int fd);
/* The generation drains: no transfer is started any more; when the running ones are reported the lock is let go.
 * queue_is_idle() says when that is so. Messages are still accepted into the queue. */
void queue_drain(struct queue *q);
bool queue_is_idle(struct queue *q);
/* A command (queue_command.h) as it came; the answer is written to fd, a socket, pipe or memory file, and fd is closed
 * then: the end of file is the end of the answer. It is made non-blocking: nobody waits for a slow reader, who holds
 * 64 KiB of memory at most, and one who hangs up has ended what was not done yet. While another store has the queue, or
 * names are still being read, questions wait. */
void queue_ask(struct queue *q, struct span request, int fd);
/* Ends the thread: what runs is forgotten, as after a kill. */
void queue_free(struct queue **q);

#endif
