/* The sessions of this run of the bench, the oldest forgotten first: what each was, in a few words, taken from the lines of
 * transcripts as they are made. */
#ifndef BENCH_SESSION_LIST_H
#define BENCH_SESSION_LIST_H

#include <jansson.h>
#include <stdint.h>

struct session_list;

struct session_list *session_list_new(unsigned most);
void session_list_free(struct session_list **l);
void session_list_take(struct session_list *l, const json_t *line);

/* {"n", "sid", "lease", "scenario", "peer", "local", "ts", "seed", "ended"} and, where there is any, "tls", "commands", "faults",
 * "lints", "accepted", "refused", "by", "ms"; NULL: not known, or forgotten. Borrowed. */
const json_t *session_list_find(const struct session_list *l, const char *sid);

struct session_filter {
    const char *lease, *scenario; /* NULL: any; scenario: fnmatch(3) */
    uint64_t since;               /* those behind this number */
    unsigned most;
};
/* The oldest first. *next: what to give as since to go on. */
json_t *session_list_some(const struct session_list *l, const struct session_filter *f, uint64_t *next);

#endif
