/* The group commit: what is ready is made durable together, in a thread of its own, while the next group gathers.
 *
 *     flush the data of the group -> link each message into new/ of each recipient, all or none -> flush the names,
 *     each directory once -> answer
 *
 * Nothing is visible before its data is on stable storage, nothing is answered before its name is. */
#ifndef SINK_COMMIT_H
#define SINK_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sink/maildir.h"
#include "sink/sink.h"

struct job { /* one message */
    int fd;             /* its file, write-only; the job's own */
    char tmp_name[32];  /* where there is no O_TMPFILE: its name in maildirs_tmp(), "" otherwise */
    uint32_t delivery;  /* whose pool the file came from */
    uint64_t size;      /* what the worker wrote; checked against fstat */
    uint32_t *mailboxes;
    uint32_t count;
    uint32_t worker, slot; /* for the answer; the worker's number is never used twice */
    struct sink_answer answer;
    struct job *next;
    uint32_t linked;    /* how many names were made */
    char name[256];
    bool flushed;
};

struct committer;

/* Starts the threads. notify_fd: an eventfd that is written when a group is done. */
int committer_new(struct committer **out, struct maildirs *m, const char *host, int notify_fd, struct err *e);
/* Waits for the running group, then ends the threads. */
void committer_free(struct committer **c);
/* Hands a list over; owned by the committer until it comes back. Never waits. */
void committer_add(struct committer *c, struct job *list);
/* What is done, in no order; NULL: nothing. */
struct job *committer_done(struct committer *c);
bool committer_is_idle(struct committer *c);
void job_free(struct job *j);

#endif
