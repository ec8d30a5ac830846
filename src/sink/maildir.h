/* Mailboxes on disk: their new/ directories, made when missing, a bounded number of them kept open. Paths come from
 * the configuration, but the owner of a mailbox may put a symbolic link anywhere below it: none is followed. */
#ifndef SINK_MAILDIR_H
#define SINK_MAILDIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sink/delivery.h"

struct maildir { /* an open new/ directory; shared, counted, read-only for its users */
    int fd;
    dev_t dev;
    ino_t ino;
    uint32_t mailbox;
    unsigned refs;
    bool listed; /* found by its mailbox number: refs counts that as one */
    _Atomic int64_t checked_us;
    struct maildir *newer, *older;
};

struct maildirs;

/* most: how many are kept open while nobody uses them. */
struct maildirs *maildirs_new(const struct conf *c, struct delivery *deliveries, unsigned most);
void maildirs_free(struct maildirs **m);

/* Opens or finds; what had to be made is not flushed yet. NULL and errno. */
struct maildir *maildir_get(struct maildirs *m, uint32_t mailbox);
void maildir_put(struct maildirs *m, struct maildir *d);
/* It turned out to be gone: the next maildir_get() makes it anew. */
void maildir_forget(struct maildirs *m, struct maildir *d);
/* new/ itself, cur/ and tmp/ of a mailbox, for files that are made there. A descriptor of the caller's, -1 and errno. */
int maildir_open_part(struct maildirs *m, uint32_t mailbox, const char *part);
struct delivery *maildir_delivery(const struct maildirs *m, uint32_t mailbox);

/* The names on the way from the base to new/ are known to be on stable storage. False after a start, since the
 * directories may be a moment old and another process's. */
bool maildir_is_settled(const struct maildirs *m, uint32_t mailbox);
void maildir_settle(struct maildirs *m, uint32_t mailbox);
/* A directory on the way: depth 0 is the base, the last one the mailbox itself. -1 and errno, 0: no such depth. */
int maildir_open_way(struct maildirs *m, uint32_t mailbox, unsigned depth);

#endif
