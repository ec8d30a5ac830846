/* Who the processes become. */
#ifndef PROC_RIGHTS_H
#define PROC_RIGHTS_H

#include "base/err.h"
#include "conf/conf.h"
#include "proc/child.h"

struct rights {
    struct child_rights worker, store, relay;
    char chroot[4096]; /* of workers */
};

/* Looks users up (as root; otherwise all run as the current user, and that is logged). -1 and e: an account does not
 * exist; the remedy is in e. */
int rights_resolve(struct rights *out, const struct conf *c, struct err *e);

#endif
