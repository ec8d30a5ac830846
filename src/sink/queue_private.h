/* Inside the scheduler: queue.c (thread, loop, scan), queue_run.c (transfers), queue_settle.c (what became of a message),
 * queue_report.c (reports), queue_answer.c (commands), queue_json.c (what they say). Everything but the inbox is the
 * thread's alone. */
#ifndef SINK_QUEUE_PRIVATE_H
#define SINK_QUEUE_PRIVATE_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>

#include "base/chan.h"
#include "sink/queue.h"
#include "sink/queue_command.h"
#include "sink/queue_table.h"
#include "sink/relay_msg.h"
#include "sink/remover.h"

#define QUEUE_RELAYS 4u
#define QUEUE_QUESTIONS 64u             /* that nobody has looked at */
#define QUEUE_TALKS 16u                 /* that are being answered */
#define QUEUE_RETRY_US INT64_C(3000000) /* when the disk did not do what it should */

struct queue_relay {
    int fd; /* -1: none */
    bool draining, drain_sent, blocked;
};

struct queue_transfer {
    struct queue_transfer *next;
    struct queue_job *job;
    struct queue_relay *relay;
    uint32_t number, count;
    uint32_t rcpt[RELAY_RCPTS];
    bool got[RELAY_RCPTS];
    char reason[512]; /* of the last recipient that was deferred */
};

struct queue_question {
    struct queue_question *next;
    int fd;
    size_t n;
    char text[];
};

struct queue {
    /* the inbox */
    pthread_mutex_t lock;
    struct queue_question *questions;
    int new_relays[QUEUE_RELAYS];
    unsigned new_relay_count;
    bool drain, stop, idle;

    pthread_t thread;
    bool started;
    int wake_fd, lock_fd, inotify_fd;
    struct queue_disk disk;
    struct remover *remover;
    unsigned leaving; /* messages whose files it has */
    char *hostname;
    struct queue_limits limits;
    struct queue_hooks hooks;
    struct queue_table table;
    bool scheduling, draining;
    DIR *scan; /* under way, NULL: done */
    uint64_t damaged;
    struct queue_relay relays[QUEUE_RELAYS];
    struct queue_transfer *transfers;
    struct queue_talk *talks; /* queue_answer.c's */
    uint32_t next_number, next_report;
    struct queue_message **dirty; /* to be settled before the turn ends */
    unsigned dirty_count, dirty_cap;
    int64_t now_us, flush_us, turn_us; /* flush_us: when names that went are flushed */
    int64_t ahead_us;                  /* of the monotonic clock */
    char room[CHAN_MAX + 4];
};

/* queue.c */
void queue_look_at(struct queue *q, const char *name);      /* a name in the directory, perhaps a new message */
void queue_touch(struct queue *q, struct queue_message *m); /* to be settled in this turn */
/* Its file, loaded. -1: it is gone or damaged, and so is the record if nothing of it runs. */
int queue_need_file(struct queue *q, struct queue_message *m);
/* Out of the table, and out of sight of whoever was about to look at it. */
void queue_forget(struct queue *q, struct queue_message *m);
/* queue_run.c */
void queue_run_start(struct queue *q); /* whatever is due */
void queue_run_relay(struct queue *q, int fd);
void queue_run_readable(struct queue *q, struct queue_relay *r);
void queue_run_drain(struct queue *q);
void queue_run_end(struct queue *q, struct queue_relay *r); /* its transfers are as if they had never been */
/* queue_settle.c */
void queue_settle(struct queue *q, struct queue_message *m);
void queue_settle_removed(struct queue *q);                                   /* those whose files went */
void queue_take_entry(struct queue_message *m, const struct queue_entry *en); /* into state and lines */
/* queue_report.c: reports on everything that is to be told now. -1: one could not be made; again later. */
int queue_report(struct queue *q, struct queue_message *m, const bool *late);
/* queue_answer.c */
void queue_answer_begin(struct queue *q, struct span request, int fd); /* fd: non-blocking, its from now on */
void queue_answer_go(struct queue *q);                                 /* one turn of all of them */
void queue_answer_forget(struct queue *q, const struct queue_message *m);
void queue_answer_cut(struct queue *q); /* the table is emptied */
void queue_answer_free(struct queue *q);
int queue_answer_patience_ms(const struct queue *q, int otherwise);
unsigned queue_answer_poll(const struct queue *q, struct pollfd *p); /* QUEUE_TALKS at most */
void queue_answer_polled(struct queue *q, const struct pollfd *p, unsigned n);
/* queue_json.c: whole lines; queue_json_key: ,"key":"value" */
void queue_json_line(struct buf *out, const struct queue *q, const struct queue_message *m);
void queue_json_whole(struct buf *out, const struct queue *q, const struct queue_message *m); /* m->file is loaded */
void queue_json_status(struct buf *out, const struct queue *q);
void queue_json_key(struct buf *out, const char *key, const char *value);

#endif
