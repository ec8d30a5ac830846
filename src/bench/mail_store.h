/* Messages as they came, octet by octet, in files: DIR/MID.msg has the content as it was on the wire, with stuffed dots and
 * the end. Bounded in number and octets, the oldest go first; what does not fit even then is cut off, and said to be. Nothing
 * here is ever delivered. */
#ifndef BENCH_MAIL_STORE_H
#define BENCH_MAIL_STORE_H

#include <jansson.h>

#include "bench/bench_session.h"

struct mail_store; /* of a run */
struct mail_draft; /* of a session */

/* dir is made. What lies there from earlier runs is in the list, and goes first. -1 and e. */
int mail_store_open(struct mail_store **out, const char *dir, unsigned most, uint64_t most_bytes, struct err *e);
void mail_store_close(struct mail_store **m); /* the files stay */
unsigned mail_store_count(const struct mail_store *m);
uint64_t mail_store_bytes(const struct mail_store *m);

/* {"n", "mid", "size"}, and of this run: "sid", "lease", "scenario", "ts", "from", "rcpts": [{"addr", "params", "code"}],
 * "accepted", "chunked", "truncated", "tls" (null, or {"version", "cipher", "sni"}). NULL: there is none. Borrowed. */
json_t *mail_store_find(const struct mail_store *m, const char *mid);
struct mail_filter {
    const char *lease; /* NULL: any */
    uint64_t since;    /* those behind this number */
    unsigned most;
};
json_t *mail_store_list(const struct mail_store *m, const struct mail_filter *f, uint64_t *next);
/* The message (wire: as it was on the wire; else its end and the dots that were put in are taken out again). At most `most`
 * octets. -1 and e. */
int mail_store_read(const struct mail_store *m, const char *mid, bool wire, size_t most, struct buf *out,
                    struct err *e);
void mail_store_drop(struct mail_store *m, const char *mid); /* NULL: all */

/* sid, lease, scenario: outlive the draft. m NULL: gives NULL, which everything here takes. */
struct mail_draft *mail_draft_new(struct mail_store *m, const char *sid, const char *lease);
void mail_draft_tls(struct mail_draft *d, const char *version, const char *cipher, const char *sni);
void mail_draft_event(struct mail_draft *d, const struct bench_scenario *sc, const struct bench_event *ev);
void mail_draft_free(struct mail_draft **d);

#endif
