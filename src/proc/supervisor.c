#include "proc/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/share.h"
#include "base/text.h"
#include "proc/leader.h"
#include "proc/logpipe.h"
#include "proc/notify.h"
#include "proc/proc_msg.h"
#include "proc/sandbox.h"
#include "proc/sockets.h"
#include "proc/spawn.h"
#include "proc/watch.h"

#define SECOND INT64_C(1000000)
#define WATCH_EVERY (2 * SECOND)
#define READY_WITHIN (60 * SECOND)
#define BUSY_FOR (5 * SECOND) /* a predecessor's last children may hold an address that long */
#define BUSY_EVERY (SECOND / 10)
#define GENERATIONS_MOST 4    /* when a fifth appears, the oldest is asked to end */
#define SLOT_KEYS 32768       /* addresses and networks one worker counts */
#define ASKERS 32

enum gen_state { GEN_STARTING, GEN_ACTIVE, GEN_DRAINING };

struct gen {
    unsigned number;
    pid_t leader;
    int fd;
    enum gen_state state;
    enum generation_mode mode;
    int64_t started_us;
    bool close_said;
    struct snapshot snapshot; /* what it brought; the active one's is the last good */
    struct watched_file *watched;
    unsigned watched_count;
    struct proc_log log;
    bool has_log;
    char *failure; /* text of PROC_FAILED */
    struct proc_bind *busy; /* an address in use: asked for again until busy_until_us */
    int64_t busy_until_us, busy_next_us;
};

#define ORPHANS 64

struct orphan { /* a generation whose leader has ended */
    unsigned generation;
    int64_t at_us; /* its slots are released then */
};

struct asker { /* somebody waits for the result of a reload */
    unsigned generation; /* whose leader asked */
    uint32_t token;
    bool current; /* the generation that is being started answers this one */
};

struct supervisor {
    const struct supervisor_options *opt;
    struct logpipe *log;
    struct sockets *sockets;
    struct share *share;
    struct gen *gens; /* oldest first */
    unsigned gen_count, last_number;
    int signal_fd;
    int64_t started_s;
    bool want_full, want_certs;    /* a generation is due as soon as none is being started */
    int64_t want_snapshot_us;      /* ... from the snapshot, not before that moment; 0: no */
    int64_t look_again_us;         /* realtime: an unfinished renewal */
    int64_t next_watch_us, next_watchdog_us, watchdog_us;
    struct asker askers[ASKERS];
    unsigned asker_count;
    struct orphan orphans[ORPHANS];
    unsigned orphan_count;
    struct backoff backoff;
    bool was_active; /* a generation served once: from now on failures are survived */
    bool stopping;
    int64_t kill_us; /* when stopping: the end of patience */
    uint32_t shutdown_ms;
    int exit_code;
    void *room;
};

static void gens_changed(struct supervisor *s);

/* ---- generations */

static struct gen *by_state(struct supervisor *s, enum gen_state state)
{
    for (unsigned i = s->gen_count; i-- > 0;)
        if (s->gens[i].state == state)
            return &s->gens[i];
    return NULL;
}

static void snapshot_clear(struct snapshot *s)
{
    for (unsigned i = 0; i < s->count; i++)
        close(s->items[i].fd);
    free(s->items);
    *s = (struct snapshot){0};
}

static void order(struct gen *g, enum proc_msg type, const void *data, size_t len)
{
    if (g->fd >= 0)
        (void)chan_send_wait(g->fd, 1000, type, data, len, NULL, 0, NULL);
}

/* In the child. What belongs to the supervisor alone is closed, listening sockets come back one by one with
 * PROC_BOUND: a leader holds those of its own configuration and no others. */
static int leader_child(struct supervisor *s, unsigned number, enum generation_mode mode, int fd)
{
    const struct gen *active = by_state(s, GEN_ACTIVE);
    struct snapshot last = {0};
    struct leader_setup setup = {
        .mode = mode, .number = number, .conf_file = s->opt->conf_file, .share = s->share,
        .supervisor_fd = fd, .log_fd = logpipe_write_end(s->log), .supervisor_pid = getppid(),
        .started_s = s->started_s, .verbose = s->opt->verbose,
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

static int gen_start(struct supervisor *s, enum generation_mode mode)
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
    gens_changed(s);
    return 0;
}

static void gen_free(struct gen *g)
{
    if (g->fd >= 0)
        close(g->fd);
    snapshot_clear(&g->snapshot);
    free(g->watched);
    free(g->failure);
    free(g->busy);
}

static void gen_remove(struct supervisor *s, struct gen *g)
{
    size_t at = (size_t)(g - s->gens);

    gen_free(g);
    s->gen_count--;
    memmove(g, g + 1, sizeof *g * (s->gen_count - at));
    gens_changed(s);
}

/* The active leader is told, for `status`. */
static void gens_changed(struct supervisor *s)
{
    struct proc_generation list[SHARE_SLOTS];
    struct gen *active = by_state(s, GEN_ACTIVE);
    unsigned n = 0;

    for (unsigned i = 0; i < s->gen_count && n < SHARE_SLOTS; i++)
        if (s->gens[i].leader)
            list[n++] = (struct proc_generation){s->gens[i].number, s->gens[i].leader, s->gens[i].state};
    if (active)
        order(active, PROC_GENERATIONS, list, sizeof *list * n);
}

/* ---- results of a reload */

static void answer_askers(struct supervisor *s, bool ok, const char *text)
{
    size_t n = strlen(text), size;
    struct proc_result *r;
    unsigned kept = 0;

    if (n > CHAN_MAX / 2)
        n = CHAN_MAX / 2;
    size = sizeof *r + n;
    r = mem_alloc(size);
    r->ok = ok;
    memcpy(r + 1, text, n);
    for (unsigned i = 0; i < s->asker_count; i++) {
        if (!s->askers[i].current) {
            s->askers[kept++] = s->askers[i];
            continue;
        }
        r->token = s->askers[i].token;
        for (unsigned g = 0; g < s->gen_count; g++)
            if (s->gens[g].number == s->askers[i].generation)
                order(&s->gens[g], PROC_RELOAD_RESULT, r, size);
    }
    s->asker_count = kept;
    if (kept)
        s->want_full = true;
    free(r);
}

static void start_failed(struct supervisor *s, struct gen *g, const char *text)
{
    if (!s->was_active) {
        fprintf(stderr, "%s", text);
        s->exit_code = 2;
        return;
    }
    log_event(LOG_LEVEL_ERROR, "tls.reload-failed",
              "generation %u is not taken, the one before serves on: %.900s", g->number, text);
    notify_send("READY=1\nSTATUS=the last reload failed; the configuration before it serves on");
    answer_askers(s, false, text);
}

static void take_ports(struct supervisor *s, const struct gen *g)
{
    struct err e;

    if (s->opt->ports_file && sockets_write_ports(s->sockets, g->number, s->opt->ports_file, &e) < 0)
        log_event(LOG_LEVEL_ERROR, "network.ports-file", "%s", e.text);
}

static void take_log(struct supervisor *s, struct gen *g)
{
    struct err e;

    if (g->has_log && logpipe_target(s->log, (enum conf_log_target)g->log.target, g->log.file, &e) < 0)
        log_event(LOG_LEVEL_ERROR, "log.error", "%s; lines go where they went before", e.text);
}

static void drain_others(struct supervisor *s, const struct gen *active)
{
    unsigned alive = 0;

    for (unsigned i = 0; i < s->gen_count; i++) {
        struct gen *g = &s->gens[i];

        if (g == active || g->state == GEN_STARTING)
            continue;
        if (g->state == GEN_ACTIVE) {
            g->state = GEN_DRAINING;
            order(g, PROC_DRAIN, NULL, 0);
        }
        snapshot_clear(&g->snapshot); /* the new one's counts now */
        alive++;
    }
    for (unsigned i = 0; i < s->gen_count && alive >= GENERATIONS_MOST; i++) {
        if (s->gens[i].state != GEN_DRAINING || !s->gens[i].leader)
            continue;
        alive--;
        if (!s->gens[i].close_said)
            order(&s->gens[i], PROC_CLOSE_OLD, NULL, 0);
        s->gens[i].close_said = true;
    }
}

static void gen_ready(struct supervisor *s, struct gen *g, const struct proc_ready *r)
{
    char text[128];

    if (s->stopping)
        return;
    /* First the new ones accept, then the old ones stop: there is no moment without anybody. */
    order(g, PROC_ACTIVATE, NULL, 0);
    drain_others(s, g);
    g->state = GEN_ACTIVE;
    s->was_active = true;
    s->shutdown_ms = r->shutdown_ms;
    s->look_again_us = r->look_again_us;
    sockets_retire(s->sockets, g->number);
    take_log(s, g);
    take_ports(s, g);
    for (unsigned i = s->gen_count; i-- > 0;) /* dead ones stood here for their snapshot alone */
        if (!s->gens[i].leader) {
            size_t mine = (size_t)(g - s->gens);

            gen_remove(s, &s->gens[i]);
            g = &s->gens[i < mine ? mine - 1 : mine];
        }
    snprintf(text, sizeof text, "READY=1\nMAINPID=%d\nSTATUS=generation %u serves", (int)getpid(), g->number);
    notify_send(text);
    log_event(LOG_LEVEL_INFO, g->number == 1 ? "server.startup" : "tls.reload-completed",
              "generation %u serves", g->number);
    snprintf(text, sizeof text, "generation %u serves\n", g->number);
    answer_askers(s, true, text);
    gens_changed(s);
}

/* ---- messages of a leader */

static void answer_bind(struct gen *g, const struct proc_bind *b, int fd, const struct addr *local, int error,
                        const struct err *e)
{
    struct proc_bound r = {.id = b->id, .error = error};

    if (fd >= 0)
        r.local = *local;
    else
        snprintf(r.text, sizeof r.text, "%s%s%.200s", b->control ? "" : "listener ",
                 b->control ? "" : b->listener, "");
    if (fd < 0)
        snprintf(r.text, sizeof r.text, "%s%.100s%s%.140s", b->control ? "" : "listener \"",
                 b->control ? "" : b->listener, b->control ? "" : "\": ", e->text);
    (void)chan_send_wait(g->fd, 1000, PROC_BOUND, &r, sizeof r, fd >= 0 ? &fd : NULL, fd >= 0, NULL);
}

static void do_bind(struct supervisor *s, struct gen *g, const struct proc_bind *b)
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

static void take_equal(struct supervisor *s, struct gen *g, const struct proc_ready *r)
{
    struct gen *active = by_state(s, GEN_ACTIVE);

    s->look_again_us = r->look_again_us;
    if (active) { /* the same bytes in other files: those are watched from now on */
        free(active->watched);
        active->watched = g->watched;
        active->watched_count = g->watched_count;
        g->watched = NULL;
        g->watched_count = 0;
    }
    notify_send("READY=1");
    answer_askers(s, true, "nothing changed\n");
}

static void stop(struct supervisor *s, enum proc_msg how)
{
    if (!s->stopping)
        notify_send("STOPPING=1");
    s->stopping = true;
    if (how == PROC_SHUTDOWN)
        s->kill_us = clock_now().mono_us + (s->shutdown_ms + 4000) * INT64_C(1000);
    sockets_free(&s->sockets);
    s->sockets = sockets_new();
    for (unsigned i = 0; i < s->gen_count; i++) {
        if (s->gens[i].state == GEN_STARTING && s->gens[i].leader)
            kill(s->gens[i].leader, SIGKILL);
        else
            order(&s->gens[i], how, NULL, 0);
    }
}

static void take_message(struct supervisor *s, struct gen *g, struct chan_msg *m)
{
    struct proc_bind b;
    struct proc_ready r;
    uint32_t token;

    switch (m->type) {
    case PROC_BIND:
        if (proc_msg_bind(m, &b))
            do_bind(s, g, &b);
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
            gen_ready(s, g, &r);
        break;
    case PROC_EQUAL:
        if (g->state == GEN_STARTING && proc_msg_get(m, &r, sizeof r))
            take_equal(s, g, &r);
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
            stop(s, PROC_DRAIN);
        break;
    default:
        break;
    }
}

static void from_leader(struct supervisor *s, unsigned number)
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

/* ---- deaths */

static void say_death(const struct gen *g, int status)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "process.died");
    log_str(&l, "process", "leader");
    log_int(&l, "pid", g->leader);
    log_int(&l, "ofGeneration", g->number);
    if (WIFSIGNALED(status))
        log_int(&l, "signal", WTERMSIG(status));
    else
        log_int(&l, "exitCode", WEXITSTATUS(status));
    log_end(&l);
}

/* The workers of a leader that is gone end by themselves, within two seconds; after three what they counted is dropped. */
static void orphan(struct supervisor *s, unsigned number)
{
    if (s->orphan_count == ORPHANS)
        share_release_all(s->share, s->orphans[--s->orphan_count].generation);
    s->orphans[s->orphan_count++] = (struct orphan){number, clock_now().mono_us + 3 * SECOND};
}

static void release_orphans(struct supervisor *s, int64_t now)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->orphan_count; i++) {
        if (now < s->orphans[i].at_us)
            s->orphans[kept++] = s->orphans[i];
        else
            share_release_all(s->share, s->orphans[i].generation);
    }
    s->orphan_count = kept;
}

static void leader_ended(struct supervisor *s, struct gen *g, int status)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    enum gen_state state = g->state;
    int64_t now = clock_now().mono_us;

    from_leader(s, g->number);
    orphan(s, g->number);
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    if (state == GEN_ACTIVE && !s->stopping) {
        say_death(g, status);
        g->leader = 0; /* stays in the list for its snapshot */
        g->state = GEN_DRAINING;
        s->want_snapshot_us = now + backoff_delay_us(&s->backoff, now) + 1;
        gens_changed(s);
        return;
    }
    if (state == GEN_STARTING && !s->stopping && (!clean || g->failure)) {
        char text[160];

        snprintf(text, sizeof text, "the process that loads the configuration died (%s %d)\n",
                 WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (!g->failure)
            say_death(g, status);
        start_failed(s, g, g->failure ? g->failure : text);
        if (g->mode == GENERATION_SNAPSHOT)
            s->want_snapshot_us = now + backoff_delay_us(&s->backoff, now) + 1;
    }
    gen_remove(s, g);
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < s->gen_count; i++)
            if (s->gens[i].leader == pid) {
                leader_ended(s, &s->gens[i], status);
                break;
            }
}

/* ---- the loop */

static void take_signals(struct supervisor *s)
{
    struct signalfd_siginfo si;

    while (read(s->signal_fd, &si, sizeof si) == (ssize_t)sizeof si) {
        switch (si.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            if (s->stopping && s->kill_us)
                s->kill_us = 1; /* asked twice: at once */
            else
                stop(s, PROC_SHUTDOWN);
            break;
        case SIGHUP:
            s->want_full = true;
            break;
        case SIGUSR1:
            logpipe_reopen(s->log);
            break;
        default:
            break;
        }
    }
    reap(s);
}

static void look_at_files(struct supervisor *s, const struct now *now)
{
    struct gen *active = by_state(s, GEN_ACTIVE);
    const char *changed;

    if (now->mono_us < s->next_watch_us)
        return;
    s->next_watch_us = now->mono_us + WATCH_EVERY;
    if (!active || by_state(s, GEN_STARTING))
        return;
    changed = watch_changed(active->watched, active->watched_count);
    if (!changed && !(s->look_again_us && now->real_us >= s->look_again_us))
        return;
    if (changed)
        log_event(LOG_LEVEL_DEBUG, "tls.file-changed", "%s", changed);
    for (unsigned i = 0; i < active->watched_count; i++) /* seen; what comes of it is the new leader's business */
        watch_stat(&active->watched[i]);
    s->look_again_us = 0;
    s->want_certs = true;
}

static void start_due(struct supervisor *s, const struct now *now)
{
    struct gen *starting = by_state(s, GEN_STARTING);

    if (starting) {
        if (starting->busy && now->mono_us >= starting->busy_next_us)
            do_bind(s, starting, starting->busy);
        if (now->mono_us - starting->started_us > READY_WITHIN) {
            free(starting->failure);
            starting->failure = mem_str("it was not ready within 60 seconds\n");
            kill(starting->leader, SIGKILL);
            starting->started_us = now->mono_us;
        }
        return;
    }
    if (s->stopping)
        return;
    if (s->want_snapshot_us && now->mono_us >= s->want_snapshot_us) {
        s->want_snapshot_us = 0;
        gen_start(s, GENERATION_SNAPSHOT);
    } else if (s->want_full && !s->want_snapshot_us) {
        s->want_full = s->want_certs = false;
        gen_start(s, GENERATION_FULL);
    } else if (s->want_certs && !s->want_snapshot_us) {
        s->want_certs = false;
        gen_start(s, GENERATION_CERTS);
    }
}

static int wait_ms(struct supervisor *s, const struct now *now)
{
    struct gen *starting = by_state(s, GEN_STARTING);
    int64_t at = s->next_watch_us;

    if (starting && starting->busy && starting->busy_next_us < at)
        at = starting->busy_next_us;
    if (s->want_snapshot_us && s->want_snapshot_us < at)
        at = s->want_snapshot_us;
    if (s->watchdog_us && s->next_watchdog_us < at)
        at = s->next_watchdog_us;
    if (s->kill_us && s->kill_us < at)
        at = s->kill_us;
    return at <= now->mono_us ? 0 : (int)((at - now->mono_us) / 1000) + 1;
}

static void kill_if_due(struct supervisor *s, int64_t now)
{
    if (!s->kill_us || now < s->kill_us)
        return;
    for (unsigned i = 0; i < s->gen_count; i++)
        if (s->gens[i].leader)
            kill(s->gens[i].leader, SIGKILL);
    s->kill_us = now + SECOND;
}

static void serve(struct supervisor *s)
{
    struct pollfd p[SHARE_SLOTS + 8];

    while (!s->exit_code && (s->gen_count || !s->stopping)) {
        struct now now = clock_now();
        unsigned n = 0, numbers[SHARE_SLOTS + 8];

        look_at_files(s, &now);
        start_due(s, &now);
        kill_if_due(s, now.mono_us);
        release_orphans(s, now.mono_us);
        if (s->watchdog_us && now.mono_us >= s->next_watchdog_us) {
            notify_send("WATCHDOG=1");
            s->next_watchdog_us = now.mono_us + s->watchdog_us;
        }
        p[n++] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = logpipe_read_end(s->log), .events = POLLIN};
        p[n++] = (struct pollfd){.fd = logpipe_wants_write(s->log), .events = POLLOUT};
        for (unsigned i = 0; i < s->gen_count && n < SHARE_SLOTS + 8; i++) {
            numbers[n] = s->gens[i].number;
            p[n++] = (struct pollfd){.fd = s->gens[i].fd, .events = POLLIN};
        }
        if (poll(p, n, wait_ms(s, &now)) < 0 && errno != EINTR)
            break;
        if (p[1].revents || p[2].revents)
            logpipe_pump(s->log);
        for (unsigned i = 3; i < n; i++)
            if (p[i].revents)
                from_leader(s, numbers[i]);
        if (p[0].revents)
            take_signals(s);
        if (s->stopping && s->gen_count && !by_state(s, GEN_ACTIVE) && !by_state(s, GEN_STARTING)) {
            for (unsigned i = s->gen_count; i-- > 0;)
                if (!s->gens[i].leader)
                    gen_remove(s, &s->gens[i]);
        }
    }
}

static int prepare(struct supervisor *s, struct err *e)
{
    struct rlimit none = {0, 0};
    sigset_t set;

    clock_prepare();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return err_set(e, "signalfd: %s", strerror(errno));
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)sandbox_descriptors(8192);
    if (share_new(&s->share, SLOT_KEYS, e) < 0 || logpipe_new(&s->log, e) < 0)
        return -1;
    log_open(logpipe_write_end(s->log), LOG_FORMAT_LOGFMT,
             s->opt->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    log_identity("supervisor", 0);
    s->sockets = sockets_new();
    s->room = mem_alloc(CHAN_MAX + 4);
    s->started_s = clock_now().real_us / 1000000;
    s->watchdog_us = notify_watchdog_us();
    return 0;
}

int supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s = {.opt = o};
    struct err e;

    if (prepare(&s, &e) < 0) {
        fprintf(stderr, "postern: %s\n", e.text);
        return 2;
    }
    s.want_full = true;
    serve(&s);
    if (s.was_active)
        log_event(LOG_LEVEL_INFO, "server.shutdown", "all sessions have ended");
    logpipe_drain(s.log, 2000);
    for (unsigned i = 0; i < s.gen_count; i++)
        gen_free(&s.gens[i]);
    free(s.gens);
    sockets_free(&s.sockets);
    logpipe_free(&s.log);
    free(s.room);
    return s.exit_code;
}
