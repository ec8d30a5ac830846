/* A leader that ends, as it should or not. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/supervisor_private.h"

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

void supervisor_death_release(struct supervisor *s, int64_t now)
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

    supervisor_message_take(s, g->number);
    orphan(s, g->number);
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    if (state == GEN_ACTIVE && !s->stopping) {
        say_death(g, status);
        g->leader = 0; /* stays in the list for its snapshot */
        g->state = GEN_DRAINING;
        s->want_snapshot_us = now + backoff_delay_us(&s->backoff, now) + 1;
        supervisor_gen_changed(s);
        return;
    }
    if (state == GEN_STARTING && !s->stopping && (!clean || g->failure)) {
        char text[160];

        snprintf(text, sizeof text, "the process that loads the configuration died (%s %d)\n",
                 WIFSIGNALED(status) ? "signal" : "exit code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (!g->failure)
            say_death(g, status);
        supervisor_reload_failed(s, g, g->failure ? g->failure : text);
        if (g->mode == GENERATION_SNAPSHOT)
            s->want_snapshot_us = now + backoff_delay_us(&s->backoff, now) + 1;
    }
    supervisor_gen_remove(s, g);
}

void supervisor_death_reap(struct supervisor *s)
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
