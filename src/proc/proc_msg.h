/* Supervisor <-> leader, over chan.h. The leader is trusted less than the supervisor: every message is checked for
 * its length and its strings for their end before anything is done with it. */
#ifndef PROC_PROC_MSG_H
#define PROC_PROC_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/chan.h"
#include "base/log.h"
#include "proc/generation.h"

enum proc_msg {
    /* leader -> supervisor */
    PROC_BIND = 1, /* struct proc_bind; answered by PROC_BOUND */
    PROC_SNAPSHOT, /* struct proc_snapshot + the memfd */
    PROC_WATCH,    /* struct watched_file */
    PROC_READY,    /* struct proc_ready: everything is built and waits */
    PROC_EQUAL,    /* struct proc_ready: nothing changed; the leader exits */
    PROC_FAILED,   /* text: what is wrong, for whoever asked; the leader exits */
    PROC_RELOAD,   /* uint32_t token: `postern reload` asks */
    PROC_STOP,     /* `postern drain` asks: the whole daemon ends once no session is left */
    PROC_LOG,      /* struct proc_log: where lines go from now on */
    /* supervisor -> leader */
    PROC_BOUND = 100,   /* struct proc_bound + the socket */
    PROC_ACTIVATE,      /* accept */
    PROC_DRAIN,         /* stop accepting; end when no session is left */
    PROC_CLOSE_OLD,     /* too many generations: 421 at the next boundary */
    PROC_SHUTDOWN,      /* 421 outside DATA, some seconds for DATA, end */
    PROC_RELOAD_RESULT, /* struct proc_result, then text */
    PROC_GENERATIONS,   /* array of struct proc_generation: what there is, for status */
};

struct proc_bind {
    uint32_t id;  /* the leader's, comes back */
    bool control; /* addr is not used: the control socket in dir */
    char listener[128];
    struct addr addr;
    char dir[512];     /* control: state-dir */
    uint32_t uid, gid; /* control: owner of directory and socket */
};

struct proc_bound {
    uint32_t id;
    int32_t error;     /* errno; 0: the socket came along */
    struct addr local; /* as bound */
    char text[256];    /* what failed, in words */
};

struct proc_snapshot {
    uint32_t kind; /* enum snapshot_kind */
    char name[SNAPSHOT_NAME];
};

struct proc_ready {
    int64_t look_again_us; /* generation.not_finished_us */
    uint32_t shutdown_ms;  /* how long PROC_SHUTDOWN may take */
    uint32_t warnings;     /* problems that did not stop the load */
};

struct proc_log {
    uint32_t target; /* enum conf_log_target */
    char file[512];
};

struct proc_result {
    uint32_t token;
    uint32_t ok;
};

struct proc_generation {
    uint32_t number;
    int32_t leader; /* pid */
    uint32_t state; /* 0 starting, 1 active, 2 draining */
};

/* True when the payload is exactly one struct of `size` bytes. */
bool proc_msg_is(const struct chan_msg *m, size_t size);
/* Copies out a fixed-size struct; false when the length is not right. Strings inside are cut by proc_text_end(). */
bool proc_msg_get(const struct chan_msg *m, void *out, size_t size);
/* Puts a NUL at the end of a char array a message brought. */
#define proc_text_end(array) ((array)[sizeof(array) - 1] = '\0')
/* Decoders with all their checks: false means the message is refused. */
bool proc_msg_bind(const struct chan_msg *m, struct proc_bind *out);
bool proc_msg_snapshot(const struct chan_msg *m, struct snapshot_item *out, int fd);
bool proc_msg_watch(const struct chan_msg *m, struct watched_file *out);
bool proc_msg_log(const struct chan_msg *m, struct proc_log *out);

#endif
