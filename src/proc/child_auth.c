/* Auth as a process: the users are read here, before the sandbox, and nowhere else. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth_process.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/child.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"

static void say(void *arg, unsigned line, const char *text)
{
    const char *file = arg;

    log_event(LOG_LEVEL_ERROR, "config.error", "%s:%u: %s", file, line, text);
}

static int read_users(const struct generation *g, struct conf_users **out, struct err *e)
{
    char *text;
    size_t len;

    if (!g->conf->users)
        return 0;
    if (generation_file(g, g->conf->users, &text, &len, e) < 0)
        return -1;
    *out = conf_users_parse(text, len, say, mem_str(g->conf->users));
    explicit_bzero(text, len);
    free(text);
    return *out ? 0 : err_set(e, "%s cannot be used", g->conf->users);
}

int child_auth(const struct generation *g, const struct child_rights *r, int leader_fd, int log_fd, unsigned number)
{
    struct sandbox box = {.profile = SANDBOX_AUTH,
                          .drop = r->drop,
                          .uid = r->uid,
                          .gid = r->gid,
                          .user = r->user,
                          .connects = g->conf->auth_socket != NULL,
                          .chroot = g->conf->auth_socket ? NULL : r->chroot};
    struct auth_setup s = {.dovecot = g->conf->auth_socket, .leader_fd = leader_fd};
    int *keep = mem_alloc((g->snapshot.count + 2) * sizeof *keep);
    struct conf_users *users = NULL;
    struct err e;
    unsigned n = 0;

    keep[n++] = leader_fd;
    keep[n++] = log_fd;
    for (unsigned i = 0; i < g->snapshot.count; i++)
        keep[n++] = g->snapshot.items[i].fd;
    spawn_keep_only(keep, n);
    free(keep);
    spawn_settle("postern: auth");
    log_identity("auth", number);
    if (read_users(g, &users, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "auth: %s", e.text);
        return 70;
    }
    for (unsigned i = 0; i < g->snapshot.count; i++)
        close(g->snapshot.items[i].fd);
    if (sandbox_enter(&box, &e) < 0)
        return child_refuse(&e);
    s.users = users;
    return auth_run(&s);
}
