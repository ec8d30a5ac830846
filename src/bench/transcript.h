/* What happened in each session, as lines of JSON, to whoever listens and to files (transcript_files.h). Version 1 of the
 * schema (docs/bench.md, docs/transcript.schema.json); fields are added, never changed. AUTH's secrets are left out.
 *
 * Where nobody listens and there are no files, there are no transcripts: transcript_begin() gives NULL, which everything
 * here takes, and no object is made. */
#ifndef BENCH_TRANSCRIPT_H
#define BENCH_TRANSCRIPT_H

#include <jansson.h>

#include "base/addr.h"
#include "bench/bench_session.h"

struct transcript_book; /* of a run */
struct transcript;      /* of a session */

struct transcript_book_setup {
    const char *dir;       /* made when it is not there. NULL: no files */
    unsigned max_sessions; /* files of sessions that are kept; 0: no bound */
    unsigned max_mib;      /* of all files together; 0: no bound */
    bool keep_auth;        /* secrets of AUTH are written, too */
};
#define TRANSCRIPT_MAX_SESSIONS 20000u
#define TRANSCRIPT_MAX_MIB 512u

int transcript_book_open(struct transcript_book **b, const struct transcript_book_setup *s, struct err *e);
void transcript_book_close(struct transcript_book **b); /* after its sessions */
/* Each line as it is made; the object is valid during the call. To be set before the first session. */
void transcript_book_listen(struct transcript_book *b, void (*fn)(void *arg, const json_t *line), void *arg);
/* Lines are written when a session is over, or when there are many. This writes what there is. */
void transcript_book_flush(struct transcript_book *b);

struct transcript_start {
    const char *scenario, *lease, *listener; /* lease: "" for none. Copied */
    const struct addr *peer, *local;
    uint64_t seed;
};
/* NULL: nobody wants it. */
struct transcript *transcript_begin(struct transcript_book *b, const struct transcript_start *s);
const char *transcript_id(const struct transcript *t);
void transcript_event(struct transcript *t, const struct bench_event *ev);
/* Of TLS and of the connection: what is not the session's to know. fields: stolen. Make them only if t is one. */
void transcript_note(struct transcript *t, const char *event, json_t *fields);
/* The session is over. by: "client", "server", "timeout"; reason: a word more, NULL: what the session was told to do. */
void transcript_end(struct transcript **t, const char *by, const char *reason);

/* A line of its own, of no session: "sid" is "", "seq" 0. fields: bench_verdict_json()'s, stolen; lease: "" for none. */
void transcript_verdict(struct transcript_book *b, const char *lease, json_t *fields);

#endif
