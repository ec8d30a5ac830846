/* What happened as an object of JSON: the fields that are an event's own (docs/bench.md, "Transcripts"). Pure. */
#ifndef BENCH_TRANSCRIPT_LINE_H
#define BENCH_TRANSCRIPT_LINE_H

#include <jansson.h>

#include "bench/bench_session.h"
#include "bench/message_digest.h"

/* What of a line stays out of every file. */
enum transcript_secret { TRANSCRIPT_OPEN, TRANSCRIPT_ARGUMENT, TRANSCRIPT_WHOLE };
/* after_auth: AUTH has been in this session. A sender whose AUTH was refused may go on with its password all the same, and
 * then it stands where a command should. */
enum transcript_secret transcript_line_secret(const struct bench_event *ev, bool after_auth);
bool transcript_line_is_auth(struct span line);

json_t *transcript_line_recv(const struct bench_event *ev, enum transcript_secret secret, int64_t gap_ms);
json_t *transcript_line_send(const struct bench_event *ev);
json_t *transcript_line_fault(const struct bench_event *ev, uint64_t seed);
json_t *transcript_line_body(const struct bench_event *ev);
/* mid: of this message; dup_of: of the one that it repeats, NULL: none. */
json_t *transcript_line_message(const struct bench_event *ev, const struct message_digest_result *d, const char *mid,
                                const char *dup_of);

/* Text that a sender wrote, for people: what is no clean UTF-8 is written out as \xNN. */
json_t *transcript_line_text(struct span s);

#endif
