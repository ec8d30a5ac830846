/* Messages of the queue as JSON, one object in each line, in ASCII. */
#include <inttypes.h>
#include <string.h>

#include "sink/queue_private.h"
#include "smtp/mail_path.h"

/* One letter of UTF-8 that mail_path_is_utf8() has seen. */
static size_t letter(const unsigned char *p, uint32_t *out)
{
    unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;

    *out = more == 0 ? *p : *p & (0x3fu >> more);
    for (unsigned i = 1; i <= more; i++)
        *out = *out << 6 | (p[i] & 0x3f);
    return more + 1;
}

/* ASCII alone: what a peer sent comes to a terminal, and the control characters of U+0080 to U+009F steer some, too.
 * Bytes that are no UTF-8 are taken for Latin-1, so that they are seen at all. */
static void put_string(struct buf *out, struct peer_text t)
{
    const unsigned char *p = (const unsigned char *)t.p, *end = p + t.n;
    bool utf8 = mail_path_is_utf8((struct span){t.p, t.n});

    buf_append(out, "\"", 1);
    while (p < end) {
        uint32_t c = *p;

        p += utf8 ? letter(p, &c) : 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", (int)c);
        else if (c > 0xffff)
            buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        else if (c < 0x20 || c >= 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append(out, &(char){(char)c}, 1);
    }
    buf_append(out, "\"", 1);
}

void queue_json_key(struct buf *out, const char *key, const char *value)
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

static void put_message(struct buf *out, const struct queue *q, const struct queue_message *m)
{
    buf_printf(out, "{\"id\":\"%s\"", m->id);
    put_time(out, "arrived", m->arrived_us);
    buf_printf(out, ",\"age\":%" PRId64 ",\"size\":%" PRIu64, (q->now_us - m->arrived_us) / 1000000, m->size);
    queue_json_key(out, "from", m->sender);
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

void queue_json_line(struct buf *out, const struct queue *q, const struct queue_message *m)
{
    const char *comma = "", *reason = NULL;

    put_message(out, q, m);
    if (next_of(m) != QUEUE_NEVER)
        put_time(out, "next", next_of(m));
    buf_printf(out, ",\"destinations\":[");
    for (const struct queue_job *j = m->jobs; j; j = j->next, comma = ",") {
        const struct queue_destination *d = j->destination;

        buf_printf(out, "%s", comma);
        put_string(out,
                   (struct peer_text){*d->domain ? d->domain : d->route, strlen(*d->domain ? d->domain : d->route)});
        reason = j->tries && d->reason ? d->reason : reason;
    }
    buf_printf(out, "]");
    if (reason)
        queue_json_key(out, "reason", reason);
    buf_printf(out, "}\n");
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
    queue_json_key(out, "state", queue_rcpt_state_name(log->state));
    buf_printf(out, ",\"tries\":%u", log->tries);
    if (log->last_try_us)
        put_time(out, "lastTry", log->last_try_us);
    if (log->reply.code) {
        buf_printf(out, ",\"code\":%u", log->reply.code);
        queue_json_key(out, "enhanced", log->reply.enhanced);
        put_text(out, "text", log->reply.text);
        put_text(out, "server", log->reply.remote);
        put_text(out, "tls", log->reply.tls);
        buf_printf(out, ",\"ours\":%s", log->reply.said == QUEUE_SAID_BY ? "false" : "true");
    }
    buf_printf(out, "}");
}

void queue_json_whole(struct buf *out, const struct queue *q, const struct queue_message *m)
{
    const struct queue_head *h = m->file->head;

    put_message(out, q, m);
    if (next_of(m) != QUEUE_NEVER)
        put_time(out, "next", next_of(m));
    put_time(out, "until", m->arrived_us + q->table.retry.max_age_us);
    put_text(out, "auth", h->auth);
    put_text(out, "clientIp", h->client_ip);
    put_text(out, "clientName", h->client_name);
    put_text(out, "envid", h->envid);
    buf_printf(out, ",\"requiretls\":%s,\"smtputf8\":%s,\"body8bit\":%s,\"recipients\":[",
               h->requiretls ? "true" : "false", h->smtputf8 ? "true" : "false", h->body_8bit ? "true" : "false");
    for (uint32_t i = 0; i < h->rcpt_count; i++) {
        buf_printf(out, i ? "," : "");
        put_rcpt(out, &h->rcpts[i], &m->file->state->rcpts[i]);
    }
    buf_printf(out, "]}\n");
}

void queue_json_status(struct buf *out, const struct queue *q)
{
    uint64_t held = 0, down = 0;

    for (const struct queue_message *m = q->table.oldest; m; m = m->newer)
        held += m->held;
    for (uint32_t i = 0; i < q->table.destination_cap; i++)
        for (const struct queue_destination *d = q->table.destinations[i]; d; d = d->chain)
            down += d->failures > 0;
    buf_printf(out,
               "{\"messages\":%u,\"bytes\":%" PRIu64 ",\"held\":%" PRIu64
               ",\"running\":%u,\"destinationsDown\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"scanning\":%s}\n",
               q->table.count, q->table.bytes, held, q->table.running, down, q->damaged, q->scan ? "true" : "false");
}
