#include "sink/store_worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/fsops.h"

#define LOAD_MOST 65536u /* mailbox numbers waiting to be committed: more is left in the channel */
#define TURN_MOST 64u    /* messages of one worker before the others have their turn */

enum slot_state { SLOT_FREE, SLOT_HELD, SLOT_COMMITTING };

struct slot {
    struct pool_file file; /* SLOT_HELD */
    uint32_t delivery;
    enum slot_state state;
};

struct owed {        /* per delivery */
    unsigned wanted; /* files asked for and not sent yet */
    bool asked;      /* a batch is being made */
    int refused;     /* errno to say, 0: nothing */
};

struct store_worker {
    struct store_rooms *r;
    int fd;
    uint32_t number;
    struct slot slots[STORE_SLOTS];
    uint32_t free[STORE_SLOTS];
    unsigned free_count, making; /* free slots, and how many of them files are being made for */
    struct owed *owed;
    struct buf answers;
    uint64_t load;
    bool blocked;
};

struct store_worker *store_worker_new(struct store_rooms *r, int fd, uint32_t number)
{
    struct store_worker *w = mem_alloc(sizeof *w);

    w->r = r;
    w->fd = fd;
    w->number = number;
    w->owed = mem_alloc(sizeof *w->owed * (r->conf->delivery_count + 1));
    for (unsigned i = r->slots; i-- > 0;)
        w->free[w->free_count++] = i;
    return w;
}

void store_worker_free(struct store_worker **wp)
{
    struct store_worker *w = *wp;

    if (!w)
        return;
    for (unsigned i = 0; i < STORE_SLOTS; i++)
        if (w->slots[i].state == SLOT_HELD)
            pool_release(&w->r->deliveries[w->slots[i].delivery], &w->slots[i].file);
    close(w->fd);
    buf_clear(&w->answers);
    free(w->owed);
    free(w);
    *wp = NULL;
}

int store_worker_fd(const struct store_worker *w)
{
    return w->fd;
}

uint32_t store_worker_number(const struct store_worker *w)
{
    return w->number;
}

short store_worker_events(const struct store_worker *w)
{
    return (short)((w->load < LOAD_MOST ? POLLIN : 0) | (w->blocked ? POLLOUT : 0));
}

/* ---- files */

static void free_slot(struct store_worker *w, uint32_t slot)
{
    w->slots[slot].state = SLOT_FREE;
    w->free[w->free_count++] = slot;
}

static void ask(struct store_worker *w, uint32_t delivery)
{
    struct owed *o = &w->owed[delivery];
    unsigned n = w->free_count - w->making;
    struct pool_batch *b;

    if (o->asked || !o->wanted || w->blocked)
        return;
    n = n < o->wanted ? n : o->wanted;
    n = n < POOL_BATCH ? n : POOL_BATCH;
    if (!n)
        return; /* until it gives some back */
    b = mem_alloc(sizeof *b);
    b->worker = w->number;
    b->delivery = delivery;
    b->wanted = n;
    w->making += n;
    o->asked = true;
    pool_ask(w->r->pool, b);
}

/* 1: sent. Otherwise nothing was taken out of the batch. */
static int send_files(struct store_worker *w, struct pool_batch *b)
{
    struct store_file list[POOL_BATCH];
    int fds[POOL_BATCH], r;

    for (unsigned i = 0; i < b->count; i++) {
        list[i] = (struct store_file){w->free[w->free_count - 1 - i], b->delivery};
        fds[i] = b->file[i].fd;
    }
    r = chan_send(w->fd, STORE_FILES, list, sizeof *list * b->count, fds, b->count, NULL);
    for (unsigned i = 0; i < b->count && r == 1; i++)
        w->slots[list[i].slot] = (struct slot){.file = b->file[i], .delivery = b->delivery, .state = SLOT_HELD};
    return r;
}

/* True: all gone, or the channel is (which reading will tell). */
static bool send_answers(struct store_worker *w)
{
    const size_t most = sizeof(struct store_answer) * STORE_SLOTS;

    while (w->answers.len) {
        size_t n = w->answers.len < most ? w->answers.len : most;
        int r = chan_send(w->fd, STORE_ANSWERS, buf_data(&w->answers), n, NULL, 0, NULL);

        if (r == 0)
            return false;
        buf_consume(&w->answers, r < 0 ? w->answers.len : n);
    }
    return true;
}

void store_worker_files(struct store_worker *w, struct pool_batch *b)
{
    struct owed *o = &w->owed[b->delivery];

    assert(b->count <= b->wanted && b->wanted <= w->making && w->making <= w->free_count);
    w->making -= b->wanted;
    o->asked = false;
    if (!b->count) {
        o->refused = b->error ? b->error : EIO;
        o->wanted = 0;
    } else if (send_answers(w) && send_files(w, b) == 1) { /* a slot's old answer goes before its new file */
        w->free_count -= b->count;
        o->wanted -= b->count;
        b->count = 0; /* the slots have them */
    } else {
        w->blocked = true; /* made again when there is room in the channel */
    }
    pool_batch_free(w->r->deliveries, b);
}

/* ---- what it says; false: what no worker of ours says */

static bool take_want(struct store_worker *w, const struct chan_msg *m)
{
    struct store_want want;
    struct owed *o;

    if (store_want_decode(m->data, m->len, &w->r->bounds, &want) < 0)
        return false;
    o = &w->owed[want.delivery];
    o->wanted += want.count;
    if (o->wanted > w->r->slots)
        o->wanted = w->r->slots;
    return true;
}

static bool take_drop(struct store_worker *w, const struct chan_msg *m)
{
    int n = store_drop_count(m->data, m->len);

    for (int i = 0; i < n; i++) {
        uint32_t at = store_drop_slot(m->data, i);
        struct slot *s = &w->slots[at];

        if (s->state != SLOT_HELD)
            return false;
        pool_release(&w->r->deliveries[s->delivery], &s->file);
        free_slot(w, at);
    }
    return n > 0;
}

static struct pool_file take_slot(struct store_worker *w, uint32_t slot)
{
    struct pool_file f = w->slots[slot].file;

    w->slots[slot].file = (struct pool_file){.fd = -1};
    w->slots[slot].state = SLOT_COMMITTING;
    return f;
}

static void commit_queued(struct store_worker *w, struct work *work, const struct store_commit_queue *q)
{
    work->queue_slot = q->slot;
    work->queue_file = take_slot(w, q->slot);
    work->message.queued = (struct message_queued){.fd = work->queue_file.fd, .size = q->size, .head = q->head};
    memcpy(work->message.queued.id, q->id, sizeof q->id);
}

static void commit(struct store_worker *w, const struct store_commit *c)
{
    struct work *work = work_new(c->count);

    for (uint32_t i = 0; i < c->count; i++)
        work->mailboxes[i] = store_commit_mailbox(c, i);
    work->worker = w->number;
    work->slot = c->slot;
    work->delivery = w->r->queue;
    if (c->slot != STORE_NO_SLOT) {
        work->delivery = &w->r->deliveries[w->slots[c->slot].delivery];
        work->file = take_slot(w, c->slot);
        work->message.fd = work->file.fd;
    }
    work->message.delivery = work->delivery;
    work->message.size = c->size;
    if (c->queued)
        commit_queued(w, work, &c->queue);
    w->load += c->count + 1u;
    committer_add(w->r->committer, work);
}

/* It holds these files, and each is for what it is used for. */
static bool holds(const struct store_worker *w, const struct store_commit *c)
{
    const struct slot *s;

    if (c->slot != STORE_NO_SLOT) {
        s = &w->slots[c->slot];
        if (s->state != SLOT_HELD || &w->r->deliveries[s->delivery] == w->r->queue)
            return false;
    }
    if (!c->queued)
        return true;
    s = &w->slots[c->queue.slot];
    return s->state == SLOT_HELD && &w->r->deliveries[s->delivery] == w->r->queue;
}

static bool take_commit(struct store_worker *w, const struct chan_msg *m)
{
    const uint8_t *p = m->data;
    size_t left = m->len;
    struct store_commit c;
    int r;

    while ((r = store_commit_next(&p, &left, &w->r->bounds, &c)) == 1) {
        if (!holds(w, &c))
            return false;
        commit(w, &c);
    }
    return r == 0 && m->len > 0;
}

static bool take(struct store_worker *w, const struct chan_msg *m)
{
    if (m->nfds)
        return false; /* nobody gives the store descriptors but the leader */
    switch (m->type) {
    case STORE_WANT:
        return take_want(w, m);
    case STORE_DROP:
        return take_drop(w, m);
    case STORE_COMMIT:
        return take_commit(w, m);
    default:
        return false;
    }
}

int store_worker_readable(struct store_worker *w)
{
    for (unsigned i = 0; i < TURN_MOST && w->load < LOAD_MOST; i++) {
        struct chan_msg m;
        struct err e;
        int r = chan_recv(w->fd, w->r->room, CHAN_MAX + 4, &m, &e);
        bool ok;

        if (r == 0)
            break;
        if (r < 0)
            return -1;
        ok = take(w, &m);
        chan_msg_close(&m);
        if (ok)
            continue;
        log_event(LOG_LEVEL_ERROR, "store.worker-refused",
                  "worker channel %u: a message of type %u and %zu bytes is not well-formed; the channel is closed",
                  w->number, m.type, m.len);
        return -1;
    }
    return 0;
}

/* ---- what it is told */

void store_worker_answer(struct store_worker *w, const struct work *done)
{
    struct store_answer a = {
        .slot = done->slot != STORE_NO_SLOT ? done->slot : done->queue_slot,
        .result = (uint32_t)store_result_of(done->message.error),
        .error = done->message.error,
        .mailbox = done->message.mailbox,
    };

    assert(w->slots[a.slot].state == SLOT_COMMITTING);
    free_slot(w, a.slot);
    if (done->queue_slot != a.slot && done->queue_slot != STORE_NO_SLOT)
        free_slot(w, done->queue_slot);
    w->load -= done->message.count + 1u;
    buf_append(&w->answers, &a, sizeof a);
}

static bool send_refusals(struct store_worker *w)
{
    for (uint32_t d = 0; d < w->r->bounds.deliveries; d++) {
        struct store_no_files nf = {.delivery = d, .error = w->owed[d].refused};

        if (!nf.error)
            continue;
        if (chan_send(w->fd, STORE_NO_FILES, &nf, sizeof nf, NULL, 0, NULL) == 0)
            return false;
        w->owed[d].refused = 0;
    }
    return true;
}

void store_worker_push(struct store_worker *w)
{
    w->blocked = !send_answers(w) || !send_refusals(w);
    for (uint32_t d = 0; d < w->r->bounds.deliveries && !w->blocked; d++)
        ask(w, d);
}
