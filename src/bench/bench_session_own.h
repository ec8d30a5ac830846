/* Of a bench session's own files: bench_session.c (what is to be done, lines, from outside), bench_step.c (what a scenario
 * does at a point), bench_verb.c (what a correct server does at each command). Nobody else includes this. */
#ifndef BENCH_BENCH_SESSION_OWN_H
#define BENCH_BENCH_SESSION_OWN_H

#include "bench/bench_session.h"
#include "bench/bench_trigger.h"

enum bench_mode { BENCH_LINES, BENCH_AUTH_LINES, BENCH_CONTENT, BENCH_CHUNK, BENCH_TLS_NEXT, BENCH_DEAF };

struct bench_todo {
    struct bench_todo *next;
    enum bench_do_kind kind;
    unsigned ms;
    enum bench_then then;
    struct buf bytes;
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
    bool welcomed, early_said; /* the greeting went out; who spoke before it was told */
    bool in_tls, greeted, mail;
    unsigned auth_steps; /* answers of the sender's that AUTH still waits for */
    uint32_t rcpts;
    char *sni, *helo, *sender, *last_rcpt;
    struct bench_wish wishes[BENCH_WISHES];
    unsigned wish_count, number, waiting; /* waiting: of .first */
    struct buf in;
    size_t hello_left; /* of a ClientHello that came in clear */
    struct bench_todo *first, **last, *given;
    struct bench_content content;
    uint64_t chunk_left, reached; /* reached: steps at BODY have been looked at up to this octet */
    bool chunk_last, chunking;    /* chunking: a BDAT of this message has been there */
    int64_t now_s;
};

/* bench_session.c */
struct bench_todo *bench_session_push(struct bench_session *s, enum bench_do_kind kind);
void bench_session_tell(struct bench_session *s, struct bench_event *ev);
void bench_session_send(struct bench_session *s, const char *p, size_t n); /* one write */
void bench_session_pause(struct bench_session *s, unsigned ms);
void bench_session_end(struct bench_session *s, enum bench_then then);

/* bench_step.c: the answer at a point: what the first step that fits says, or what is right. NULL: nothing was right to
 * say. Returns the first octet of the answer's code, 0 where there was none. */
char bench_step_answer(struct bench_session *s, enum bench_at at, const char *right);

/* bench_choose.c: at this stage another scenario may fit. */
void bench_choose(struct bench_session *s, enum bench_stage at);
void bench_choose_asked(struct bench_session *s, const char *address); /* the address may ask for something */
void bench_choose_forget(struct bench_session *s);

/* bench_verb.c: a command line, without its end. */
void bench_verb_run(struct bench_session *s, struct span line);
void bench_verb_auth_line(struct bench_session *s, struct span line);
void bench_verb_greet(struct bench_session *s);
/* Octets of content; how many were taken. */
size_t bench_verb_content(struct bench_session *s, const char *p, size_t n);
size_t bench_verb_chunk(struct bench_session *s, const char *p, size_t n);

#endif
