/* What leader.c, leader_start.c and leader_control.c share. */
#ifndef PROC_LEADER_PRIVATE_H
#define PROC_LEADER_PRIVATE_H

#include "proc/control.h"
#include "proc/leader.h"
#include "proc/proc_msg.h"
#include "proc/rights.h"
#include "proc/spawn.h"
#include "session/server.h"

enum leader_state { LEADER_STARTING, LEADER_ACTIVE, LEADER_DRAINING };

struct leader_worker {
    pid_t pid; /* 0: not running */
    int fd;    /* chan, -1 */
    int slot;  /* in share, -1 */
    bool ready, drained;
    struct backoff backoff;
    int64_t restart_us; /* monotonic: fork again then; 0: not due */
};

/* A process of which there is one, and without which the rest goes on for a while. */
struct leader_child {
    const char *role;
    bool wanted;
    pid_t pid; /* 0: not running */
    int fd;    /* chan, -1 */
    bool ready;
    struct backoff backoff;
    int64_t restart_us; /* as leader_worker's */
};

struct leader {
    const struct leader_setup *setup;
    struct generation *gen;
    struct rights rights;
    struct server_socket *sockets;
    unsigned socket_count;
    int control_fd;
    struct control *control;
    pid_t store_pid;
    int store_fd;
    bool store_ready;
    struct leader_child relay, auth;
    bool asks;      /* some domain asks its next hop who exists */
    bool let_go;    /* DRAINING: the queue is another generation's now, or there is none */
    int64_t end_us; /* SHUTDOWN: transfers that still run are given up then; 0: no */
    struct leader_worker *workers;
    unsigned worker_count;
    enum leader_state state;
    bool reported;  /* READY was sent */
    int64_t told_s; /* up to here what the clock changes has been logged */
    int signal_fd;
    struct proc_generation others[SHARE_SLOTS]; /* what the supervisor says there is */
    unsigned other_count;
    void *room; /* CHAN_MAX + 4 bytes to receive into */
};

/* leader_start.c: everything up to the point where the loop can wait for READY. 0, or the exit code to end with. */
int leader_start(struct leader *l);
int leader_fork_worker(struct leader *l, unsigned number, struct err *e);
/* Tells the supervisor why this generation will not be; the exit code to end with. */
int leader_fail(struct leader *l, const char *text);
void leader_send(struct leader *l, enum proc_msg type, const void *data, size_t len, const int *fd);

/* leader_child.c */
int leader_fork_relay(struct leader *l, struct err *e);
int leader_fork_auth(struct leader *l, struct err *e);
/* Channels between that worker and the auth process and, where next hops are asked, the relay, if they are there. */
void leader_introduce(struct leader *l, struct leader_worker *w);
void leader_child_readable(struct leader *l, struct leader_child *c);
void leader_child_died(struct leader *l, struct leader_child *c, int status);
void leader_child_restart_due(struct leader *l, int64_t now);
/* The queue lets go as soon as its transfers are reported. */
void leader_drain_queue(struct leader *l);

/* leader.c */
void leader_say_death(const char *role, pid_t pid, int status);
void leader_say_ready(struct leader *l);

/* leader_control.c */
void leader_answer(void *arg, unsigned client, const json_t *request);
void leader_reload_result(struct leader *l, const struct chan_msg *m);

#endif
