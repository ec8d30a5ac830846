#include "proc/leader.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "proc/leader_private.h"
#include "proc/report.h"

#define STORE_END_MS 2000

static void order_all(struct leader *l, enum server_order order)
{
    for (unsigned i = 0; i < l->worker_count; i++)
        if (l->workers[i].fd >= 0)
            (void)chan_send_wait(l->workers[i].fd, 1000, order, NULL, 0, NULL, 0, NULL);
}

void leader_say_ready(struct leader *l)
{
    struct proc_ready r = {
        .look_again_us = l->gen->not_finished_us,
        .shutdown_ms = l->gen->conf->limits.shutdown_data_time * 1000,
    };

    if (l->reported || !l->store_ready || (l->relay.wanted && !l->relay.ready) || (l->auth.wanted && !l->auth.ready))
        return;
    for (unsigned i = 0; i < l->worker_count; i++)
        if (!l->workers[i].ready)
            return;
    report_log(l->gen, clock_now().real_us / 1000000);
    leader_send(l, PROC_READY, &r, sizeof r, NULL);
    l->reported = true;
}

/* As long as anybody holds a listening socket the kernel completes connections that nobody will accept. */
static void let_go_of_sockets(struct leader *l)
{
    for (unsigned i = 0; i < l->socket_count; i++)
        if (l->sockets[i].fd >= 0)
            close(l->sockets[i].fd);
    l->socket_count = 0;
}

static void from_supervisor(struct leader *l)
{
    struct chan_msg m;
    struct err e;
    int r = chan_recv(l->setup->supervisor_fd, l->room, CHAN_MAX + 4, &m, &e);

    if (r < 0)
        _exit(0); /* the supervisor died: our children see our end, finish and go */
    if (r == 0)
        return;
    switch (m.type) {
    case PROC_ACTIVATE:
        l->state = LEADER_ACTIVE;
        order_all(l, SERVER_ACCEPT);
        break;
    case PROC_DRAIN:
        l->state = LEADER_DRAINING;
        order_all(l, SERVER_DRAIN);
        leader_drain_queue(l);
        let_go_of_sockets(l);
        break;
    case PROC_SHUTDOWN:
        l->state = LEADER_DRAINING;
        order_all(l, SERVER_SHUTDOWN);
        leader_drain_queue(l);
        l->end_us = clock_now().mono_us + l->gen->conf->limits.shutdown_data_time * INT64_C(1000000);
        let_go_of_sockets(l);
        break;
    case PROC_CLOSE_OLD:
        order_all(l, SERVER_CLOSE_OLD);
        break;
    case PROC_RELOAD_RESULT:
        leader_reload_result(l, &m);
        break;
    case PROC_GENERATIONS:
        l->other_count = (unsigned)(m.len / sizeof *l->others);
        if (l->other_count > SHARE_SLOTS)
            l->other_count = SHARE_SLOTS;
        memcpy(l->others, m.data, l->other_count * sizeof *l->others);
        break;
    default:
        break;
    }
    chan_msg_close(&m);
}

static void from_worker(struct leader *l, struct leader_worker *w)
{
    struct chan_msg m;
    int r = chan_recv(w->fd, l->room, CHAN_MAX + 4, &m, NULL);

    if (r < 0) {
        close(w->fd); /* its death comes with SIGCHLD */
        w->fd = -1;
    }
    if (r <= 0)
        return;
    if (m.type == SERVER_READY) {
        w->ready = true;
        if (l->state == LEADER_ACTIVE) /* it replaces a dead one */
            (void)chan_send_wait(w->fd, 1000, SERVER_ACCEPT, NULL, 0, NULL, 0, NULL);
        leader_say_ready(l);
    } else if (m.type == SERVER_DRAINED) {
        w->drained = true;
    }
    chan_msg_close(&m);
}

static void from_store(struct leader *l)
{
    struct chan_msg m;
    int r = chan_recv(l->store_fd, l->room, CHAN_MAX + 4, &m, NULL);

    if (r < 0) {
        close(l->store_fd);
        l->store_fd = -1;
        return;
    }
    if (r == 0)
        return;
    if (m.type == STORE_READY) {
        l->store_ready = true;
        leader_say_ready(l);
    } else if (m.type == STORE_QUEUE_LET_GO) {
        l->let_go = true;
    }
    chan_msg_close(&m);
}

void leader_say_death(const char *role, pid_t pid, int status)
{
    struct log_line ll;

    log_begin(&ll, LOG_LEVEL_ERROR, "process.died");
    log_str(&ll, "process", role);
    log_int(&ll, "pid", pid);
    if (WIFSIGNALED(status))
        log_int(&ll, "signal", WTERMSIG(status));
    else
        log_int(&ll, "exitCode", WEXITSTATUS(status));
    log_end(&ll);
}

static void worker_died(struct leader *l, unsigned number, int status)
{
    struct leader_worker *w = &l->workers[number];
    char role[32];

    /* nothing it counted outlives it */
    share_release(l->setup->share, w->slot);
    w->slot = -1;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    if (w->drained || (l->state == LEADER_DRAINING && WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        w->pid = 0;
        return;
    }
    snprintf(role, sizeof role, "worker %u", number);
    leader_say_death(role, w->pid, status);
    w->pid = 0;
    if (!l->reported)
        _exit(leader_fail(l, "a worker died before it was ready; the log says why\n"));
    if (l->state == LEADER_ACTIVE) {
        int64_t now = clock_now().mono_us;

        w->restart_us = now + backoff_delay_us(&w->backoff, now) + 1;
    }
}

static void reap(struct leader *l)
{
    struct signalfd_siginfo si;
    int status;
    pid_t pid;

    while (read(l->signal_fd, &si, sizeof si) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == l->store_pid) {
            leader_say_death("store", pid, status);
            if (!l->reported)
                _exit(leader_fail(l, "the store died before it was ready; the log says why\n"));
            _exit(3); /* a fresh generation from the snapshot takes over */
        }
        if (pid == l->relay.pid)
            leader_child_died(l, &l->relay, status);
        if (pid == l->auth.pid)
            leader_child_died(l, &l->auth, status);
        for (unsigned i = 0; i < l->worker_count; i++)
            if (l->workers[i].pid == pid)
                worker_died(l, i, status);
    }
}

static void restart_due(struct leader *l, int64_t now)
{
    leader_child_restart_due(l, now);
    for (unsigned i = 0; i < l->worker_count; i++) {
        struct leader_worker *w = &l->workers[i];
        struct err e;

        if (!w->restart_us || now < w->restart_us || l->state != LEADER_ACTIVE)
            continue;
        if (leader_fork_worker(l, i, &e) < 0) {
            log_event(LOG_LEVEL_ERROR, "process.start-failed", "worker %u: %s", i, e.text);
            w->restart_us = now + backoff_delay_us(&w->backoff, now) + 1;
        }
    }
}

static bool is_over(const struct leader *l)
{
    if (l->state != LEADER_DRAINING || !control_is_idle(l->control))
        return false;
    for (unsigned i = 0; i < l->worker_count; i++)
        if (l->workers[i].pid)
            return false;
    return l->let_go || (l->end_us && clock_now().mono_us > l->end_us);
}

/* A certificate expires while nothing else happens. */
static void tell_time(struct leader *l, int64_t now)
{
    if (l->state == LEADER_ACTIVE && l->told_s && now > l->told_s)
        report_log_changes(l->gen, l->told_s, now);
    if (l->state == LEADER_ACTIVE)
        l->told_s = now;
}

static int timeout_ms(const struct leader *l, int64_t now)
{
    int64_t wait = 1000000;

    for (unsigned i = 0; i < l->worker_count; i++)
        if (l->workers[i].restart_us && l->workers[i].restart_us - now < wait)
            wait = l->workers[i].restart_us - now;
    if (l->relay.restart_us && l->relay.restart_us - now < wait)
        wait = l->relay.restart_us - now;
    if (l->auth.restart_us && l->auth.restart_us - now < wait)
        wait = l->auth.restart_us - now;
    if (l->end_us && wait > 50000)
        wait = 50000;
    return wait < 0 ? 0 : (int)(wait / 1000) + 1;
}

static void loop(struct leader *l)
{
    struct pollfd *p = mem_alloc(sizeof *p * (l->worker_count + CONTROL_CLIENTS + 8));

    while (!is_over(l)) {
        struct now now = clock_now();
        unsigned n = 0, workers_at, control_at, clients;

        restart_due(l, now.mono_us);
        tell_time(l, now.real_us / 1000000);
        p[n++] = (struct pollfd){.fd = l->setup->supervisor_fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = l->signal_fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = l->store_fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = l->state == LEADER_ACTIVE ? l->control_fd : -1, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = l->relay.fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = l->auth.fd, .events = POLLIN};
        workers_at = n;
        for (unsigned i = 0; i < l->worker_count; i++)
            p[n++] = (struct pollfd){.fd = l->workers[i].fd, .events = POLLIN};
        control_at = n;
        clients = control_poll(l->control, p + n);
        n += clients;
        if (clients == CONTROL_CLIENTS)
            p[3].fd = -1; /* the rest wait in the backlog */
        if (poll(p, n, timeout_ms(l, now.mono_us)) < 0 && errno != EINTR)
            break;
        now = clock_now();
        if (p[0].revents)
            from_supervisor(l);
        for (unsigned i = 0; i < l->worker_count; i++)
            if (p[workers_at + i].revents && l->workers[i].fd >= 0)
                from_worker(l, &l->workers[i]);
        if (p[2].revents && l->store_fd >= 0)
            from_store(l);
        if (p[4].revents && l->relay.fd >= 0)
            leader_child_readable(l, &l->relay);
        if (p[5].revents && l->auth.fd >= 0)
            leader_child_readable(l, &l->auth);
        if (p[1].revents & POLLIN)
            reap(l);
        control_pump(l->control, p + control_at, clients, now.mono_us);
        if (p[3].fd >= 0 && p[3].revents & POLLIN)
            control_accept(l->control, l->control_fd, now.mono_us);
    }
    free(p);
}

/* The store ends when its channel does; its last commit may still be under way. So does the relay, at once. */
static void end_store(struct leader *l)
{
    int64_t until = clock_now().mono_us + STORE_END_MS * INT64_C(1000);

    if (l->relay.fd >= 0)
        close(l->relay.fd);
    if (l->auth.fd >= 0)
        close(l->auth.fd);
    if (l->store_fd >= 0)
        close(l->store_fd);
    while (l->store_pid > 0 && clock_now().mono_us < until) {
        struct pollfd p = {.fd = l->signal_fd, .events = POLLIN};
        struct signalfd_siginfo si;

        if (waitpid(l->store_pid, NULL, WNOHANG) != 0)
            return;
        poll(&p, 1, 50);
        (void)!read(l->signal_fd, &si, sizeof si);
    }
}

int leader_run(const struct leader_setup *s)
{
    struct leader l = {.setup = s,
                       .control_fd = -1,
                       .store_fd = -1,
                       .signal_fd = -1,
                       .relay = {.role = "relay", .fd = -1},
                       .auth = {.role = "auth", .fd = -1}};
    sigset_t chld;
    int rc;

    log_identity("leader", s->number);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    l.signal_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    l.room = mem_alloc(CHAN_MAX + 4);
    l.control = control_new(leader_answer, &l);
    rc = leader_start(&l);
    if (rc)
        return rc < 0 ? 0 : rc;
    loop(&l);
    end_store(&l);
    return 0;
}
