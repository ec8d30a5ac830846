#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/notify.h"
#include "proc/sandbox.h"
#include "proc/supervisor_private.h"

#define LOG_PAUSE_US 3000
#define WATCH_EVERY (2 * SECOND)
#define READY_WITHIN (60 * SECOND)
#define SLOT_KEYS 32768 /* addresses and networks one worker counts */

void supervisor_stop(struct supervisor *s, enum proc_msg how)
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
            supervisor_gen_order(&s->gens[i], how, NULL, 0);
    }
}

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
                supervisor_stop(s, PROC_SHUTDOWN);
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
    supervisor_death_reap(s);
}

static void look_at_files(struct supervisor *s, const struct now *now)
{
    struct gen *active = supervisor_gen_by_state(s, GEN_ACTIVE);
    const char *changed;

    if (now->mono_us < s->next_watch_us)
        return;
    s->next_watch_us = now->mono_us + WATCH_EVERY;
    if (!active || supervisor_gen_by_state(s, GEN_STARTING))
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
    struct gen *starting = supervisor_gen_by_state(s, GEN_STARTING);

    if (starting) {
        if (starting->busy && now->mono_us >= starting->busy_next_us)
            supervisor_message_bind(s, starting, starting->busy);
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
        supervisor_gen_start(s, GENERATION_SNAPSHOT);
    } else if (s->want_full && !s->want_snapshot_us) {
        s->want_full = s->want_certs = false;
        supervisor_gen_start(s, GENERATION_FULL);
    } else if (s->want_certs && !s->want_snapshot_us) {
        s->want_certs = false;
        supervisor_gen_start(s, GENERATION_CERTS);
    }
}

static int wait_ms(struct supervisor *s, const struct now *now)
{
    struct gen *starting = supervisor_gen_by_state(s, GEN_STARTING);
    int64_t at = s->next_watch_us;

    if (starting && starting->busy && starting->busy_next_us < at)
        at = starting->busy_next_us;
    if (s->want_snapshot_us && s->want_snapshot_us < at)
        at = s->want_snapshot_us;
    if (s->watchdog_us && s->next_watchdog_us < at)
        at = s->next_watchdog_us;
    if (s->kill_us && s->kill_us < at)
        at = s->kill_us;
    if (s->log_again_us > now->mono_us && s->log_again_us < at)
        at = s->log_again_us;
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
        supervisor_death_release(s, now.mono_us);
        if (s->watchdog_us && now.mono_us >= s->next_watchdog_us) {
            notify_send("WATCHDOG=1");
            s->next_watchdog_us = now.mono_us + s->watchdog_us;
        }
        p[n++] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
        /* lines that come close together are read together: waking up for each costs more than the line */
        p[n++] = (struct pollfd){.fd = now.mono_us < s->log_again_us ? -1 : logpipe_read_end(s->log), .events = POLLIN};
        p[n++] = (struct pollfd){.fd = logpipe_wants_write(s->log), .events = POLLOUT};
        for (unsigned i = 0; i < s->gen_count && n < SHARE_SLOTS + 8; i++) {
            numbers[n] = s->gens[i].number;
            p[n++] = (struct pollfd){.fd = s->gens[i].fd, .events = POLLIN};
        }
        if (poll(p, n, wait_ms(s, &now)) < 0 && errno != EINTR)
            break;
        if (p[1].revents || p[2].revents) {
            logpipe_pump(s->log);
            s->log_again_us = clock_now().mono_us + LOG_PAUSE_US;
        }
        for (unsigned i = 3; i < n; i++)
            if (p[i].revents)
                supervisor_message_take(s, numbers[i]);
        if (p[0].revents)
            take_signals(s);
        if (s->stopping && s->gen_count && !supervisor_gen_by_state(s, GEN_ACTIVE) &&
            !supervisor_gen_by_state(s, GEN_STARTING)) {
            for (unsigned i = s->gen_count; i-- > 0;)
                if (!s->gens[i].leader)
                    supervisor_gen_remove(s, &s->gens[i]);
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
    log_open(logpipe_write_end(s->log), LOG_FORMAT_LOGFMT, s->opt->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
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
        supervisor_gen_free(&s.gens[i]);
    free(s.gens);
    sockets_free(&s.sockets);
    logpipe_free(&s.log);
    free(s.room);
    return s.exit_code;
}
