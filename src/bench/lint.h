/* What is peculiar about a sender, whatever is played to it: one word of a closed list, why, and which line shows it. Facts
 * in, words out; no I/O, no clock. Each word is said once in a session (docs/bench.md says which sentence of an RFC stands
 * behind each).
 *
 * Some of it is known only over several sessions: that is what the book remembers, a bounded part of it. */
#ifndef BENCH_LINT_H
#define BENCH_LINT_H

#include "bench/bench_session.h"

enum lint_id {
    LINT_EARLY_TALKER,
    LINT_PIPELINED,
    LINT_AFTER_STARTTLS,
    LINT_AFTER_EHLO,
    LINT_AFTER_DATA,
    LINT_NO_EHLO,
    LINT_NO_SNI,
    LINT_OLD_TLS,
    LINT_AUTH_CLEAR,
    LINT_HELO,
    LINT_SPACE,
    LINT_NO_BRACKETS,
    LINT_PARAMETER,
    LINT_SIZE,
    LINT_EIGHT_BIT,
    LINT_LONG_LINE,
    LINT_BARE_LF,
    LINT_BARE_CR,
    LINT_NUL,
    LINT_DOT,
    LINT_NO_QUIT,
    LINT_RETRY,
    LINT_DUPLICATE,
    LINT_STORM,
    LINT_HELLO_CLEAR,
    LINT_IDS
};
const char *lint_name(enum lint_id id);

#define LINT_DETAIL 200
#define LINT_RETRY_S                                                                                                   \
    60 /* RFC 5321 4.5.4.1: "SHOULD be at least 30 minutes"; queues begin with less, but not with this */
#define LINT_STORM_MANY 10 /* sessions of a client, one after the other, that brought no message, */
#define LINT_STORM_S 10    /* within so long */

struct lint_book;
struct lint_book *lint_book_new(void);
void lint_book_free(struct lint_book **b);

struct lint;
/* detail: printable ASCII. seq: the number given with the event that shows it. */
typedef void lint_fn(void *arg, enum lint_id id, const char *detail, unsigned seq);

struct lint_setup {
    struct lint_book *book;
    const char *client, *lease, *scenario; /* together: whose sessions are counted together. Copied */
    lint_fn *fn;
    void *arg;
};
struct lint *lint_new(const struct lint_setup *s);
void lint_free(struct lint **l);

/* In their order; seq: the number of the line that tells of it. */
void lint_event(struct lint *l, const struct bench_event *ev, unsigned seq, int64_t now_s);
/* sni: "" for none; versions: "1.3", "1.0" ..., NULL-terminated. */
void lint_client_hello(struct lint *l, const char *sni, const char *const *versions, unsigned seq);
struct lint_message {
    uint64_t size, declared; /* of the content, as sent and as said */
    bool given;              /* it was said */
    const char *before;      /* the message that it repeats; NULL: none */
};
void lint_message(struct lint *l, const struct lint_message *m, unsigned seq);
/* The session is over. left: the client ended it, and nothing had gone wrong with the connection. */
void lint_end(struct lint *l, bool left, unsigned seq, int64_t now_s);

#endif
