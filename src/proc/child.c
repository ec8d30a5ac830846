#include "proc/child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"

/* Directories, pooled files and files being committed: more than a busy store was seen to hold. */
#define STORE_DESCRIPTORS 4096

int child_refuse(const struct err *e)
{
    log_event(LOG_LEVEL_ERROR, "sandbox.failed", "%s", e->text);
    return 70; /* EX_SOFTWARE: the leader sees a death and backs off */
}

static void say_descriptors(unsigned have, unsigned wanted)
{
    struct log_line l;

    if (have >= wanted)
        return;
    log_begin(&l, LOG_LEVEL_WARN, "limit.descriptors");
    log_int(&l, "have", have);
    log_int(&l, "wanted", wanted);
    log_str(&l, "hint", "raise LimitNOFILE= in the unit, or lower max-connections");
    log_end(&l);
}

/* A worker holds descriptors of message files, and writes them as long as it likes: taken over, it could fill the disk
 * with one. Stored lines end in LF alone, so the fields that we add always fit. */
static void limit_files(uint64_t max_message_size)
{
    struct rlimit most = {max_message_size + (1 << 20), max_message_size + (1 << 20)};

    if (!max_message_size)
        return;
    signal(SIGXFSZ, SIG_IGN); /* EFBIG is an error like another */
    (void)setrlimit(RLIMIT_FSIZE, &most);
}

int child_worker(const struct server_setup *s, const struct child_rights *r, int log_fd)
{
    struct sandbox box = {
        .profile = SANDBOX_WORKER,
        .drop = r->drop,
        .uid = r->uid,
        .gid = r->gid,
        .user = r->user,
        .chroot = r->chroot,
    };
    unsigned wanted = s->conf->limits.max_connections + 1024;
    int *keep = mem_alloc(sizeof *keep * (s->socket_count + 3));
    char name[32];
    struct err e;
    unsigned n = 0;

    for (unsigned i = 0; i < s->socket_count; i++)
        keep[n++] = s->sockets[i].fd;
    keep[n++] = s->leader_fd;
    keep[n++] = s->store_fd;
    keep[n++] = log_fd;
    spawn_keep_only(keep, n);
    free(keep);
    snprintf(name, sizeof name, "postern: w%u", s->number);
    spawn_settle(name);
    snprintf(name, sizeof name, "worker %u", s->number);
    log_identity(name, s->generation);
    say_descriptors(sandbox_descriptors(wanted), wanted);
    limit_files(s->conf->limits.max_message_size);
    if (sandbox_enter(&box, &e) < 0)
        return child_refuse(&e);
    return server_run(s);
}

int child_store(const struct conf *c, const struct child_rights *r, int leader_fd, int log_fd, unsigned generation)
{
    struct sandbox box = {
        .profile = SANDBOX_STORE,
        .drop = r->drop,
        .uid = r->uid,
        .gid = r->gid,
        .user = r->user,
    };
    unsigned wanted = STORE_DESCRIPTORS + 64 * c->workers;
    int keep[2] = {leader_fd, log_fd};
    struct store *store;
    struct err e;

    spawn_keep_only(keep, 2);
    spawn_settle("postern: store");
    log_identity("store", generation);
    say_descriptors(sandbox_descriptors(wanted), wanted);
    if (store_open(&store, c, &e) < 0)
        return child_refuse(&e);
    box.dir_count = store_directories(store, &box.dirs);
    box.keep_setfsuid = store_needs_fsuid(store);
    if (sandbox_enter(&box, &e) < 0)
        return child_refuse(&e);
    return store_run(store, leader_fd);
}
