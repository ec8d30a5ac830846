#include "relay/relay_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/text.h"
#include "relay/outbox.h"
#include "relay/verify_server.h"

#define CONNECT_SECONDS                                                                                                \
    30 /* RFC 5321 says nothing of connections; with eight addresses to try, five minutes each is no life */
#define IDLE_SECONDS 30
#define KEPT_SECONDS 300
#define IDLE_MOST 100
#define COUNT_AT_ONCE 65536

/* A transfer, from the store's message until its DONE. Everything in it points into datagram. */
struct work {
    struct work *next, **link;
    struct process *process;
    struct relay_transfer head;
    struct smtp_client_message message;
    struct smtp_client_rcpt rcpts[RELAY_RCPTS];
    struct relay_job job;
    char *datagram;
};

struct process {
    const struct relay_setup *setup;
    struct loop *loop;
    struct relay_desk *desk;
    struct verify_desk *verify;
    struct verify_server *server;
    struct watch *store, *leader;
    struct outbox out; /* to the store */
    struct work *works;
    bool draining;
    char buf[CHAN_MAX + 4];
};

/* ---- to the store */

static void push(struct process *p)
{
    if (outbox_push(&p->out) < 0) { /* the store is gone, and with it all that was to be told */
        loop_stop(p->loop);
        return;
    }
    watch_want(p->store, outbox_waits(&p->out) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void tell(struct process *p, uint32_t type, struct buf *payload)
{
    outbox_send(&p->out, type, payload);
    push(p);
}

static void on_result(void *arg, struct relay_result *r)
{
    struct work *w = arg;
    struct buf b = {0};

    r->number = w->head.number;
    r->index = w->head.rcpts[r->index].index;
    relay_result_encode(&b, r);
    tell(w->process, RELAY_RESULT, &b);
}

static void free_work(struct work *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    if (w->job.fd >= 0)
        close(w->job.fd);
    free(w->datagram);
    free(w);
}

static void on_done(void *arg, enum relay_health health)
{
    struct work *w = arg;
    struct relay_done d = {.number = w->head.number, .health = health};
    struct process *p = w->process;
    struct buf b = {0};

    free_work(w);
    relay_done_encode(&b, &d);
    tell(p, RELAY_DONE, &b);
}

static const struct relay_task_events events = {on_result, on_done};

/* ---- from the store */

static const struct relay_route *find_route(const struct process *p, const char *title)
{
    for (unsigned i = 0; i < p->setup->route_count; i++)
        if (strcmp(p->setup->routes[i].title, title) == 0)
            return &p->setup->routes[i];
    return NULL;
}

/* Line feeds of the content: each is an octet more on the wire, and SIZE= counts them (RFC 1870 5). What cannot be read
 * fails later, where there is somebody to tell. */
static uint64_t count_lines(const struct work *w)
{
    char room[COUNT_AT_ONCE];
    uint64_t lines = 0, done = 0;

    while (done < w->head.size) {
        uint64_t left = w->head.size - done;
        ssize_t n =
            pread(w->job.fd, room, left < sizeof room ? (size_t)left : sizeof room, (off_t)(w->head.offset + done));

        if (n <= 0)
            break;
        for (const char *p = room, *end = room + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
            lines++;
        done += (uint64_t)n;
    }
    return lines;
}

static void fill_message(struct work *w)
{
    static const enum smtp_client_ret ret[] = {SMTP_CLIENT_RET_NONE, SMTP_CLIENT_RET_FULL, SMTP_CLIENT_RET_HDRS};
    const struct relay_transfer *t = &w->head;

    for (uint32_t i = 0; i < t->rcpt_count; i++)
        w->rcpts[i] = (struct smtp_client_rcpt){
            .address = t->rcpts[i].address, .orcpt = t->rcpts[i].orcpt, .notify = t->rcpts[i].notify};
    w->message = (struct smtp_client_message){.sender = t->sender,
                                              .rcpts = w->rcpts,
                                              .rcpt_count = t->rcpt_count,
                                              .size = t->size,
                                              .lines = count_lines(w),
                                              .content_8bit = t->body_8bit,
                                              .smtputf8 = t->smtputf8,
                                              .requiretls = t->requiretls,
                                              .ret = t->ret < 3 ? ret[t->ret] : SMTP_CLIENT_RET_NONE,
                                              .envid = t->envid};
}

/* A reload may have taken the delivery away while the message waited. It may come back. */
static void no_such_route(struct work *w)
{
    char text[300];

    snprintf(text, sizeof text, "the delivery \"%.200s\" is not in the configuration any more", w->head.route);
    for (uint32_t i = 0; i < w->head.rcpt_count; i++) {
        struct relay_result r = {.index = i,
                                 .outcome = RELAY_DEFERRED,
                                 .code = 451,
                                 .enhanced = "4.3.5",
                                 .local = true,
                                 .text = {text, strlen(text)},
                                 .remote = {"", 0},
                                 .tls = {"", 0}};

        on_result(w, &r);
    }
    on_done(w, RELAY_HEALTH_UNREACHABLE);
}

static int start(struct process *p, struct chan_msg *m)
{
    struct work *w = mem_alloc(sizeof *w);

    w->process = p;
    w->next = p->works;
    w->link = &p->works;
    if (p->works)
        p->works->link = &w->next;
    p->works = w;
    w->job.fd = chan_msg_take(m, 0);
    w->datagram = mem_strn(m->data, m->len);
    if (w->job.fd < 0 || relay_transfer_decode(&w->head, w->datagram, m->len) < 0) {
        free_work(w);
        return -1;
    }
    fill_message(w);
    w->job.message = &w->message;
    w->job.offset = w->head.offset;
    w->job.domain = *w->head.domain ? w->head.domain : NULL;
    w->job.route = find_route(p, w->head.route);
    if (w->job.route)
        relay_task_start(p->desk, &w->job, &events, w);
    else
        no_such_route(w);
    return 0;
}

static int take(struct process *p, struct chan_msg *m)
{
    if (m->type == RELAY_TRANSFER)
        return start(p, m);
    if (m->type != RELAY_DRAIN)
        return -1;
    p->draining = true;
    return 0;
}

static void on_store(void *arg, unsigned what)
{
    struct process *p = arg;
    struct chan_msg m;
    struct err e;
    int r = 0;

    if (what & LOOP_WRITE)
        push(p);
    while (what & LOOP_READ && (r = chan_recv(p->setup->store_fd, p->buf, sizeof p->buf, &m, &e)) > 0) {
        if (take(p, &m) < 0) {
            log_event(LOG_LEVEL_ERROR, "relay.bad-order", "a message of type %u from the store is not well-formed",
                      m.type);
            r = -1;
        }
        chan_msg_close(&m);
        if (r < 0)
            break;
    }
    if (r < 0)
        loop_stop(p->loop);
}

/* ---- from the leader */

static int take_order(struct process *p, struct chan_msg *m)
{
    int fd = m->type == RELAY_ADD_WORKER && m->len == 0 && m->nfds == 1 ? chan_msg_take(m, 0) : -1;

    if (fd < 0) {
        log_event(LOG_LEVEL_ERROR, "relay.bad-order", "a message of type %u from the leader is not well-formed",
                  m->type);
        return -1;
    }
    verify_server_add(p->server, fd);
    return 0;
}

static void on_leader(void *arg, unsigned what)
{
    struct process *p = arg;
    struct chan_msg m;
    int r;

    (void)what;
    while ((r = chan_recv(p->setup->leader_fd, p->buf, sizeof p->buf, &m, NULL)) > 0) {
        r = take_order(p, &m);
        chan_msg_close(&m);
        if (r < 0)
            break;
    }
    if (r < 0)
        loop_stop(p->loop);
}

/* ---- the process */

/* Sessions of a generation that drains may still have questions. */
static bool is_over(const struct process *p)
{
    return p->draining && relay_desk_busy(p->desk) == 0 && !outbox_waits(&p->out) &&
           verify_server_workers(p->server) == 0;
}

static void turn_end(void *arg)
{
    struct process *p = arg;

    verify_desk_turn(p->verify);
    relay_desk_turn(p->desk);
    if (is_over(p))
        loop_stop(p->loop);
}

static void tick(void *arg)
{
    struct process *p = arg;

    verify_desk_tick(p->verify);
    relay_desk_tick(p->desk);
}

static void on_dns(void *arg, unsigned what)
{
    (void)what;
    dns_process(arg);
}

int relay_run(const struct relay_setup *s)
{
    struct process *p = mem_alloc(sizeof *p);
    struct relay_desk_setup d = {.tls = s->tls,
                                 .dns = s->dns,
                                 .hostname = s->hostname,
                                 .connect_timeout = CONNECT_SECONDS,
                                 .idle_seconds = IDLE_SECONDS,
                                 .kept_seconds = KEPT_SECONDS,
                                 .idle_most = IDLE_MOST};
    struct verify_desk_setup v = verify_desk_default;
    struct watch *dns = NULL;
    struct err e;

    p->setup = s;
    p->out.fd = s->store_fd;
    if (loop_new(&p->loop, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "relay.failed", "%s", e.text);
        free(p);
        return 71; /* EX_OSERR */
    }
    d.loop = p->loop;
    p->desk = relay_desk_new(&d);
    v.loop = p->loop;
    v.relay = p->desk;
    v.routes = s->routes;
    v.route_count = s->route_count;
    p->verify = verify_desk_new(&v);
    p->server = verify_server_new(p->loop, p->verify);
    p->store = watch_new(p->loop, s->store_fd, on_store, p);
    p->leader = watch_new(p->loop, s->leader_fd, on_leader, p);
    watch_want(p->store, LOOP_READ);
    watch_want(p->leader, LOOP_READ);
    if (s->dns) {
        dns = watch_new(p->loop, dns_fd(s->dns), on_dns, s->dns);
        watch_want(dns, LOOP_READ);
    }
    loop_ticker(p->loop, 1000000, tick, p);
    loop_run(p->loop, turn_end, p);
    watch_free(&dns);
    watch_free(&p->store);
    watch_free(&p->leader);
    verify_server_free(&p->server);
    verify_desk_free(&p->verify);
    relay_desk_free(&p->desk);
    while (p->works)
        free_work(p->works);
    loop_free(&p->loop);
    outbox_clear(&p->out);
    free(p);
    return 0;
}
