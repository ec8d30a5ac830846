/* Transfers: what is due goes to the relay, what it says goes into the message's state and towards its log. */
#include "sink/queue_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define LEAVING_MOST 1000u /* messages that are sent, while the disk is slower than the relay */

/* ---- relays */

void queue_run_relay(struct queue *q, int fd)
{
    struct queue_relay *to = NULL;

    for (unsigned i = 0; i < QUEUE_RELAYS; i++) {
        if (q->relays[i].fd < 0)
            to = &q->relays[i];
        else
            q->relays[i].draining = true;
    }
    if (!to) { /* relays that do not end: the first one has had its time */
        to = &q->relays[0];
        queue_run_end(q, to);
    }
    *to = (struct queue_relay){.fd = fd};
    queue_run_drain(q);
}

/* Tells those that shall end. */
void queue_run_drain(struct queue *q)
{
    for (unsigned i = 0; i < QUEUE_RELAYS; i++) {
        struct queue_relay *r = &q->relays[i];

        r->draining |= q->draining;
        if (r->fd < 0 || !r->draining || r->drain_sent)
            continue;
        switch (chan_send(r->fd, RELAY_DRAIN, NULL, 0, NULL, 0, NULL)) {
        case 1:
            r->drain_sent = true;
            break;
        case 0:
            r->blocked = true;
            break;
        default:
            queue_run_end(q, r);
        }
    }
}

static struct queue_relay *a_relay(struct queue *q)
{
    for (unsigned i = 0; i < QUEUE_RELAYS; i++)
        if (q->relays[i].fd >= 0 && !q->relays[i].draining && !q->relays[i].blocked)
            return &q->relays[i];
    return NULL;
}

static void drop_transfer(struct queue *q, struct queue_transfer *t)
{
    struct queue_transfer **at = &q->transfers;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    queue_table_ended(&q->table, t->job);
    queue_touch(q, t->job->message);
    free(t);
}

void queue_run_end(struct queue *q, struct queue_relay *r)
{
    struct queue_transfer *t, *next;

    if (r->fd < 0)
        return;
    for (t = q->transfers; t; t = next) {
        next = t->next;
        if (t->relay == r)
            drop_transfer(q, t);
    }
    close(r->fd);
    *r = (struct queue_relay){.fd = -1};
}

/* ---- starting */

/* Those with the fewest tries, as many as one datagram and one transfer take. */
static void choose_rcpts(const struct queue *q, struct queue_transfer *t, struct relay_transfer *msg)
{
    const struct queue_loaded *l = t->job->message->file;
    size_t bytes = 0;

    for (uint32_t i = 0; i < l->head->rcpt_count && t->count < RELAY_RCPTS; i++) {
        const struct queue_rcpt *r = &l->head->rcpts[i];
        struct relay_rcpt *to = &msg->rcpts[t->count];

        if (l->state->rcpts[i].state != QUEUE_WAITING || l->state->rcpts[i].tries != t->job->tries ||
            !queue_job_has(&q->table, t->job, r))
            continue;
        *to = (struct relay_rcpt){i, r->notify, r->address.p, r->orcpt.p};
        if (!relay_transfer_fits(&bytes, msg, to))
            break;
        t->rcpt[t->count++] = i;
    }
    msg->rcpt_count = t->count;
}

static void fill(struct relay_transfer *msg, const struct queue_job *j, uint32_t number)
{
    const struct queue_loaded *l = j->message->file;
    const struct queue_head *h = l->head;

    *msg = (struct relay_transfer){
        .number = number,
        .size = h->size,
        .offset = l->content_at,
        .body_8bit = h->body_8bit,
        .smtputf8 = h->smtputf8,
        .requiretls = h->requiretls,
        .ret = (uint8_t)h->ret,
        .id = h->id,
        .route = j->destination->route,
        .domain = j->destination->domain,
        .sender = h->sender.p,
        .envid = h->envid.p,
        .auth = h->auth.p,
    };
}

/* chan_send()'s answer; -1 also when the file is not there any more, which the next load finds out. */
static int send_transfer(struct queue *q, struct queue_relay *r, const struct relay_transfer *msg)
{
    struct buf b = {0};
    int fd = queue_disk_open(&q->disk, msg->id), rc = -1;

    relay_transfer_encode(&b, msg);
    if (fd >= 0) {
        rc = chan_send(r->fd, RELAY_TRANSFER, buf_data(&b), b.len, &fd, 1, NULL);
        close(fd);
        if (rc < 0)
            queue_run_end(q, r);
        else if (rc == 0)
            r->blocked = true;
    }
    buf_clear(&b);
    return rc;
}

/* False: no relay has room. */
static bool start(struct queue *q, struct queue_relay *r, struct queue_job *j)
{
    static _Thread_local struct relay_transfer msg;
    struct queue_message *m = j->message;
    struct queue_transfer *t;
    int rc;

    if (queue_need_file(q, m) < 0)
        return true;
    t = mem_alloc(sizeof *t);
    t->job = j;
    t->relay = r;
    t->number = q->next_number++;
    fill(&msg, j, t->number);
    choose_rcpts(q, t, &msg);
    rc = t->count ? send_transfer(q, r, &msg) : -1;
    if (rc == 1) {
        t->next = q->transfers;
        q->transfers = t;
        queue_table_started(&q->table, j);
        return true;
    }
    free(t);
    if (!m->running && !m->lines.len) /* what waits to be written is in its state already */
        queue_loaded_free(&m->file);
    if (rc < 0 && r->fd >= 0) { /* the fault is the message's: not again before a while */
        heap_put(&j->destination->jobs, &j->node, q->now_us + QUEUE_RETRY_US);
        queue_table_health(&q->table, j->destination, true, "", q->now_us);
        return true;
    }
    return false;
}

void queue_run_start(struct queue *q)
{
    struct queue_job *j;
    struct queue_relay *r;

    while (q->table.running < q->limits.transfers && q->leaving < LEAVING_MOST && (r = a_relay(q)) &&
           (j = queue_table_next(&q->table, q->now_us)))
        if (!start(q, r, j) && !a_relay(q))
            break;
}

/* ---- what the relay says */

static struct queue_transfer *find(const struct queue *q, const struct queue_relay *r, uint32_t number)
{
    struct queue_transfer *t = q->transfers;

    while (t && (t->number != number || t->relay != r))
        t = t->next;
    return t;
}

static void say_result(const struct queue_message *m, const struct queue_transfer *t, const struct relay_result *r)
{
    static const char *const event[] = {"queue.delivered", "queue.relayed", "queue.deferred", "queue.failed"};
    const struct queue_rcpt *rcpt = &m->file->head->rcpts[r->index];
    struct log_line l;

    log_begin(&l, r->outcome == RELAY_FAILED ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, event[r->outcome]);
    log_str(&l, "id", m->id);
    log_peer(&l, "to", rcpt->address);
    log_str(&l, "delivery", t->job->destination->route);
    log_peer(&l, "remote", r->remote);
    log_int(&l, "code", r->code);
    log_str(&l, "enhanced", r->enhanced);
    log_peer(&l, "details", r->text);
    log_peer(&l, "tls", r->tls);
    log_int(&l, "tries", m->file->state->rcpts[r->index].tries);
    log_end(&l);
}

static void remember_reason(struct queue_transfer *t, const struct relay_result *r)
{
    struct buf b = {0};

    buf_printf(&b, "%u %s ", r->code, r->enhanced);
    if (r->remote.n)
        buf_printf(&b, "%.*s: ", (int)r->remote.n, r->remote.p);
    buf_append(&b, r->text.p, r->text.n);
    text_escape(t->reason, sizeof t->reason, (struct peer_text){buf_data(&b), b.len});
    buf_clear(&b);
}

static int take_result(struct queue *q, struct queue_relay *relay, const struct chan_msg *msg)
{
    static const enum queue_entry_kind kind[] = {QUEUE_ENTRY_DELIVERED, QUEUE_ENTRY_RELAYED, QUEUE_ENTRY_DEFERRED,
                                                 QUEUE_ENTRY_FAILED};
    struct relay_result r;
    struct queue_transfer *t;
    struct queue_message *m;
    struct queue_entry en;
    uint32_t i = 0;

    if (relay_result_decode(&r, msg->data, msg->len) < 0 || !(t = find(q, relay, r.number)))
        return -1;
    while (i < t->count && t->rcpt[i] != r.index)
        i++;
    if (i == t->count || t->got[i])
        return -1;
    t->got[i] = true;
    m = t->job->message;
    en = (struct queue_entry){.at_us = q->now_us,
                              .kind = kind[r.outcome],
                              .rcpt = r.index,
                              .try = m->file->state->rcpts[r.index].tries + 1,
                              .reply = {.code = r.code, .remote = r.remote, .text = r.text}};
    memcpy(en.reply.enhanced, r.enhanced, sizeof en.reply.enhanced);
    en.reply.said = !r.remote.n ? QUEUE_SAID_HERE : r.local ? QUEUE_SAID_AT : QUEUE_SAID_BY;
    if (r.tls.n)
        en.reply.tls = r.tls;
    queue_take_entry(m, &en);
    say_result(m, t, &r);
    if (r.outcome == RELAY_DEFERRED)
        remember_reason(t, &r);
    queue_touch(q, m);
    return 0;
}

static void say_health(const struct queue_destination *d, bool reached)
{
    struct log_line l;

    log_begin(&l, reached ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              reached ? "queue.destination-up" : "queue.destination-down");
    log_str(&l, "delivery", d->route);
    log_str(&l, "domain", d->domain);
    log_str(&l, "details", d->reason);
    log_end(&l);
}

static int take_done(struct queue *q, struct queue_relay *relay, const struct chan_msg *msg)
{
    struct relay_done done;
    struct queue_transfer *t;
    struct queue_destination *d;
    bool reached, was_down;

    if (relay_done_decode(&done, msg->data, msg->len) < 0 || !(t = find(q, relay, done.number)))
        return -1;
    for (uint32_t i = 0; i < t->count; i++)
        if (!t->got[i])
            return -1;
    d = t->job->destination;
    reached = done.health == RELAY_HEALTH_GOOD;
    was_down = d->failures > 0;
    queue_table_health(&q->table, d, reached, t->reason, q->now_us);
    if (was_down != !reached)
        say_health(d, reached);
    drop_transfer(q, t);
    return 0;
}

void queue_run_readable(struct queue *q, struct queue_relay *r)
{
    struct chan_msg msg;
    int got, rc = 0;

    while (rc == 0 && (got = chan_recv(r->fd, q->room, sizeof q->room, &msg, NULL)) != 0) {
        if (got < 0) {
            rc = -1;
            break;
        }
        rc = msg.type == RELAY_RESULT ? take_result(q, r, &msg) : msg.type == RELAY_DONE ? take_done(q, r, &msg) : -1;
        chan_msg_close(&msg);
        if (rc < 0)
            log_event(LOG_LEVEL_ERROR, "queue.relay-nonsense", "a message of type %u that no relay of ours sends",
                      msg.type);
    }
    if (rc < 0)
        queue_run_end(q, r);
}
