/* Worker, store, relay and auth as processes: rights, sandbox, then their room's own loop. Called in the child after fork. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include "proc/generation.h"
#include "session/server.h"
#include "sink/store.h"

struct child_rights {
    bool drop; /* the leader is root */
    unsigned uid, gid;
    const char *user;
    const char *chroot; /* NULL when not root */
};

int child_worker(const struct server_setup *s, const struct child_rights *r, int log_fd);
/* Opens the mail directories first, with the leader's rights: afterwards only *at() below them is left. */
int child_store(const struct conf *c, const struct child_rights *r, int leader_fd, int log_fd, unsigned generation);
/* Reads CAs, trust anchor, resolv.conf and the passwords of smarthosts first. store_fd: a channel to the store. */
int child_relay(const struct generation *g, const struct child_rights *r, int leader_fd, int store_fd, int log_fd,
                unsigned number);
/* Reads the users of this generation first. */
int child_auth(const struct generation *g, const struct child_rights *r, int leader_fd, int log_fd, unsigned number);
/* What both say when the sandbox cannot be entered; the exit code. */
int child_refuse(const struct err *e);

#endif
