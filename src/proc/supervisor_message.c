/* What leaders say and ask for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "proc/supervisor_private.h"

#define BUSY_FOR (5 * SECOND) /* a predecessor's last children may hold an address that long */
#define BUSY_EVERY (SECOND / 10)

static void answer_bind(struct gen *g, const struct proc_bind *b, int fd, const struct addr *local, int error,
                        const struct err *e)
{
    struct proc_bound r = {.id = b->id, .error = error};

    if (fd >= 0)
        r.local = *local;
    else
        snprintf(r.text, sizeof r.text, "%s%s%.200s", b->control ? "" : "listener ", b->control ? "" : b->listener, "");
    if (fd < 0)
        snprintf(r.text, sizeof r.text, "%s%.100s%s%.140s", b->control ? "" : "listener \"",
                 b->control ? "" : b->listener, b->control ? "" : "\": ", e->text);
    (void)chan_send_wait(g->fd, 1000, PROC_BOUND, &r, sizeof r, fd >= 0 ? &fd : NULL, fd >= 0, NULL);
}

void supervisor_message_bind(struct supervisor *s, struct gen *g, const struct proc_bind *b)
{
    struct addr local = {0};
    struct err e = {""};
    int error, fd;
    int64_t now = clock_now().mono_us;

    fd = b->control ? sockets_control(s->sockets, b, &error, &e)
                    : sockets_get(s->sockets, b, g->number, &local, &error, &e);
    /* After an unclean death children of the predecessor may live for two more seconds. */
    if (fd < 0 && !s->was_active && (error == EADDRINUSE || error == EWOULDBLOCK)) {
        if (!g->busy) {
            g->busy = mem_alloc(sizeof *b);
            *g->busy = *b;
            g->busy_until_us = now + BUSY_FOR;
        }
        if (now < g->busy_until_us) {
            g->busy_next_us = now + BUSY_EVERY;
            return;
        }
    }
    answer_bind(g, b, fd, &local, error, &e);
    if (b != g->busy)
        return;
    free(g->busy);
    g->busy = NULL;
}

static void add_asker(struct supervisor *s, const struct gen *g, uint32_t token)
{
    if (s->asker_count < ASKERS)
        s->askers[s->asker_count++] = (struct asker){g->number, token, false};
    s->want_full = true;
}

static void add_snapshot(struct gen *g, struct chan_msg *m)
{
    struct snapshot_item item;
    int fd = chan_msg_take(m, 0);

    if (!proc_msg_snapshot(m, &item, fd) || g->snapshot.count >= 4096) {
        if (fd >= 0)
            close(fd);
        return;
    }
    g->snapshot.items = mem_grow(g->snapshot.items, sizeof item * (g->snapshot.count + 1));
    g->snapshot.items[g->snapshot.count++] = item;
}

static void add_watch(struct gen *g, const struct chan_msg *m)
{
    struct watched_file w;

    if (!proc_msg_watch(m, &w) || g->watched_count >= 4096)
        return;
    g->watched = mem_grow(g->watched, sizeof w * (g->watched_count + 1));
    g->watched[g->watched_count++] = w;
}

static void take_message(struct supervisor *s, struct gen *g, struct chan_msg *m)
{
    struct proc_bind b;
    struct proc_ready r;
    uint32_t token;

    switch (m->type) {
    case PROC_BIND:
        if (proc_msg_bind(m, &b))
            supervisor_message_bind(s, g, &b);
        break;
    case PROC_SNAPSHOT:
        if (g->state == GEN_STARTING)
            add_snapshot(g, m);
        break;
    case PROC_WATCH:
        if (g->state == GEN_STARTING)
            add_watch(g, m);
        break;
    case PROC_LOG:
        g->has_log = proc_msg_log(m, &g->log);
        break;
    case PROC_READY:
        if (g->state == GEN_STARTING && proc_msg_get(m, &r, sizeof r))
            supervisor_reload_ready(s, g, &r);
        break;
    case PROC_EQUAL:
        if (g->state == GEN_STARTING && proc_msg_get(m, &r, sizeof r))
            supervisor_reload_equal(s, g, &r);
        break;
    case PROC_FAILED:
        free(g->failure);
        g->failure = mem_strn(m->data, m->len);
        break;
    case PROC_RELOAD:
        if (proc_msg_get(m, &token, sizeof token))
            add_asker(s, g, token);
        break;
    case PROC_STOP:
        if (!s->stopping)
            supervisor_stop(s, PROC_DRAIN);
        break;
    default:
        break;
    }
}

void supervisor_message_take(struct supervisor *s, unsigned number)
{
    for (;;) {
        struct gen *g = NULL;
        struct chan_msg m;
        int r;

        for (unsigned i = 0; i < s->gen_count; i++) /* a message may have moved the array */
            if (s->gens[i].number == number)
                g = &s->gens[i];
        if (!g || g->fd < 0)
            return;
        r = chan_recv(g->fd, s->room, CHAN_MAX + 4, &m, NULL);
        if (r < 0) {
            close(g->fd);
            g->fd = -1;
        }
        if (r <= 0)
            return;
        take_message(s, g, &m);
        chan_msg_close(&m);
    }
}
