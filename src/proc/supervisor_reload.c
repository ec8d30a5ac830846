/* What became of a generation that was started: it serves, it is equal, or it failed; and who wants to know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "proc/notify.h"
#include "proc/supervisor_private.h"

#define GENERATIONS_MOST 4 /* when a fifth appears, the oldest is asked to end */

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
                supervisor_gen_order(&s->gens[g], PROC_RELOAD_RESULT, r, size);
    }
    s->asker_count = kept;
    if (kept)
        s->want_full = true;
    free(r);
}

void supervisor_reload_failed(struct supervisor *s, struct gen *g, const char *text)
{
    if (!s->was_active) {
        fprintf(stderr, "%s", text);
        s->exit_code = 2;
        return;
    }
    log_event(LOG_LEVEL_ERROR, "tls.reload-failed", "generation %u is not taken, the one before serves on: %.900s",
              g->number, text);
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
            supervisor_gen_order(g, PROC_DRAIN, NULL, 0);
        }
        supervisor_gen_clear_snapshot(&g->snapshot); /* the new one's counts now */
        alive++;
    }
    for (unsigned i = 0; i < s->gen_count && alive >= GENERATIONS_MOST; i++) {
        if (s->gens[i].state != GEN_DRAINING || !s->gens[i].leader)
            continue;
        alive--;
        if (!s->gens[i].close_said)
            supervisor_gen_order(&s->gens[i], PROC_CLOSE_OLD, NULL, 0);
        s->gens[i].close_said = true;
    }
}

void supervisor_reload_ready(struct supervisor *s, struct gen *g, const struct proc_ready *r)
{
    char text[128];

    if (s->stopping)
        return;
    /* First the new ones accept, then the old ones stop: there is no moment without anybody. */
    supervisor_gen_order(g, PROC_ACTIVATE, NULL, 0);
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

            supervisor_gen_remove(s, &s->gens[i]);
            g = &s->gens[i < mine ? mine - 1 : mine];
        }
    snprintf(text, sizeof text, "READY=1\nMAINPID=%d\nSTATUS=generation %u serves", (int)getpid(), g->number);
    notify_send(text);
    log_event(LOG_LEVEL_INFO, g->number == 1 ? "server.startup" : "tls.reload-completed", "generation %u serves",
              g->number);
    snprintf(text, sizeof text, "generation %u serves\n", g->number);
    answer_askers(s, true, text);
    supervisor_gen_changed(s);
}

void supervisor_reload_equal(struct supervisor *s, struct gen *g, const struct proc_ready *r)
{
    struct gen *active = supervisor_gen_by_state(s, GEN_ACTIVE);

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
