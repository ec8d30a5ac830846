/* What a process gives up before it meets anybody. Order: uid, chroot, Landlock, seccomp (all threads), and only then
 * threads and event loops: a thread made before Landlock would stay free of it (landlock(7)). */
#ifndef PROC_SANDBOX_H
#define PROC_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum sandbox_profile {
    SANDBOX_WORKER, /* sockets it is given; no file, no new socket, no process */
    SANDBOX_RELAY,  /* sockets to other servers; no file, no process */
    SANDBOX_AUTH,   /* its channels, threads; with .connects also unix sockets */
    SANDBOX_STORE,  /* files below some directories; no socket but its channels, no process */
};

struct sandbox {
    enum sandbox_profile profile;
    bool drop; /* root: become uid, gid; false: stay who we are */
    uid_t uid;
    gid_t gid;
    const char *user; /* for the log */
    const char
        *chroot;     /* an empty directory, NULL: none (store, or not root, or there are unix sockets to connect to) */
    const int *dirs; /* store: the only directories that stay usable */
    unsigned dir_count;
    bool connects;      /* auth: to Dovecot */
    bool keep_setfsuid; /* store: deliveries of several owners */
};

/* Gives everything up, tries what must not work any more in a throw-away child, and logs one line
 * (sandbox.ready) with what holds. -1: something that should hold does not; the process must not go on. */
int sandbox_enter(const struct sandbox *s, struct err *e);

/* RLIMIT_NOFILE up to `wanted`; what is possible without rights otherwise. Returns what holds now. */
unsigned sandbox_descriptors(unsigned wanted);

/* The parts. 0 and words for the log, or -1 and e. */
#define SANDBOX_WORDS 256
int sandbox_landlock(const struct sandbox *s, char words[SANDBOX_WORDS], struct err *e);
int sandbox_seccomp(const struct sandbox *s, char words[SANDBOX_WORDS], struct err *e);

#endif
