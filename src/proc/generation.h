/* A generation: configuration, mailboxes and certificates loaded and judged together, immutable once built.
 * `run` (in the leader) and `check` build it with the same function, so that a dry run equals a start. */
#ifndef PROC_GENERATION_H
#define PROC_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "tls/cert_store.h"

/* The last good bytes, unparsed, each in a sealed memfd named by what it is. Owned by the supervisor, handed to
 * every leader as descriptors. */
enum snapshot_kind {
    SNAPSHOT_CONF,
    SNAPSHOT_FILE, /* mailbox list ... */
    SNAPSHOT_CHAIN,
    SNAPSHOT_KEY,
    SNAPSHOT_REJECTED, /* what the disk held that cannot be used, and since when: so that it is reported once */
};
#define SNAPSHOT_NAME 1024 /* with its NUL: as long as the path of a watched file */
struct snapshot_item {
    enum snapshot_kind kind;
    char name[SNAPSHOT_NAME]; /* "" (CONF), file name (FILE), certificate title (the others) */
    int fd;                   /* sealed memfd */
};
struct snapshot {
    struct snapshot_item *items;
    unsigned count;
};

enum generation_mode {
    GENERATION_FULL,     /* start, reload, SIGHUP, check: everything from disk, last good certificates as fallback */
    GENERATION_CERTS,    /* a watched file changed: configuration and lists from the snapshot, certificates from disk */
    GENERATION_SNAPSHOT, /* after a death: the snapshot alone */
};

/* A file whose change means new certificates: what stat(2) said when it was read. */
struct watched_file {
    char path[SNAPSHOT_NAME];
    bool exists;
    uint64_t dev, ino;
    int64_t ctime_ns, size;
};

struct generation {
    enum generation_mode mode;
    struct conf *conf;
    struct cert_slot *slots;   /* one per conf->certificates */
    bool *known;               /* the same: serves what it served before, and any fault was reported before */
    struct tls_listener **tls; /* one per conf->listeners; NULL for tls = off */
    struct snapshot snapshot;  /* of this generation: conf text, lists, serving chains and keys */
    struct watched_file *watched;
    unsigned watched_count;
    int64_t not_finished_us; /* look at the files again at this realtime though nothing changes; else 0. A mismatch of
                                * chain and key younger than 5 s; files so fresh that another write in the same tick of the
                                * clock would not be seen; a date after which another pair should serve */
    bool unfinished;         /* there is such a mismatch */
    bool equal_to_last;      /* GENERATION_CERTS: what serves and what is reported stay the same; nothing to do */
    int64_t loaded_at;       /* seconds */
};

/* file: configuration path. last: may be NULL or empty. 0, or -1 when errors are in *p. Never prints. */
int generation_build(struct generation **out, enum generation_mode mode, const char *file, const struct snapshot *last,
                     struct conf_problems *p);
/* A file that the configuration names, as it was read for this generation: malloc'd. -1 and e. */
int generation_file(const struct generation *g, const char *path, char **text, size_t *len, struct err *e);
/* For processes that need no private key. */
void generation_forget_keys(struct generation *g);
void generation_free(struct generation **g);

#endif
