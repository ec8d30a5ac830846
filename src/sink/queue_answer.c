#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "sink/fsops.h"
#include "sink/queue_private.h"
#include "smtp/mail_path.h"

#define PIECE 65536u

struct answer {
    struct queue *q;
    struct queue_request r;
    struct buf out;
    int fd;
    uint64_t count, skipped;
};

/* ---- JSON */

static void put_string(struct buf *out, struct peer_text t)
{
    bool utf8 = mail_path_is_utf8((struct span){t.p, t.n});

    buf_append(out, "\"", 1);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            buf_printf(out, "\\u%04x", c);
        else
            buf_append(out, t.p + i, 1);
    }
    buf_append(out, "\"", 1);
}

static void put_key(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    put_string(out, (struct peer_text){value, strlen(value)});
}

static void put_text(struct buf *out, const char *key, struct peer_text t)
{
    if (!t.p)
        return;
    buf_printf(out, ",\"%s\":", key);
    put_string(out, t);
}

static void put_time(struct buf *out, const char *key, int64_t us)
{
    char time[QUEUE_FILE_TIME];

    queue_file_time(time, us);
    buf_printf(out, ",\"%s\":\"%s\"", key, time);
}

static void send_out(struct answer *a, size_t at_least)
{
    while (a->out.len > at_least) {
        ssize_t n = write(a->fd, buf_data(&a->out), a->out.len);

        if (n <= 0) { /* nobody reads any more */
            buf_clear(&a->out);
            return;
        }
        buf_consume(&a->out, (size_t)n);
    }
}

/* ---- list, show, status */

static void put_message(struct buf *out, const struct queue *q, const struct queue_message *m)
{
    buf_printf(out, "{\"id\":\"%s\"", m->id);
    put_time(out, "arrived", m->arrived_us);
    buf_printf(out, ",\"age\":%" PRId64 ",\"size\":%" PRIu64, (q->now_us - m->arrived_us) / 1000000, m->size);
    put_key(out, "from", m->sender);
    buf_printf(out, ",\"rcpts\":%u,\"waiting\":%u,\"tries\":%u,\"held\":%s,\"running\":%s", m->rcpts, m->waiting,
               m->tries, m->held ? "true" : "false", m->running ? "true" : "false");
}

static int64_t next_of(const struct queue_message *m)
{
    int64_t next = QUEUE_NEVER;

    for (const struct queue_job *j = m->jobs; j; j = j->next) {
        int64_t at = j->node.key > j->destination->not_before_us ? j->node.key : j->destination->not_before_us;

        if (j->node.at && at < next)
            next = at;
    }
    return next;
}

static void list_one(struct answer *a, const struct queue_message *m)
{
    const char *comma = "", *reason = NULL;

    put_message(&a->out, a->q, m);
    if (next_of(m) != QUEUE_NEVER)
        put_time(&a->out, "next", next_of(m));
    buf_printf(&a->out, ",\"destinations\":[");
    for (const struct queue_job *j = m->jobs; j; j = j->next, comma = ",") {
        const struct queue_destination *d = j->destination;

        buf_printf(&a->out, "%s", comma);
        put_string(&a->out,
                   (struct peer_text){*d->domain ? d->domain : d->route, strlen(*d->domain ? d->domain : d->route)});
        reason = j->tries && d->reason ? d->reason : reason;
    }
    buf_printf(&a->out, "]");
    if (reason)
        put_key(&a->out, "reason", reason);
    buf_printf(&a->out, "}\n");
    send_out(a, PIECE);
}

static void put_notify(struct buf *out, unsigned notify)
{
    static const char *const word[] = {"never", "success", "failure", "delay"};
    const char *comma = "";

    if (!notify)
        return;
    buf_printf(out, ",\"notify\":[");
    for (unsigned i = 0; i < 4; i++) {
        if (notify & 1u << i) {
            buf_printf(out, "%s\"%s\"", comma, word[i]);
            comma = ",";
        }
    }
    buf_printf(out, "]");
}

static void put_rcpt(struct buf *out, const struct queue_rcpt *r, const struct queue_rcpt_log *log)
{
    buf_printf(out, "{\"address\":");
    put_string(out, r->address);
    put_text(out, "route", r->route);
    put_text(out, "orcpt", r->orcpt);
    put_notify(out, r->notify);
    put_key(out, "state", queue_rcpt_state_name(log->state));
    buf_printf(out, ",\"tries\":%u", log->tries);
    if (log->last_try_us)
        put_time(out, "lastTry", log->last_try_us);
    if (log->reply.code) {
        buf_printf(out, ",\"code\":%u", log->reply.code);
        put_key(out, "enhanced", log->reply.enhanced);
        put_text(out, "text", log->reply.text);
        put_text(out, "server", log->reply.remote);
        put_text(out, "tls", log->reply.tls);
        buf_printf(out, ",\"ours\":%s", log->reply.said == QUEUE_SAID_BY ? "false" : "true");
    }
    buf_printf(out, "}");
}

static void show_one(struct answer *a, const struct queue_message *m)
{
    const struct queue_head *h = m->file->head;

    put_message(&a->out, a->q, m);
    if (next_of(m) != QUEUE_NEVER)
        put_time(&a->out, "next", next_of(m));
    put_time(&a->out, "until", m->arrived_us + a->q->table.retry.max_age_us);
    put_text(&a->out, "auth", h->auth);
    put_text(&a->out, "clientIp", h->client_ip);
    put_text(&a->out, "clientName", h->client_name);
    put_text(&a->out, "envid", h->envid);
    buf_printf(&a->out, ",\"requiretls\":%s,\"smtputf8\":%s,\"body8bit\":%s,\"recipients\":[",
               h->requiretls ? "true" : "false", h->smtputf8 ? "true" : "false", h->body_8bit ? "true" : "false");
    for (uint32_t i = 0; i < h->rcpt_count; i++) {
        buf_printf(&a->out, i ? "," : "");
        put_rcpt(&a->out, &h->rcpts[i], &m->file->state->rcpts[i]);
    }
    buf_printf(&a->out, "]}\n");
}

static void status(struct answer *a)
{
    const struct queue *q = a->q;
    uint64_t held = 0, down = 0;

    for (const struct queue_message *m = q->table.oldest; m; m = m->newer)
        held += m->held;
    for (uint32_t i = 0; i < q->table.destination_cap; i++)
        for (const struct queue_destination *d = q->table.destinations[i]; d; d = d->chain)
            down += d->failures > 0;
    buf_printf(&a->out,
               "{\"messages\":%u,\"bytes\":%" PRIu64 ",\"held\":%" PRIu64
               ",\"running\":%u,\"destinationsDown\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"scanning\":%s}\n",
               q->table.count, q->table.bytes, held, q->table.running, down, q->damaged, q->scan ? "true" : "false");
}

/* ---- which */

static bool has_domain(struct answer *a, struct queue_message *m)
{
    bool had = m->file != NULL, found = false;

    if (queue_need_file(a->q, m) < 0)
        return false;
    for (uint32_t i = 0; i < m->file->head->rcpt_count && !found; i++) {
        char domain[256];

        queue_table_domain(domain, m->file->head->rcpts[i].address);
        found = m->file->state->rcpts[i].state == QUEUE_WAITING && strcmp(domain, a->r.domain) == 0;
    }
    if (!had)
        queue_loaded_free(&m->file);
    return found;
}

static bool fits(struct answer *a, struct queue_message *m)
{
    const struct queue_request *r = &a->r;

    return !m->gone && (!*r->id || strcmp(r->id, m->id) == 0) && (!r->held || m->held) &&
           (!r->by_sender || strcmp(r->from, m->sender) == 0) &&
           (!r->older_us || a->q->now_us - m->arrived_us >= r->older_us) && (!*r->domain || has_domain(a, m));
}

/* ---- what is done to one; the caller has seen that it fits */

static void retry(struct answer *a, struct queue_message *m)
{
    struct queue_table *t = &a->q->table;

    for (struct queue_job *j = m->jobs; j; j = j->next) {
        if (!j->node.at)
            continue;
        heap_put(&j->destination->jobs, &j->node, a->q->now_us);
        queue_table_forgive(t, j->destination);
    }
    a->count++;
}

/* One flush of the whole file system follows for all of them. */
static void note(struct answer *a, struct queue_message *m, enum queue_entry_kind kind)
{
    struct queue_entry en = {.at_us = a->q->now_us, .kind = kind, .text = {"by the operator", 15}};
    struct err e = {""};

    if (m->held == (kind == QUEUE_ENTRY_HELD)) {
        a->count++;
        return;
    }
    if (queue_need_file(a->q, m) < 0)
        return;
    queue_take_entry(m, &en);
    if (queue_disk_append(&a->q->disk, m->id, m->file, &m->lines, false, &e) == 0) {
        buf_clear(&m->lines);
        queue_table_refresh(&a->q->table, m, m->file, a->q->now_us);
        a->count++;
    } else {
        a->skipped++;
        queue_touch(a->q, m);
    }
    if (!m->running && !m->lines.len)
        queue_loaded_free(&m->file);
}

static void delete (struct answer *a, struct queue_message *m)
{
    struct err e = {""};

    if (queue_disk_remove(&a->q->disk, m->id, &e) < 0) {
        a->skipped++;
        return;
    }
    log_event(LOG_LEVEL_INFO, "queue.deleted", "%s, by the operator", m->id);
    a->count++;
    m->gone = true; /* what runs may still get through: the relay has begun */
    queue_touch(a->q, m);
}

static void do_one(struct answer *a, struct queue_message *m)
{
    switch (a->r.verb) {
    case QUEUE_LIST:
        list_one(a, m);
        a->count++;
        break;
    case QUEUE_SHOW:
        if (queue_need_file(a->q, m) < 0)
            return;
        show_one(a, m);
        if (!m->running && !m->lines.len)
            queue_loaded_free(&m->file);
        a->count++;
        break;
    case QUEUE_RETRY:
    case QUEUE_FLUSH:
        retry(a, m);
        break;
    case QUEUE_HOLD:
        note(a, m, QUEUE_ENTRY_HELD);
        break;
    case QUEUE_RELEASE:
        note(a, m, QUEUE_ENTRY_RELEASED);
        break;
    case QUEUE_DELETE:
        delete (a, m);
        break;
    case QUEUE_STATUS:
        break;
    }
}

static void do_all(struct answer *a)
{
    struct queue_message *m = a->q->table.oldest, *next;

    if (*a->r.id) {
        m = queue_table_find(&a->q->table, span_str(a->r.id));
        if (m && fits(a, m))
            do_one(a, m);
        return;
    }
    for (; m; m = next) {
        next = m->newer;
        if (fits(a, m))
            do_one(a, m);
    }
}

static void fail(struct answer *a, const char *text)
{
    buf_printf(&a->out, "{\"ok\":false");
    put_key(&a->out, "error", text);
    buf_printf(&a->out, "}\n");
}

void queue_answer(struct queue *q, struct span request, int fd)
{
    struct answer a = {.q = q, .fd = fd};
    struct err e = {""};

    if (queue_command_parse(&a.r, request, &e) < 0) {
        fail(&a, e.text);
    } else if (!q->scheduling) {
        fail(&a, "the queue is being handed over from one process to the next; try again in a moment");
    } else {
        if (a.r.verb == QUEUE_STATUS)
            status(&a);
        else
            do_all(&a);
        if (a.r.verb == QUEUE_HOLD || a.r.verb == QUEUE_RELEASE)
            (void)fsops->flush_fs(q->disk.dir);
        if (*a.r.id && a.count == 0 && a.skipped == 0)
            fail(&a, "there is no such message");
        else if (a.skipped)
            fail(&a, "not all of them could be written; the log says why");
        else
            buf_printf(&a.out, "{\"ok\":true,\"count\":%" PRIu64 "}\n", a.count);
    }
    send_out(&a, 0);
    buf_clear(&a.out);
}
