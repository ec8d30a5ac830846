#include "proc/rights.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int account(struct child_rights *r, const char *user, const char *option, struct err *e)
{
    const struct passwd *p = getpwnam(user);

    if (!p)
        return err_set(e, "there is no user \"%s\" (%s); make it with: adduser --system --group %s", user, option,
                       user);
    if (p->pw_uid == 0)
        return err_set(e, "%s = \"%s\" is root: name an account without rights", option, user);
    r->drop = true;
    r->uid = p->pw_uid;
    r->gid = p->pw_gid;
    r->user = user;
    return 0;
}

static bool has_unix_hop(const struct conf *c)
{
    for (unsigned i = 0; i < c->delivery_count; i++)
        if (c->deliveries[i].next.address.ss.ss_family == AF_UNIX)
            return true;
    return false;
}

int rights_resolve(struct rights *out, const struct conf *c, struct err *e)
{
    const char *user = c->user ? c->user : "postern";

    memset(out, 0, sizeof *out);
    if (geteuid() != 0) {
        out->worker.uid = out->store.uid = out->relay.uid = geteuid();
        out->worker.gid = out->store.gid = out->relay.gid = getegid();
        log_event(LOG_LEVEL_INFO, "rights.one-user",
                  "not started as root: all processes run as uid %u, without an empty root directory",
                  (unsigned)geteuid());
        return 0;
    }
    if (account(&out->store, user, "user", e) < 0 ||
        account(&out->worker, c->worker_user ? c->worker_user : user, "worker-user", e) < 0 ||
        account(&out->relay, c->relay_user ? c->relay_user : user, "relay-user", e) < 0)
        return -1;
    if (out->worker.uid == out->store.uid)
        log_event(LOG_LEVEL_WARN, "rights.shared-user",
                  "workers run as \"%s\", which owns the mail: a worker-user of its own is safer", user);
    if (out->relay.uid == out->store.uid && store_has_queue(c))
        log_event(LOG_LEVEL_WARN, "rights.shared-user",
                  "the relay runs as \"%s\", which owns the mail: a relay-user of its own is safer", user);
    if (c->group) {
        const struct group *g = getgrnam(c->group);

        if (!g)
            return err_set(e, "there is no group \"%s\" (group)", c->group);
        out->store.gid = g->gr_gid;
    }
    snprintf(out->chroot, sizeof out->chroot, "%s/empty", c->state_dir);
    out->worker.chroot = out->chroot;
    if (!has_unix_hop(c)) /* else its path must stay in reach */
        out->relay.chroot = out->chroot;
    return 0;
}
