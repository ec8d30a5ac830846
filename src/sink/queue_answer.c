/* Commands: many messages are worked through in turns, between which the queue goes on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/fsops.h"
#include "sink/queue_private.h"

#define PIECE 65536u                   /* no more than about this waits for whoever asked */
#define TURN_US INT64_C(20000)         /* then transfers have their turn */
#define READER_US INT64_C(600000000)   /* somebody reads a list page by page */
#define TAKE_OVER_US INT64_C(10000000) /* a reload is over then, or transfers hold it up */
#define HANDED_OVER "the queue is being handed over from one process to the next; try again in a moment"

/* A question on its way: for the next turn, or for its reader. */
struct queue_talk {
    struct queue_talk *next;
    struct queue_request r;
    struct queue_message *at; /* the next to be looked at */
    bool begun, over;         /* over: the last line is made */
    bool deaf;                /* nobody reads */
    int fd;
    struct buf out;
    uint64_t count, skipped;
    int64_t moved_us; /* monotonic: asked, or bytes taken */
};

/* ---- which */

static bool has_domain(struct queue *q, const struct queue_talk *t, struct queue_message *m)
{
    bool had = m->file != NULL, found = false;

    if (queue_need_file(q, m) < 0)
        return false;
    for (uint32_t i = 0; i < m->file->head->rcpt_count && !found; i++) {
        char domain[256];

        queue_table_domain(domain, m->file->head->rcpts[i].address);
        found = m->file->state->rcpts[i].state == QUEUE_WAITING && strcmp(domain, t->r.domain) == 0;
    }
    if (!had)
        queue_loaded_free(&m->file);
    return found;
}

static bool fits(struct queue *q, const struct queue_talk *t, struct queue_message *m)
{
    const struct queue_request *r = &t->r;

    return !m->gone && !m->leaving && (!*r->id || strcmp(r->id, m->id) == 0) && (!r->held || m->held) &&
           (!r->by_sender || strcmp(r->from, m->sender) == 0) &&
           (!r->older_us || q->now_us - m->arrived_us >= r->older_us) && (!*r->domain || has_domain(q, t, m));
}

/* ---- what is done to one; the caller has seen that it fits */

static void retry(struct queue *q, struct queue_talk *t, struct queue_message *m)
{
    for (struct queue_job *j = m->jobs; j; j = j->next) {
        if (!j->node.at)
            continue;
        heap_put(&j->destination->jobs, &j->node, q->now_us);
        queue_table_forgive(&q->table, j->destination);
    }
    t->count++;
}

/* One flush of the whole file system follows for all of them. */
static void note(struct queue *q, struct queue_talk *t, struct queue_message *m, enum queue_entry_kind kind)
{
    struct queue_entry en = {.at_us = q->now_us, .kind = kind, .text = {"by the operator", 15}};
    struct err e = {""};

    if (m->held == (kind == QUEUE_ENTRY_HELD)) {
        t->count++;
        return;
    }
    if (queue_need_file(q, m) < 0)
        return;
    queue_take_entry(m, &en);
    if (queue_disk_append(&q->disk, m->id, m->file, &m->lines, false, &e) == 0) {
        buf_clear(&m->lines);
        queue_table_refresh(&q->table, m, m->file, q->now_us);
        t->count++;
    } else {
        t->skipped++;
        queue_touch(q, m);
    }
    if (!m->running && !m->lines.len)
        queue_loaded_free(&m->file);
}

static void delete (struct queue *q, struct queue_talk *t, struct queue_message *m)
{
    struct err e = {""};

    if (queue_disk_remove(&q->disk, m->id, &e) < 0) {
        t->skipped++;
        return;
    }
    log_event(LOG_LEVEL_INFO, "queue.deleted", "%s, by the operator", m->id);
    t->count++;
    m->gone = true; /* what runs may still get through: the relay has begun */
    queue_touch(q, m);
}

static void show(struct queue *q, struct queue_talk *t, struct queue_message *m)
{
    if (queue_need_file(q, m) < 0)
        return;
    queue_json_whole(&t->out, q, m);
    if (!m->running && !m->lines.len)
        queue_loaded_free(&m->file);
    t->count++;
}

static void do_one(struct queue *q, struct queue_talk *t, struct queue_message *m)
{
    switch (t->r.verb) {
    case QUEUE_LIST:
        queue_json_line(&t->out, q, m);
        t->count++;
        break;
    case QUEUE_SHOW:
        show(q, t, m);
        break;
    case QUEUE_RETRY:
    case QUEUE_FLUSH:
        retry(q, t, m);
        break;
    case QUEUE_HOLD:
        note(q, t, m, QUEUE_ENTRY_HELD);
        break;
    case QUEUE_RELEASE:
        note(q, t, m, QUEUE_ENTRY_RELEASED);
        break;
    case QUEUE_DELETE:
        delete (q, t, m);
        break;
    case QUEUE_STATUS:
        break;
    }
}

/* ---- a talk */

static void fail(struct queue_talk *t, const char *text)
{
    buf_printf(&t->out, "{\"ok\":false");
    queue_json_key(&t->out, "error", text);
    buf_printf(&t->out, "}\n");
    t->over = true;
}

static void finish(const struct queue *q, struct queue_talk *t)
{
    if (t->r.verb == QUEUE_STATUS)
        queue_json_status(&t->out, q);
    if (t->count && (t->r.verb == QUEUE_HOLD || t->r.verb == QUEUE_RELEASE))
        (void)fsops->flush_fs(q->disk.dir);
    if (*t->r.id && t->count == 0 && t->skipped == 0) {
        fail(t, "there is no such message");
    } else if (t->skipped) {
        fail(t, "not all of them could be written; the log says why");
    } else {
        buf_printf(&t->out, "{\"ok\":true,\"count\":%" PRIu64 "}\n", t->count);
        t->over = true;
    }
}

/* False: it waits for something else than its next turn. */
static bool may_go_on(const struct queue *q, const struct queue_talk *t)
{
    /* before the scan is done nobody knows that a message does not exist */
    return !t->over && !t->deaf && q->scheduling && (!q->scan || t->r.verb == QUEUE_STATUS) && t->out.len < PIECE;
}

static void go_on(struct queue *q, struct queue_talk *t)
{
    int64_t until = clock_now().mono_us + TURN_US;

    if (!t->begun && t->r.verb != QUEUE_STATUS)
        t->at = *t->r.id ? queue_table_find(&q->table, span_str(t->r.id)) : q->table.oldest;
    t->begun = true;
    while (t->at && t->out.len < PIECE && clock_now().mono_us < until) {
        struct queue_message *m = t->at;

        t->at = *t->r.id ? NULL : m->newer;
        if (fits(q, t, m))
            do_one(q, t, m);
    }
    if (!t->at)
        finish(q, t);
}

static void push(struct queue_talk *t, int64_t now)
{
    while (t->out.len && !t->deaf) {
        ssize_t n = write(t->fd, buf_data(&t->out), t->out.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        t->deaf = n <= 0;
        if (n > 0) {
            buf_consume(&t->out, (size_t)n);
            t->moved_us = now;
        }
    }
}

static void talk_free(struct queue_talk *t)
{
    close(t->fd);
    buf_clear(&t->out);
    free(t);
}

void queue_answer_begin(struct queue *q, struct span request, int fd)
{
    struct queue_talk *t = mem_alloc(sizeof *t), **last = &q->talks;
    unsigned others = 0;
    struct err e = {""};

    for (; *last; last = &(*last)->next)
        others++;
    t->fd = fd;
    t->moved_us = clock_now().mono_us;
    if (others == QUEUE_TALKS) {
        fail(t, "too many ask at once, or do not read what they asked for");
        push(t, t->moved_us);
        talk_free(t);
        return;
    }
    if (queue_command_parse(&t->r, request, &e) < 0)
        fail(t, e.text);
    *last = t;
}

void queue_answer_go(struct queue *q)
{
    int64_t now = clock_now().mono_us;

    for (struct queue_talk **at = &q->talks, *t; (t = *at);) {
        if (!t->over && !q->scheduling && (q->draining || now - t->moved_us > TAKE_OVER_US))
            fail(t, HANDED_OVER);
        if (may_go_on(q, t))
            go_on(q, t);
        push(t, now);
        if (t->deaf || (t->over && !t->out.len) || (t->out.len && now - t->moved_us > READER_US)) {
            *at = t->next;
            talk_free(t);
        } else {
            at = &t->next;
        }
    }
}

void queue_answer_forget(struct queue *q, const struct queue_message *m)
{
    for (struct queue_talk *t = q->talks; t; t = t->next)
        if (t->at == m)
            t->at = m->newer;
}

void queue_answer_cut(struct queue *q)
{
    for (struct queue_talk *t = q->talks; t; t = t->next) {
        t->at = NULL;
        if (t->begun && !t->over)
            fail(t, HANDED_OVER);
    }
}

void queue_answer_free(struct queue *q)
{
    for (struct queue_talk *t; (t = q->talks);) {
        q->talks = t->next;
        talk_free(t);
    }
}

/* ---- what the queue's loop waits for */

int queue_answer_patience_ms(const struct queue *q, int otherwise)
{
    for (const struct queue_talk *t = q->talks; t; t = t->next) {
        if (may_go_on(q, t))
            return 0;
        if (otherwise < 0 || otherwise > 1000)
            otherwise = 1000; /* none waits for ever */
    }
    return otherwise;
}

unsigned queue_answer_poll(const struct queue *q, struct pollfd *p)
{
    unsigned n = 0;

    for (const struct queue_talk *t = q->talks; t; t = t->next)
        p[n++] = (struct pollfd){.fd = t->fd, .events = (short)(t->out.len ? POLLOUT : 0)};
    return n;
}

/* Whoever asked has gone: what is not done yet is not done. */
void queue_answer_polled(struct queue *q, const struct pollfd *p, unsigned n)
{
    struct queue_talk *t = q->talks;

    for (unsigned i = 0; i < n; i++, t = t->next)
        if (p[i].revents & (POLLERR | POLLHUP | POLLNVAL))
            t->deaf = true;
}
