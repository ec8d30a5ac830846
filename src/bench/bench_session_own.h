/* Of a bench session's own files: bench_session.c (what is to be done, lines, from outside), bench_step.c (what a scenario
 * does at a point), bench_choose.c (which scenario), and what a correct server does: bench_verb.c (at each command),
 * bench_ehlo.c, bench_auth.c, bench_mail.c. Nobody else includes this. */
#ifndef BENCH_BENCH_SESSION_OWN_H
#define BENCH_BENCH_SESSION_OWN_H

#include "bench/bench_session.h"
#include "bench/bench_trigger.h"

enum bench_mode { BENCH_LINES, BENCH_AUTH_LINES, BENCH_CONTENT, BENCH_CHUNK, BENCH_TLS_NEXT, BENCH_DEAF };

struct bench_todo {
    struct bench_todo *next;
    enum bench_do_kind kind;
    unsigned ms;
    bool unread;
    enum bench_then then;
    struct buf bytes;
    unsigned flood_left; /* of what is flooded, in .bytes as often as a write holds; that many times still */
    size_t flood_one;    /* its octets */
    bool flood, breathe; /* breathe: a flood leaves others their turn */
    size_t told;         /* octets at the beginning of .bytes that were told before */
    bool whole;          /* with it an answer is out, which is of .delay_ms and .injected */
    unsigned delay_ms, injected;
};

/* What addresses of this transaction asked for. */
#define BENCH_WISHES 16
struct bench_wish {
    struct bench_trigger trigger;
    char *address;
};

struct bench_session {
    struct bench_session_setup setup;
    enum bench_mode mode;
    bool welcomed, early, early_said; /* the greeting went out; somebody spoke before it: to be told, told */
    bool in_tls, mail, authed;
    bool turned_away;    /* by a 5yz for a greeting: QUIT is all that is left (RFC 5321 3.1) */
    char *offer;         /* what EHLO said last, or would say: what is in there is taken */
    unsigned auth_steps; /* answers of the sender's that AUTH still waits for */
    uint32_t rcpts;
    struct bench_wish wishes[BENCH_WISHES];
    unsigned wish_count, number, waiting; /* waiting: of .first */
    size_t hello_left;                    /* of a ClientHello that came in clear */
    uint64_t size_declared;
    char *sni, *helo, *sender, *last_rcpt;
    struct buf in, held, said;      /* held: answers for the next write; said: by the last step or in its place */
    struct buf outgoing;            /* of the answer that is going out, while somebody listens */
    unsigned writes;                /* ... in so many so far */
    size_t pushed;                  /* octets of .in that came before the last answer was out */
    size_t dropped;                 /* octets told of that nobody obeyed */
    bool body_pushed;               /* the content began before the answer to DATA was out */
    struct bench_envelope envelope; /* while somebody listens */
    struct bench_todo *first, **last, *given, *part; /* part: the last one of an answer that is not whole yet */
    struct bench_content content;
    uint64_t chunk_left, reached; /* reached: steps at BODY have been looked at up to this octet */
    bool chunk_last, chunking;    /* chunking: a BDAT of this message has been there */
    bool chunk_failed;            /* and one was refused */
    const char *chunk_bad;        /* what is right to say after this one; NULL: nothing is wrong with it */
    unsigned delay_ms;            /* that steps here held the answer back */
    bool stored;                  /* a step said so of this message */
    int64_t now_s;
    const struct client_hello *hello; /* while steps at CLIENT_HELLO are looked at; NULL: it was none */
};

/* bench_session.c */
struct bench_todo *bench_session_push(struct bench_session *s, enum bench_do_kind kind);
void bench_session_tell(struct bench_session *s, struct bench_event *ev);
void bench_session_send(struct bench_session *s, const char *p, size_t n); /* an answer in one write */
/* One in several: parts, and in the end what is to be told of it. */
void bench_session_part(struct bench_session *s, const char *p, size_t n);
void bench_session_answered(struct bench_session *s, unsigned delay_ms, size_t injected);
void bench_session_hold(struct bench_session *s, const char *p, size_t n); /* in front of the next one, in its write */
void bench_session_flood(struct bench_session *s, const struct bench_bytes *bytes, unsigned times);
void bench_session_pause(struct bench_session *s, unsigned ms);
void bench_session_end(struct bench_session *s, enum bench_then then);

/* bench_step.c: the answer at a point: what the first step that fits says, or what is right. NULL: nothing was right to
 * say. Returns the first octet of the answer's code, 0 where there was none, or half a line. */
char bench_step_answer(struct bench_session *s, enum bench_at at, const char *right);
/* The same where a step acts; false, and nothing was said, where none does. */
bool bench_step_acts(struct bench_session *s, enum bench_at at, const char *right, char *code);
/* A step stands there, whether it acts or not. */
bool bench_step_stands(const struct bench_session *s, enum bench_at at);
unsigned bench_step_code(const struct bench_session *s); /* of what was said last; 0: none */

/* bench_choose.c: at this stage another scenario may fit. */
void bench_choose(struct bench_session *s, enum bench_stage at);
void bench_choose_asked(struct bench_session *s, const char *address); /* the address may ask for something */
void bench_choose_forget(struct bench_session *s);

/* bench_verb.c: a command line, without its end. */
void bench_verb_run(struct bench_session *s, struct span line);
void bench_verb_greet(struct bench_session *s);

/* bench_ehlo.c: extensions. What is said of them is what is taken. */
void bench_ehlo_begin(struct bench_session *s); /* before EHLO: what it would say */
void bench_ehlo_ehlo(struct bench_session *s, struct span name);
void bench_ehlo_helo(struct bench_session *s, struct span name);
bool bench_ehlo_has(const struct bench_session *s, const char *keyword);
/* The text behind a keyword, "" when there is none. */
struct span bench_ehlo_words(const struct bench_session *s, const char *keyword);
/* What is wrong with MAIL's or RCPT's parameters; NULL: nothing. */
const char *bench_ehlo_refuses(struct bench_session *s, bool mail, struct span argument);
uint64_t bench_ehlo_size(const struct bench_session *s); /* octets of a message */

/* bench_auth.c */
void bench_auth_run(struct bench_session *s, struct span arg);
void bench_auth_line(struct bench_session *s, struct span line);

/* bench_mail.c: a message's content. How many octets were taken. */
void bench_mail_body_over(struct bench_session *s); /* tells; it may never have come to its end */
void bench_mail_data(struct bench_session *s);
void bench_mail_bdat(struct bench_session *s, struct span arg);
size_t bench_mail_content(struct bench_session *s, const char *p, size_t n);
size_t bench_mail_chunk(struct bench_session *s, const char *p, size_t n);

#endif
