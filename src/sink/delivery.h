/* A delivery as the store sees it: its base directory, which is the template's path up to the first %, and whose
 * files it makes. The base is opened with the rights from before the drop; everything below it by *at() only. */
#ifndef SINK_DELIVERY_H
#define SINK_DELIVERY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/conf.h"

struct delivery {
    const struct conf_delivery *conf;
    unsigned number; /* index in conf->deliveries */
    char *base;
    uid_t uid; /* of its files */
    gid_t gid;
    bool other; /* not the store's own uid and gid: see delivery_act_as() */
    int fixed;  /* errno of what only a reload mends (no such user), 0: none */

    pthread_mutex_t lock;
    int fd;    /* the base, -1: never opened. Once a number it stays this number */
    int error; /* why the base cannot be used now, 0: it can */
    int64_t checked_us;

    int pool_fd;        /* where files are made ahead of need (pool.c alone) */
    unsigned pool_made; /* files since then */
    bool pool_owned;    /* ... a descriptor of its own, not the base */
    bool pool_named;    /* no O_TMPFILE there: files have names until they are committed */
};

/* uid, gid: who the store will be. Opens the base, made when missing; what is wrong is left in ->error. A delivery that
 * is no Maildir has no files here: its ->fixed says so. */
void delivery_open(struct delivery *d, const struct conf_delivery *conf, unsigned number, uid_t uid, gid_t gid);
void delivery_close(struct delivery *d);

/* The base directory, looked at once a second: somebody may have moved it or mounted something over it. -1 and errno. */
int delivery_base(struct delivery *d);
/* The next delivery_base() looks again. */
void delivery_doubt(struct delivery *d);

/* File operations of the calling thread are the owner's until delivery_act_as(NULL): setfsuid(2). Keeps errno. */
void delivery_act_as(const struct delivery *d);

/* Files of the one can be files of the other: same owner, same mode. */
bool delivery_is_alike(const struct delivery *a, const struct delivery *b);
/* A mailbox's path below the base, "" when it is the base itself. NULL: not below it. */
const char *delivery_below(const struct delivery *d, const char *path);

#endif
