/* Generations: a leader each, and what it has brought. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/notify.h"
#include "proc/supervisor_private.h"

struct gen *supervisor_gen_by_state(struct supervisor *s, enum gen_state state)
{
    for (unsigned i = s->gen_count; i-- > 0;)
        if (s->gens[i].state == state)
            return &s->gens[i];
    return NULL;
}

void supervisor_gen_clear_snapshot(struct snapshot *s)
{
    for (unsigned i = 0; i < s->count; i++)
        close(s->items[i].fd);
    free(s->items);
    *s = (struct snapshot){0};
}

void supervisor_gen_order(struct gen *g, enum proc_msg type, const void *data, size_t len)
{
    if (g->fd >= 0)
        (void)chan_send_wait(g->fd, 1000, type, data, len, NULL, 0, NULL);
}

/* In the child. What belongs to the supervisor alone is closed, listening sockets come back one by one with
 * PROC_BOUND: a leader holds those of its own configuration and no others. */
static int leader_child(struct supervisor *s, unsigned number, enum generation_mode mode, int fd)
{
    const struct gen *active = supervisor_gen_by_state(s, GEN_ACTIVE);
    struct snapshot last = {0};
    struct leader_setup setup = {
        .mode = mode,
        .number = number,
        .conf_file = s->opt->conf_file,
        .share = s->share,
        .supervisor_fd = fd,
        .log_fd = logpipe_write_end(s->log),
        .supervisor_pid = getppid(),
        .started_s = s->started_s,
        .verbose = s->opt->verbose,
    };
    int *keep;
    unsigned n = 0;

    for (unsigned i = 0; i < s->gen_count && !active; i++) /* a dead generation's snapshot is kept until replaced */
        if (s->gens[i].snapshot.count)
            active = &s->gens[i];
    if (active)
        last = active->snapshot;
    setup.last = &last;
    keep = mem_alloc(sizeof *keep * (last.count + 2));
    for (unsigned i = 0; i < last.count; i++)
        keep[n++] = last.items[i].fd;
    keep[n++] = fd;
    keep[n++] = setup.log_fd;
    spawn_keep_only(keep, n);
    free(keep);
    spawn_settle("postern: leader");
    return leader_run(&setup);
}

int supervisor_gen_start(struct supervisor *s, enum generation_mode mode)
{
    struct gen g = {.number = s->last_number + 1, .mode = mode, .state = GEN_STARTING};
    struct err e;
    int fd[2];

    if (chan_pair(fd, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "%s", e.text);
        return -1;
    }
    g.leader = fork();
    if (g.leader < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "fork: %s", strerror(errno));
        close(fd[0]);
        close(fd[1]);
        return -1;
    }
    if (g.leader == 0)
        _exit(leader_child(s, g.number, mode, fd[1]));
    close(fd[1]);
    g.fd = fd[0];
    g.started_us = clock_now().mono_us;
    s->last_number = g.number;
    s->gens = mem_grow(s->gens, sizeof *s->gens * (s->gen_count + 1));
    s->gens[s->gen_count++] = g;
    for (unsigned i = 0; i < s->asker_count; i++)
        s->askers[i].current = true;
    if (mode != GENERATION_SNAPSHOT && s->was_active)
        notify_reloading();
    supervisor_gen_changed(s);
    return 0;
}

void supervisor_gen_free(struct gen *g)
{
    if (g->fd >= 0)
        close(g->fd);
    supervisor_gen_clear_snapshot(&g->snapshot);
    free(g->watched);
    free(g->failure);
    free(g->busy);
}

void supervisor_gen_remove(struct supervisor *s, struct gen *g)
{
    size_t at = (size_t)(g - s->gens);

    supervisor_gen_free(g);
    s->gen_count--;
    memmove(g, g + 1, sizeof *g * (s->gen_count - at));
    supervisor_gen_changed(s);
}

/* The active leader is told, for `status`. */
void supervisor_gen_changed(struct supervisor *s)
{
    struct proc_generation list[SHARE_SLOTS];
    struct gen *active = supervisor_gen_by_state(s, GEN_ACTIVE);
    unsigned n = 0;

    for (unsigned i = 0; i < s->gen_count && n < SHARE_SLOTS; i++)
        if (s->gens[i].leader)
            list[n++] = (struct proc_generation){s->gens[i].number, s->gens[i].leader, s->gens[i].state};
    if (active)
        supervisor_gen_order(active, PROC_GENERATIONS, list, sizeof *list * n);
}
