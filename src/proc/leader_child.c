/* The relay: forked, watched, forked again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/leader_private.h"
#include "relay/relay_process.h"

#define SEND_MS 5000

int leader_fork_relay(struct leader *l, struct err *e)
{
    int mine[2] = {-1, -1}, store[2] = {-1, -1};
    struct leader_child *c = &l->relay;

    c->restart_us = 0;
    if (chan_pair(mine, e) < 0 || chan_pair(store, e) < 0 ||
        chan_send_wait(l->store_fd, SEND_MS, STORE_ADD_RELAY, NULL, 0, &store[1], 1, e) != 1)
        goto fail;
    c->pid = fork();
    if (c->pid < 0) {
        err_set(e, "fork: %s", strerror(errno));
        goto fail;
    }
    if (c->pid == 0) {
        generation_forget_keys(l->gen);
        _exit(child_relay(l->gen, &l->rights.relay, mine[1], store[0], l->setup->log_fd, l->setup->number));
    }
    close(mine[1]);
    close(store[0]);
    close(store[1]);
    c->fd = mine[0];
    c->ready = false;
    return 0;
fail:
    for (int i = 0; i < 2; i++) {
        if (mine[i] >= 0)
            close(mine[i]);
        if (store[i] >= 0)
            close(store[i]);
    }
    c->pid = 0;
    return -1;
}

void leader_child_readable(struct leader *l, struct leader_child *c)
{
    struct chan_msg m;
    int r = chan_recv(c->fd, l->room, CHAN_MAX + 4, &m, NULL);

    if (r < 0) {
        close(c->fd); /* its death comes with SIGCHLD */
        c->fd = -1;
    }
    if (r <= 0)
        return;
    if (m.type == RELAY_READY) {
        c->ready = true;
        leader_say_ready(l);
    }
    chan_msg_close(&m);
}

void leader_child_died(struct leader *l, struct leader_child *c, int status)
{
    int64_t now = clock_now().mono_us;

    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->ready = false;
    if (l->state == LEADER_DRAINING && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        c->pid = 0;
        return;
    }
    leader_say_death(c->role, c->pid, status);
    c->pid = 0;
    if (!l->reported) {
        char text[80];

        snprintf(text, sizeof text, "the %s died before it was ready; the log says why\n", c->role);
        _exit(leader_fail(l, text));
    }
    if (l->state != LEADER_DRAINING)
        c->restart_us = now + backoff_delay_us(&c->backoff, now) + 1;
}

void leader_child_restart_due(struct leader *l, int64_t now)
{
    struct leader_child *c = &l->relay;
    struct err e;

    if (!c->restart_us || now < c->restart_us || l->state != LEADER_ACTIVE)
        return;
    if (leader_fork_relay(l, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "%s: %s", c->role, e.text);
        c->restart_us = now + backoff_delay_us(&c->backoff, now) + 1;
    }
}

void leader_drain_queue(struct leader *l)
{
    if (!l->let_go && chan_send_wait(l->store_fd, SEND_MS, STORE_QUEUE_DRAIN, NULL, 0, NULL, 0, NULL) != 1)
        l->let_go = true; /* the store is gone, and the queue with it */
}
