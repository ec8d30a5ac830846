/* The log behind the content of a queued message (queue_file.h), and the state that follows from it. Append-only; one
 * line for one thing that happened, on stable storage (fdatasync) before anything else counts on it:
 *
 *     2026-11-23T07:05:00Z try 1 rcpt 0 deferred 451 4.7.6 at mx.example.net[192.0.2.25] "STARTTLS is not offered"
 *     2026-11-23T07:35:00Z try 2 rcpt 0 delivered 250 2.0.0 by mx.example.net[192.0.2.25] "Ok" tls "TLSv1.3, verified"
 *     2026-11-23T07:35:00Z try 2 rcpt 1 failed 550 5.1.1 by mx.example.net[192.0.2.25] "No such user"
 *     2026-11-23T11:00:00Z rcpt 2 delay-notice 6b03d3bf000002
 *     2026-11-28T07:00:00Z rcpt 2 expired
 *     2026-11-28T07:00:00Z rcpt 2 reported 6b03d3bf000003
 *     2026-11-23T12:00:00Z held "by the operator"
 *     2026-11-23T12:00:00Z released
 *     2026-11-23T12:00:00Z retry
 *
 * "by": the server said so; "at": our own judgement about that server; "here": no server had a part in it. A report's id
 * is "-" when none was owed (null sender, NOTIFY=NEVER): said all the same, so that it is decided once.
 *
 * Crash rules. A last line without its newline does not count: it was being written when the process died; whoever goes
 * on appending cuts it off first (queue_state.whole). Reports are published before their line is written: a crash
 * between the two makes the report twice, never none. A recipient in a final state stays there: a second final line is
 * an error of the file, except that "reported" follows it.
 *
 * Pure. Errors name the line of the log (1 is the first). */
#ifndef SINK_QUEUE_LOG_H
#define SINK_QUEUE_LOG_H

#include "sink/queue_file.h"

enum queue_entry_kind {
    QUEUE_ENTRY_DEFERRED,  /* these four: a try, .reply */
    QUEUE_ENTRY_DELIVERED, /* taken by a server that itself sends the success report, or that is the mailbox (LMTP) */
    QUEUE_ENTRY_RELAYED,   /* taken by one that does not speak DSN: a success report is ours, action "relayed" */
    QUEUE_ENTRY_FAILED,
    QUEUE_ENTRY_EXPIRED,      /* too old */
    QUEUE_ENTRY_DELAY_NOTICE, /* .report */
    QUEUE_ENTRY_REPORTED,     /* the last word on this recipient is said or owed to nobody: .report */
    QUEUE_ENTRY_HELD,         /* .text: why; these three concern the whole message */
    QUEUE_ENTRY_RELEASED,
    QUEUE_ENTRY_RETRY, /* due at once; a moved-back clock and a long gap are forgotten */
    QUEUE_ENTRIES
};

enum queue_said { QUEUE_SAID_BY, QUEUE_SAID_AT, QUEUE_SAID_HERE };

struct queue_reply {
    uint16_t code;     /* 200 to 599 */
    char enhanced[12]; /* "5.1.1" */
    enum queue_said said;
    struct peer_text remote; /* "name[ip]", unless HERE */
    struct peer_text text;   /* at most QUEUE_FILE_TEXT_MOST */
    struct peer_text tls;    /* in words, or none (p == NULL) */
};

struct queue_entry {
    int64_t at_us; /* whole seconds are kept */
    enum queue_entry_kind kind;
    uint32_t try;  /* 1... */
    uint32_t rcpt; /* index into the head's recipients */
    struct queue_reply reply;
    char report[QUEUE_FILE_ID_MOST + 1]; /* "": none was owed */
    struct peer_text text;
};

/* Appends the line. The texts are cut to QUEUE_FILE_TEXT_MOST. */
void queue_log_write(struct buf *out, const struct queue_entry *en);
/* One line without its newline. The texts point into room, which needs n bytes. false: not well-formed. */
bool queue_log_parse(struct queue_entry *en, const char *line, size_t n, char *room);

enum queue_rcpt_state {
    QUEUE_WAITING,
    QUEUE_DELIVERED,
    QUEUE_RELAYED,
    QUEUE_FAILED,
    QUEUE_EXPIRED,
};
const char *queue_rcpt_state_name(enum queue_rcpt_state s);

struct queue_rcpt_log {
    enum queue_rcpt_state state;
    bool delay_noticed, reported;
    uint32_t tries;
    int64_t last_try_us;      /* 0: never */
    struct queue_reply reply; /* the last one, code 0: none yet; texts are queue_state's */
};

struct queue_state {
    bool held;
    int64_t retry_us; /* the last "retry" or "released", 0: none */
    uint64_t whole;   /* bytes of the log that count: up to the last newline */
    struct queue_rcpt_log *rcpts;
    uint32_t rcpt_count;
};

struct queue_state *queue_state_new(uint32_t rcpt_count);
void queue_state_free(struct queue_state **s);
/* Takes an entry in. false: it cannot be (no such recipient, a final one tried again): nothing was changed. */
bool queue_state_take(struct queue_state *s, const struct queue_entry *en);
/* Takes a whole log in, p from its beginning on. Lines longer than QUEUE_LOG_LINE_MOST are errors. */
#define QUEUE_LOG_LINE_MOST 16384
int queue_state_read(struct queue_state *s, const char *p, size_t n, struct err *e);
/* Every recipient is final and reported: the file may go. */
bool queue_state_is_finished(const struct queue_state *s);

#endif
