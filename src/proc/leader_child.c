/* Relay and auth: forked, watched, forked again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/auth_msg.h"
#include "base/clock.h"
#include "proc/leader_private.h"
#include "relay/relay_process.h"

#define SEND_MS 5000

/* Where that fails the worker answers 454 or 450, and the next such process brings another channel. */
static void introduce(struct leader_child *c, uint32_t to_child, struct leader_worker *w, uint32_t to_worker)
{
    int fd[2];

    if (!c->pid || c->fd < 0 || w->fd < 0 || chan_pair(fd, NULL) < 0)
        return;
    if (chan_send_wait(c->fd, SEND_MS, to_child, NULL, 0, &fd[0], 1, NULL) == 1)
        (void)chan_send_wait(w->fd, SEND_MS, to_worker, NULL, 0, &fd[1], 1, NULL);
    close(fd[0]);
    close(fd[1]);
}

static void introduce_to_relay(struct leader *l, struct leader_worker *w)
{
    if (l->asks)
        introduce(&l->relay, RELAY_ADD_WORKER, w, SERVER_VERIFY);
}

void leader_introduce(struct leader *l, struct leader_worker *w)
{
    introduce(&l->auth, AUTH_ADD_WORKER, w, SERVER_AUTH);
    introduce_to_relay(l, w);
}

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
    for (unsigned i = 0; i < l->worker_count; i++)
        introduce_to_relay(l, &l->workers[i]);
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

int leader_fork_auth(struct leader *l, struct err *e)
{
    struct leader_child *c = &l->auth;
    int fd[2];

    c->restart_us = 0;
    if (chan_pair(fd, e) < 0)
        return -1;
    c->pid = fork();
    if (c->pid < 0) {
        c->pid = 0;
        close(fd[0]);
        close(fd[1]);
        return err_set(e, "fork: %s", strerror(errno));
    }
    if (c->pid == 0) {
        generation_forget_keys(l->gen);
        _exit(child_auth(l->gen, &l->rights.worker, fd[1], l->setup->log_fd, l->setup->number));
    }
    close(fd[1]);
    c->fd = fd[0];
    c->ready = false;
    for (unsigned i = 0; i < l->worker_count; i++)
        introduce(c, AUTH_ADD_WORKER, &l->workers[i], SERVER_AUTH);
    return 0;
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
    if (m.type == (c == &l->relay ? (uint32_t)RELAY_READY : (uint32_t)AUTH_READY)) {
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
    if (l->state != LEADER_DRAINING || c == &l->auth) /* sessions of a draining generation log in, too */
        c->restart_us = now + backoff_delay_us(&c->backoff, now) + 1;
}

static void restart_due(struct leader *l, struct leader_child *c, int64_t now)
{
    struct err e;

    if (!c->restart_us || now < c->restart_us || l->state == LEADER_STARTING)
        return;
    if (c == &l->relay ? leader_fork_relay(l, &e) < 0 : leader_fork_auth(l, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "%s: %s", c->role, e.text);
        c->restart_us = now + backoff_delay_us(&c->backoff, now) + 1;
    }
}

void leader_child_restart_due(struct leader *l, int64_t now)
{
    restart_due(l, &l->relay, now);
    restart_due(l, &l->auth, now);
}

void leader_drain_queue(struct leader *l)
{
    if (!l->let_go && chan_send_wait(l->store_fd, SEND_MS, STORE_QUEUE_DRAIN, NULL, 0, NULL, 0, NULL) != 1)
        l->let_go = true; /* the store is gone, and the queue with it */
}
