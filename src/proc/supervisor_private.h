/* The supervisor seen from inside: generations and what is due. Private to src/proc/supervisor*.c. */
#ifndef PROC_SUPERVISOR_PRIVATE_H
#define PROC_SUPERVISOR_PRIVATE_H

#include "base/share.h"
#include "proc/leader.h"
#include "proc/logpipe.h"
#include "proc/proc_msg.h"
#include "proc/sockets.h"
#include "proc/spawn.h"
#include "proc/supervisor.h"
#include "proc/watch.h"

#define SECOND INT64_C(1000000)
#define ASKERS 32

enum gen_state { GEN_STARTING, GEN_ACTIVE, GEN_DRAINING };

struct gen {
    unsigned number;
    pid_t leader;
    int fd;
    enum gen_state state;
    enum generation_mode mode;
    int64_t started_us;
    bool close_said;
    struct snapshot snapshot; /* what it brought; the active one's is the last good */
    struct watched_file *watched;
    unsigned watched_count;
    struct proc_log log;
    bool has_log;
    char *failure;          /* text of PROC_FAILED */
    struct proc_bind *busy; /* an address in use: asked for again until busy_until_us */
    int64_t busy_until_us, busy_next_us;
};

#define ORPHANS 64

struct orphan { /* a generation whose leader has ended */
    unsigned generation;
    int64_t at_us; /* its slots are released then */
};

struct asker {           /* somebody waits for the result of a reload */
    unsigned generation; /* whose leader asked */
    uint32_t token;
    bool current; /* the generation that is being started answers this one */
};

struct supervisor {
    const struct supervisor_options *opt;
    struct logpipe *log;
    struct sockets *sockets;
    struct share *share;
    struct gen *gens; /* oldest first */
    unsigned gen_count, last_number;
    int signal_fd;
    int64_t started_s;
    bool want_full, want_certs; /* a generation is due as soon as none is being started */
    int64_t want_snapshot_us;   /* ... from the snapshot, not before that moment; 0: no */
    int64_t look_again_us;      /* realtime: an unfinished renewal */
    int64_t log_again_us;       /* the log is left alone until then */
    int64_t next_watch_us, next_watchdog_us, watchdog_us;
    struct asker askers[ASKERS];
    unsigned asker_count;
    struct orphan orphans[ORPHANS];
    unsigned orphan_count;
    struct backoff backoff;
    bool was_active; /* a generation served once: from now on failures are survived */
    bool stopping;
    int64_t kill_us; /* when stopping: the end of patience */
    uint32_t shutdown_ms;
    int exit_code;
    void *room;
};

/* Ends the service: PROC_SHUTDOWN with its patience, PROC_DRAIN without. */
void supervisor_stop(struct supervisor *s, enum proc_msg how);

/* supervisor_gen.c */
struct gen *supervisor_gen_by_state(struct supervisor *s, enum gen_state state); /* the newest; NULL */
int supervisor_gen_start(struct supervisor *s, enum generation_mode mode);
void supervisor_gen_order(struct gen *g, enum proc_msg type, const void *data, size_t len);
void supervisor_gen_clear_snapshot(struct snapshot *s);
void supervisor_gen_free(struct gen *g);
void supervisor_gen_remove(struct supervisor *s, struct gen *g); /* the others may move in memory */
void supervisor_gen_changed(struct supervisor *s);               /* the active leader is told, for `status` */

/* supervisor_reload.c: what became of a generation that was started */
void supervisor_reload_ready(struct supervisor *s, struct gen *g, const struct proc_ready *r);
void supervisor_reload_equal(struct supervisor *s, struct gen *g, const struct proc_ready *r);
void supervisor_reload_failed(struct supervisor *s, struct gen *g, const char *text);

/* supervisor_message.c */
void supervisor_message_take(struct supervisor *s, unsigned number); /* all that waits from that generation's leader */
void supervisor_message_bind(struct supervisor *s, struct gen *g, const struct proc_bind *b);

/* supervisor_death.c */
void supervisor_death_reap(struct supervisor *s);
void supervisor_death_release(struct supervisor *s, int64_t now); /* what dead workers counted is dropped */

#endif
