/* What became of a message in this turn: too old? who is to be told? is it finished? Then its log, or its end. */
#include "sink/queue_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void queue_take_entry(struct queue_message *m, const struct queue_entry *en)
{
    bool taken = queue_state_take(m->file->state, en);

    assert(taken);
    (void)taken;
    queue_log_write(&m->lines, en);
}

static void expire(struct queue *q, struct queue_message *m, uint32_t i)
{
    const struct queue_entry en = {.at_us = q->now_us, .kind = QUEUE_ENTRY_EXPIRED, .rcpt = i};
    struct log_line l;

    queue_take_entry(m, &en);
    log_begin(&l, LOG_LEVEL_WARN, "queue.expired");
    log_str(&l, "id", m->id);
    log_peer(&l, "to", m->file->head->rcpts[i].address);
    log_peer(&l, "details", m->file->state->rcpts[i].reply.text);
    log_int(&l, "tries", m->file->state->rcpts[i].tries);
    log_end(&l);
}

/* Recipients that are given up, and those whose delay is to be told: late[i]. */
static void look_at_ages(struct queue *q, struct queue_message *m, bool *late)
{
    const struct queue_table *t = &q->table;

    for (uint32_t i = 0; i < m->rcpts; i++) {
        const struct queue_rcpt_log *r = &m->file->state->rcpts[i];
        struct retry_facts f = {.arrived_us = m->arrived_us,
                                .last_try_us = r->last_try_us,
                                .now_us = q->now_us,
                                .tries = r->tries,
                                .noticed = r->delay_noticed};
        struct retry_verdict v;

        if (r->state != QUEUE_WAITING)
            continue;
        retry_judge(&v, &t->retry, &f, 0);
        if (v.what == RETRY_EXPIRE || q->now_us >= queue_table_over_us(t, v.give_up_us))
            expire(q, m, i);
        else
            late[i] = v.notice;
    }
}

/* Who has a Maildir here had the message at the moment at which it was taken. */
static void deliver_here(struct queue *q, struct queue_message *m)
{
    static const char words[] = "in the mailbox";

    for (uint32_t i = 0; i < m->rcpts; i++) {
        struct queue_entry en = {.at_us = m->arrived_us, .kind = QUEUE_ENTRY_DELIVERED, .rcpt = i, .try = 1};

        if (m->file->state->rcpts[i].state != QUEUE_WAITING ||
            !q->hooks.is_here(q->hooks.arg, m->file->head->rcpts[i].route.p))
            continue;
        en.try = m->file->state->rcpts[i].tries + 1;
        en.reply = (struct queue_reply){
            .code = 250, .enhanced = "2.1.5", .said = QUEUE_SAID_HERE, .text = {words, sizeof words - 1}};
        queue_take_entry(m, &en);
    }
}

/* Held messages are left alone, but what is final is told all the same. */
static int tell(struct queue *q, struct queue_message *m)
{
    bool *late = mem_alloc(m->rcpts * sizeof *late);
    int rc;

    if (!m->file->state->held)
        look_at_ages(q, m, late);
    rc = queue_report(q, m, late);
    free(late);
    return rc;
}

static void say_trouble(const struct queue_message *m, const struct err *e)
{
    log_event(LOG_LEVEL_ERROR, "queue.write-failed", "%s: %s; tried again in some seconds", m->id, e->text);
}

/* The record stays until the file is gone: a scan must not find one that nobody knows. */
static void finish(struct queue *q, struct queue_message *m)
{
    heap_drop(&q->table.attention, &m->node);
    m->leaving = true;
    m->running++;
    q->leaving++;
    remover_add(q->remover, m->id, m);
}

static void say_finished(const struct queue *q, const struct queue_message *m)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "queue.finished");
    log_str(&l, "id", m->id);
    log_int(&l, "rcpts", m->rcpts);
    log_int(&l, "elapsed", (q->now_us - m->arrived_us) / 1000);
    log_end(&l);
}

/* When everything is said, and only the end of a transfer is to come, the file goes in the next moment: its lines are for
 * whoever takes over if this process is killed before, and need not survive a power cut. */
static int write_lines(struct queue *q, struct queue_message *m)
{
    bool lasts = !queue_state_is_finished(m->file->state);
    struct err e = {""};

    if (!m->lines.len)
        return 0;
    if (queue_disk_append(&q->disk, m->id, m->file, &m->lines, lasts, &e) < 0) {
        say_trouble(m, &e);
        return -1;
    }
    buf_clear(&m->lines);
    return 0;
}

void queue_settle_removed(struct queue *q)
{
    struct queue_message *m;
    int error;

    while ((m = remover_take(q->remover, &error))) {
        struct err e = {""};

        q->leaving--;
        m->running--;
        if (error) {
            m->leaving = false;
            err_set(&e, "%s", strerror(error));
            say_trouble(m, &e);
            (void)write_lines(q, m); /* it stays: it says at least that it was sent */
            heap_put(&q->table.attention, &m->node, q->now_us + QUEUE_RETRY_US);
            continue;
        }
        q->disk.unflushed = true;
        say_finished(q, m);
        queue_touch(q, m); /* and is forgotten then: it may be in that list already */
    }
}

/* Something did not work: nothing more happens to the message but this, again. Its jobs stay out of line until then,
 * so that nothing is tried whose result could not be kept. */
static void put_off(struct queue *q, struct queue_message *m)
{
    if (!m->running)
        heap_put(&q->table.attention, &m->node, q->now_us + QUEUE_RETRY_US);
}

/* Its name went. It may be back already: moved away, edited, moved back, all between two looks. */
static void forget(struct queue *q, struct queue_message *m)
{
    char id[QUEUE_FILE_ID_MOST + 1];

    snprintf(id, sizeof id, "%s", m->id);
    queue_forget(q, m);
    queue_look_at(q, id);
}

void queue_settle(struct queue *q, struct queue_message *m)
{
    int told = 0;

    if (m->leaving) {
        if (!m->running)
            queue_forget(q, m);
        return;
    }
    if (m->gone) {
        if (!m->running)
            forget(q, m);
        return;
    }
    if (queue_need_file(q, m) < 0)
        return;
    if (!m->running) {
        deliver_here(q, m);
        told = tell(q, m);
        if (told == 0 && queue_state_is_finished(m->file->state)) {
            finish(q, m); /* its log needs no more lines: either the file goes, or it is as before and done again */
            return;
        }
    }
    if (write_lines(q, m) < 0) {
        put_off(q, m);
        return;
    }
    queue_table_refresh(&q->table, m, m->file, q->now_us);
    if (told < 0)
        put_off(q, m);
    if (!m->running)
        queue_loaded_free(&m->file);
}
