#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "proc/leader_private.h"
#include "proc/report.h"

#define SEND_MS 5000
#define BIND_MS 10000 /* the supervisor retries a busy address for 5 s */

void leader_send(struct leader *l, enum proc_msg type, const void *data, size_t len, const int *fd)
{
    struct err e;

    if (chan_send_wait(l->setup->supervisor_fd, SEND_MS, type, data, len, fd, fd ? 1 : 0, &e) != 1)
        _exit(0); /* the supervisor is gone: so are we, and our children see it */
}

int leader_fail(struct leader *l, const char *text)
{
    size_t n = strlen(text);

    leader_send(l, PROC_FAILED, text, n < CHAN_MAX ? n : CHAN_MAX, NULL);
    return 2;
}

/* Every problem into the log and, as one text, to whoever asked. */
static void say_problems(const struct conf_problems *p, struct buf *text)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct conf_problem *cp = &p->list[i];
        char *line = conf_problem_text(cp);
        struct log_line ll;

        log_begin(&ll, cp->warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, cp->warning ? "config.warning" : "config.error");
        log_str(&ll, "file", cp->file);
        if (cp->line)
            log_int(&ll, "line", cp->line);
        log_str(&ll, "option", cp->option);
        log_str(&ll, "details", cp->text);
        log_str(&ll, "hint", cp->remedy);
        log_end(&ll);
        buf_printf(text, "%s\n", line);
        free(line);
    }
}

static int load(struct leader *l, unsigned *warnings)
{
    const struct leader_setup *s = l->setup;
    struct conf_problems p = {0};
    struct buf text = {0};
    int rc = generation_build(&l->gen, s->mode, s->conf_file, s->last, &p);

    if (rc == 0)
        log_open(s->log_fd, l->gen->conf->log_format,
                 s->verbose && l->gen->conf->log_level < LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : l->gen->conf->log_level);
    if (rc < 0 || s->mode == GENERATION_FULL)
        say_problems(&p, &text);
    if (rc < 0)
        rc = leader_fail(l, p.count ? buf_str(&text) : "the configuration cannot be loaded\n");
    *warnings = p.count - p.errors;
    buf_clear(&text);
    conf_problems_free(&p);
    return rc;
}

/* Asks the supervisor for a socket and waits for it. -1: *why says. */
static int bind_one(struct leader *l, struct proc_bind *b, struct addr *local, struct buf *why)
{
    struct proc_bound bound;
    struct chan_msg m;
    struct err e;

    leader_send(l, PROC_BIND, b, sizeof *b, NULL);
    if (chan_recv_wait(l->setup->supervisor_fd, BIND_MS, l->room, CHAN_MAX + 4, &m, &e) != 1)
        _exit(0);
    if (m.type != PROC_BOUND || !proc_msg_get(&m, &bound, sizeof bound) || bound.id != b->id) {
        chan_msg_close(&m);
        buf_printf(why, "the supervisor answered out of turn\n");
        return -1;
    }
    proc_text_end(bound.text);
    if (bound.error) {
        log_event(LOG_LEVEL_ERROR, "network.bind-error", "%s", bound.text);
        buf_printf(why, "%s\n", bound.text);
        return -1;
    }
    if (local)
        *local = bound.local;
    return chan_msg_take(&m, 0);
}

/* A listener for implicit TLS without a certificate is not opened: it could only disappoint. */
static bool is_open(const struct leader *l, unsigned i)
{
    const struct conf_listener *c = &l->gen->conf->listeners[i];
    struct tls_offer o;

    if (c->tls != CONF_TLS_IMPLICIT)
        return true;
    tls_offer(&o, tls_listener_facts(l->gen->tls[i]), NULL, clock_now().real_us / 1000000);
    return o.serves;
}

static int bind_listener(struct leader *l, unsigned i, struct buf *why)
{
    const struct conf_listener *c = &l->gen->conf->listeners[i];
    int failed = 0;

    for (unsigned a = 0; a < c->address_count; a++) {
        struct proc_bind b = {.id = l->socket_count + 1, .addr = c->addresses[a]};
        struct server_socket *s = &l->sockets[l->socket_count];

        snprintf(b.listener, sizeof b.listener, "%s", c->title);
        s->listener = i;
        s->fd = bind_one(l, &b, &s->local, why);
        if (s->fd < 0)
            failed = -1;
        else
            l->socket_count++;
    }
    return failed;
}

static int bind_control(struct leader *l, struct buf *why)
{
    struct proc_bind b = {.id = 0, .control = true, .uid = l->rights.store.uid, .gid = l->rights.store.gid};

    if (strlen(l->gen->conf->state_dir) >= sizeof b.dir) {
        buf_printf(why, "state-dir: the path is longer than %zu bytes\n", sizeof b.dir - 1);
        return -1;
    }
    snprintf(b.dir, sizeof b.dir, "%s", l->gen->conf->state_dir);
    l->control_fd = bind_one(l, &b, NULL, why);
    return l->control_fd < 0 ? -1 : 0;
}

static int bind_all(struct leader *l)
{
    const struct conf *c = l->gen->conf;
    struct buf why = {0};
    unsigned total = 0;
    int failed, rc = 0;

    for (unsigned i = 0; i < c->listener_count; i++)
        total += c->listeners[i].address_count;
    l->sockets = mem_alloc(sizeof *l->sockets * (total + 1));
    failed = bind_control(l, &why);
    for (unsigned i = 0; i < c->listener_count && failed == 0; i++)
        if (is_open(l, i))
            failed |= bind_listener(l, i, &why);
    if (failed)
        rc = leader_fail(l, buf_str(&why));
    buf_clear(&why);
    return rc;
}

/* without-certificate = refuse-start. */
static int check_refusals(struct leader *l)
{
    const struct conf *c = l->gen->conf;
    int64_t now = clock_now().real_us / 1000000;
    struct buf why = {0};
    int rc = 0;

    for (unsigned i = 0; i < c->listener_count; i++) {
        struct tls_offer o;

        if (!l->gen->tls[i])
            continue;
        tls_offer(&o, tls_listener_facts(l->gen->tls[i]), NULL, now);
        if (o.refuse_start)
            buf_printf(
                &why,
                "listener \"%s\": without-certificate = refuse-start, and its certificate is not usable: %s: %s; %s\n",
                c->listeners[i].title, tls_reason_name(o.reason), o.details ? o.details : "", o.hint ? o.hint : "");
    }
    if (why.len)
        rc = leader_fail(l, buf_str(&why));
    buf_clear(&why);
    return rc;
}

static void hand_over(struct leader *l)
{
    const struct generation *g = l->gen;
    struct proc_log pl = {.target = g->conf->log_target};

    snprintf(pl.file, sizeof pl.file, "%s", g->conf->log_file ? g->conf->log_file : "");
    leader_send(l, PROC_LOG, &pl, sizeof pl, NULL);
    for (unsigned i = 0; i < g->snapshot.count; i++) {
        struct proc_snapshot ps = {.kind = g->snapshot.items[i].kind};

        memcpy(ps.name, g->snapshot.items[i].name, sizeof ps.name);
        leader_send(l, PROC_SNAPSHOT, &ps, sizeof ps, &g->snapshot.items[i].fd);
    }
    for (unsigned i = 0; i < g->watched_count; i++)
        leader_send(l, PROC_WATCH, &g->watched[i], sizeof g->watched[i], NULL);
}

static int fork_store(struct leader *l, struct err *e)
{
    int fd[2];

    if (chan_pair(fd, e) < 0)
        return -1;
    l->store_pid = fork();
    if (l->store_pid < 0)
        return err_set(e, "fork: %s", strerror(errno));
    if (l->store_pid == 0) {
        generation_forget_keys(l->gen);
        _exit(child_store(l->gen->conf, &l->rights.store, fd[1], l->setup->log_fd, l->setup->number));
    }
    close(fd[1]);
    l->store_fd = fd[0];
    return 0;
}

static void run_worker(const struct leader *l, unsigned number, int leader_fd, int store_fd)
{
    struct server_setup s = {
        .conf = l->gen->conf,
        .tls = l->gen->tls,
        .sockets = l->sockets,
        .socket_count = l->socket_count,
        .leader_fd = leader_fd,
        .store_fd = store_fd,
        .share = l->setup->share,
        .slot = l->workers[number].slot,
        .generation = l->setup->number,
        .number = number,
    };

    _exit(child_worker(&s, &l->rights.worker, l->setup->log_fd));
}

int leader_fork_worker(struct leader *l, unsigned number, struct err *e)
{
    struct leader_worker *w = &l->workers[number];
    int mine[2] = {-1, -1}, store[2] = {-1, -1};

    w->slot = share_take(l->setup->share, l->setup->number);
    if (w->slot < 0)
        return err_set(e, "no free slot for another worker");
    if (chan_pair(mine, e) < 0 || chan_pair(store, e) < 0 ||
        chan_send_wait(l->store_fd, SEND_MS, STORE_ADD_WORKER, NULL, 0, &store[1], 1, e) != 1)
        goto fail;
    w->pid = fork();
    if (w->pid < 0) {
        err_set(e, "fork: %s", strerror(errno));
        goto fail;
    }
    if (w->pid == 0)
        run_worker(l, number, mine[1], store[0]);
    close(mine[1]);
    close(store[0]);
    close(store[1]);
    w->fd = mine[0];
    w->ready = w->drained = false;
    w->restart_us = 0;
    leader_introduce(l, w);
    return 0;
fail:
    for (int i = 0; i < 2; i++) {
        if (mine[i] >= 0)
            close(mine[i]);
        if (store[i] >= 0)
            close(store[i]);
    }
    share_release(l->setup->share, w->slot);
    w->slot = -1;
    w->pid = 0;
    return -1;
}

static bool needs_auth(const struct conf *c)
{
    for (unsigned i = 0; i < c->listener_count; i++)
        if (c->listeners[i].role == CONF_ROLE_SUBMISSION)
            return true;
    return false;
}

static bool asks_next_hops(const struct conf *c)
{
    for (unsigned i = 0; i < c->domain_count; i++)
        if (c->domains[i].verify_recipients)
            return true;
    return false;
}

static int fork_all(struct leader *l)
{
    struct err e;

    if (fork_store(l, &e) < 0)
        return leader_fail(l, e.text);
    l->relay.wanted = store_has_queue(l->gen->conf);
    l->let_go = !l->relay.wanted;
    l->asks = asks_next_hops(l->gen->conf);
    if (l->relay.wanted && leader_fork_relay(l, &e) < 0)
        return leader_fail(l, e.text);
    l->auth.wanted = needs_auth(l->gen->conf);
    if (l->auth.wanted && leader_fork_auth(l, &e) < 0)
        return leader_fail(l, e.text);
    l->worker_count = l->gen->conf->workers;
    l->workers = mem_alloc(sizeof *l->workers * l->worker_count);
    for (unsigned i = 0; i < l->worker_count; i++) {
        l->workers[i].fd = l->workers[i].slot = -1;
        if (leader_fork_worker(l, i, &e) < 0)
            return leader_fail(l, e.text);
    }
    return 0;
}

int leader_start(struct leader *l)
{
    struct proc_ready equal = {0};
    unsigned warnings = 0;
    struct err e;
    int rc;

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* keys are in memory: no core, no ptrace */
    rc = load(l, &warnings);
    if (rc)
        return rc;
    equal.look_again_us = l->gen->not_finished_us;
    if (l->setup->mode == GENERATION_CERTS && l->gen->equal_to_last) {
        hand_over(l); /* the watch list is new even where the bytes are not */
        leader_send(l, PROC_EQUAL, &equal, sizeof equal, NULL);
        return -1;
    }
    if (rights_resolve(&l->rights, l->gen->conf, &e) < 0)
        return leader_fail(l, e.text);
    rc = check_refusals(l);
    if (rc == 0)
        rc = bind_all(l);
    if (rc == 0) {
        hand_over(l);
        rc = fork_all(l);
    }
    return rc;
}
