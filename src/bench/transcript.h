/* What happened in each session, as lines of JSON: one file for each session in a directory, and all of them in
 * all.jsonl. Version 1 of the schema (docs/bench.md); fields are added, never changed. AUTH's secrets are left out. */
#ifndef BENCH_TRANSCRIPT_H
#define BENCH_TRANSCRIPT_H

#include <jansson.h>

#include "base/addr.h"
#include "bench/bench_session.h"

struct transcript_book; /* of a run */
struct transcript;      /* of a session */

struct transcript_start {
    const char *scenario, *lease; /* lease: "" for none */
    const struct addr *peer, *local;
    uint64_t seed;
};

/* dir is made. NULL dir: nothing is written, lines go to whoever listens. -1 and e. */
int transcript_book_open(struct transcript_book **b, const char *dir, struct err *e);
void transcript_book_close(struct transcript_book **b);
/* Each line as it is made; the object is valid during the call. */
void transcript_book_listen(struct transcript_book *b, void (*fn)(void *arg, const json_t *line), void *arg);

/* NULL: nobody reads it, and nothing is to be told. */
struct transcript *transcript_begin(struct transcript_book *b, const struct transcript_start *s);
const char *transcript_id(const struct transcript *t);
void transcript_event(struct transcript *t, const struct bench_event *ev);
/* Of TLS and of the connection: what is not the session's to know. fields: stolen. */
void transcript_note(struct transcript *t, const char *event, json_t *fields);
/* The session is over; by: "client", "server", "timeout". */
void transcript_end(struct transcript **t, const char *by);

#endif
