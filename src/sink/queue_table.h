/* What the scheduler knows of all messages: small records, found by id, and ordered by what is to be done next. A message
 * has a job for each destination that some of its waiting recipients have; a destination has its jobs by time, and is
 * itself in line by when its first job may start. So what is next is found at once, however many wait behind a
 * destination that is down or busy. No I/O, no clock. */
#ifndef SINK_QUEUE_TABLE_H
#define SINK_QUEUE_TABLE_H

#include "policy/retry.h"
#include "sink/queue_disk.h"
#include "sink/queue_heap.h"

#define QUEUE_NEVER INT64_MAX

struct queue_destination {
    struct heap_node node; /* in ready, unless it has no job or no room */
    struct queue_destination *chain;
    struct heap jobs; /* those that wait */
    uint32_t refs;    /* jobs, running ones too */
    unsigned running;
    uint32_t failures;     /* to reach it, in a row */
    int64_t not_before_us; /* back-off */
    char *reason;          /* why, in words; NULL: nothing is known against it */
    char *route, *domain;  /* domain "": the route alone */
};

struct queue_job {
    struct heap_node node;  /* in destination.jobs */
    struct queue_job *next; /* of the message */
    struct queue_message *message;
    struct queue_destination *destination;
    uint32_t tries, waiting; /* tries of the recipients that come next, and how many wait at all */
    bool running;
};

struct queue_message {
    struct heap_node node; /* in attention */
    struct queue_message *chain, *older, *newer;
    struct queue_job *jobs;
    struct queue_loaded *file; /* while something goes on with it */
    struct buf lines;          /* for its log, taken into file->state already */
    uint64_t size;
    int64_t arrived_us;
    uint32_t rcpts, waiting, tries;
    unsigned running;
    bool held, dirty, gone;
    bool leaving; /* its file is being removed: nothing more happens to it; counts as running */
    char *sender;
    char id[];
};

struct queue_table {
    struct queue_message **messages, *oldest, *newest; /* hash, and a list in order of coming */
    struct queue_destination **destinations;
    uint32_t message_cap, count, destination_cap, destination_count;
    struct heap ready, attention;
    uint64_t bytes;
    unsigned running, per_destination;
    struct retry_plan retry;
    bool (*by_domain)(void *arg, const char *route);
    void *arg;
    uint64_t random;  /* state of a generator: jitter is no secret */
    int64_t since_us; /* when scheduling began: what expired while nobody scheduled is tried once more */
};

void queue_table_init(struct queue_table *t);
void queue_table_clear(struct queue_table *t);
struct queue_message *queue_table_find(const struct queue_table *t, struct span id);
/* From oldest to newest by their arrival: a directory has them in no order. */
void queue_table_sort(struct queue_table *t);
/* A message from its file. */
struct queue_message *queue_table_add(struct queue_table *t, const struct queue_loaded *l, int64_t now_us);
/* Its file's state is another one: jobs, times and counts anew. */
void queue_table_refresh(struct queue_table *t, struct queue_message *m, const struct queue_loaded *l, int64_t now_us);
/* Nothing of it may run. */
void queue_table_drop(struct queue_table *t, struct queue_message *m);

/* The job that may start now, NULL: none. queue_table_started() or a move of its times must follow. */
struct queue_job *queue_table_next(const struct queue_table *t, int64_t now_us);
void queue_table_started(struct queue_table *t, struct queue_job *j);
/* It runs no more; queue_table_refresh() of its message must follow. */
void queue_table_ended(struct queue_table *t, struct queue_job *j);
/* The message that wants a look (delay, age) now. */
struct queue_message *queue_table_attention(const struct queue_table *t, int64_t now_us);
/* When the next of all these is, QUEUE_NEVER: nothing waits. */
int64_t queue_table_next_us(const struct queue_table *t);

/* What a transfer has shown of the destination. reason may be "". */
void queue_table_health(struct queue_table *t, struct queue_destination *d, bool reached, const char *reason,
                        int64_t now_us);
/* Back-off is forgotten. */
void queue_table_forgive(struct queue_table *t, struct queue_destination *d);

/* The clock was set back: what was to come in a minute is far away now. All are to be looked at, and back-off is forgotten. */
void queue_table_clock_back(struct queue_table *t, int64_t now_us);

/* When a recipient whose last moment was give_up_us is given up even if its destination let nobody try. */
int64_t queue_table_over_us(const struct queue_table *t, int64_t give_up_us);
/* A domain as the DNS is asked for it: lower case, without its last dot, an A-label (RFC 6531 3.2). What has none stays. */
void queue_table_plain_domain(char dst[256], struct span domain);
/* That of an address. */
void queue_table_domain(char dst[256], struct peer_text address);
bool queue_job_has(const struct queue_table *t, const struct queue_job *j, const struct queue_rcpt *r);
uint32_t queue_table_random(struct queue_table *t);

#endif
