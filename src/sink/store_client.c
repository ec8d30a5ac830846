#include "sink/store_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/chan.h"
#include "base/text.h"
#include "sink/fsops.h"
#include "sink/store_msg.h"

#define WRITE_AT ((size_t)64 * 1024) /* a message is written in pieces of this, a small one at once */

struct sink_message {
    struct sink *sink;
    void *session; /* NULL: it died, nobody waits for the answer */
    uint32_t slot, delivery;
    int fd;
    int error; /* errno of the first write that failed */
    uint64_t written;
    struct buf buf;
    uint32_t *mailboxes;
    uint32_t count;
    bool committed;
};

struct pooled {
    uint32_t slot;
    int fd;
};

struct pool {
    struct pooled file[STORE_SLOTS];
    unsigned count;
    unsigned asked; /* by STORE_WANT, not come yet */
};

struct waiting { /* a session that wants a file */
    void *session;
    uint32_t *mailboxes;
    uint32_t count, delivery;
    struct waiting *next;
};

struct sink {
    int fd;
    bool gone; /* the store */
    const struct conf *conf;
    const struct sink_events *events;
    struct pool *pools; /* one per delivery */
    struct sink_message *by_slot[STORE_SLOTS];
    struct waiting *first, **last;
    struct buf commits, drops;
    unsigned in_flight;
    bool blocked;
    char room[CHAN_MAX + 4];
};

struct sink *store_client_new(int fd, const struct conf *conf, const struct sink_events *events)
{
    struct sink *s = mem_alloc(sizeof *s);

    s->fd = fd;
    s->conf = conf;
    s->events = events;
    s->pools = mem_alloc(sizeof *s->pools * (conf->delivery_count + 1));
    s->last = &s->first;
    return s;
}

static void message_free(struct sink_message *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->sink->by_slot[m->slot] = NULL;
    buf_clear(&m->buf);
    free(m->mailboxes);
    free(m);
}

static void waiting_free(struct waiting *w)
{
    free(w->mailboxes);
    free(w);
}

void store_client_free(struct sink **sp)
{
    struct sink *s = *sp;

    if (!s)
        return;
    for (unsigned i = 0; i < STORE_SLOTS; i++)
        if (s->by_slot[i])
            message_free(s->by_slot[i]);
    for (unsigned d = 0; d < s->conf->delivery_count; d++)
        for (unsigned i = 0; i < s->pools[d].count; i++)
            close(s->pools[d].file[i].fd);
    while (s->first) {
        struct waiting *w = s->first;

        s->first = w->next;
        waiting_free(w);
    }
    buf_clear(&s->commits);
    buf_clear(&s->drops);
    free(s->pools);
    free(s);
    *sp = NULL;
}

/* ---- opening */

static struct sink_message *open_with(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count,
                                      uint32_t delivery)
{
    struct pool *p = &s->pools[delivery];
    struct sink_message *m = mem_alloc(sizeof *m);

    p->count--;
    m->sink = s;
    m->session = session;
    m->slot = p->file[p->count].slot;
    m->fd = p->file[p->count].fd;
    m->delivery = delivery;
    m->count = count;
    m->mailboxes = mem_alloc(sizeof *mailboxes * count);
    memcpy(m->mailboxes, mailboxes, sizeof *mailboxes * count);
    s->by_slot[m->slot] = m;
    return m;
}

static void want(struct sink *s, uint32_t delivery, unsigned waiters)
{
    struct pool *p = &s->pools[delivery];
    struct store_want w = {.delivery = delivery, .count = waiters < 16 ? 16 : waiters};

    if (p->asked >= waiters || s->gone)
        return;
    if (chan_send(s->fd, STORE_WANT, &w, sizeof w, NULL, 0, NULL) == 1)
        p->asked += w.count;
}

static unsigned waiters_of(const struct sink *s, uint32_t delivery)
{
    unsigned n = 0;

    for (const struct waiting *w = s->first; w; w = w->next)
        n += w->delivery == delivery;
    return n;
}

struct sink_message *sink_open(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count,
                               int *pending, struct sink_answer *a)
{
    uint32_t delivery = s->conf->mailboxes[mailboxes[0]].delivery;
    struct waiting *w;

    *pending = 0;
    if (s->gone) {
        *a = (struct sink_answer){SINK_FAILED, EPIPE, UINT32_MAX};
        return NULL;
    }
    if (s->pools[delivery].count)
        return open_with(s, session, mailboxes, count, delivery);
    w = mem_alloc(sizeof *w);
    w->session = session;
    w->delivery = delivery;
    w->count = count;
    w->mailboxes = mem_alloc(sizeof *mailboxes * count);
    memcpy(w->mailboxes, mailboxes, sizeof *mailboxes * count);
    *s->last = w;
    s->last = &w->next;
    want(s, delivery, waiters_of(s, delivery));
    *pending = 1;
    return NULL;
}

/* Takes the first waiter that `session` or `delivery` names out of the queue. */
static struct waiting *take_waiting(struct sink *s, const void *session, uint32_t delivery)
{
    for (struct waiting **at = &s->first; *at; at = &(*at)->next) {
        struct waiting *w = *at;

        if (session ? w->session != session : w->delivery != delivery)
            continue;
        *at = w->next;
        if (!*at)
            s->last = at;
        w->next = NULL;
        return w;
    }
    return NULL;
}

void sink_cancel(struct sink *s, void *session)
{
    struct waiting *w = take_waiting(s, session, 0);

    if (w)
        waiting_free(w);
}

/* ---- writing */

static void write_out(struct sink_message *m)
{
    while (m->buf.len && !m->error) {
        ssize_t n = fsops->write(m->fd, buf_data(&m->buf), m->buf.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            m->error = n < 0 ? errno : EIO;
        else
            buf_consume(&m->buf, (size_t)n);
    }
    buf_clear(&m->buf);
}

void sink_write(struct sink_message *m, const void *p, size_t n)
{
    m->written += n;
    if (m->error)
        return; /* known; said at commit */
    buf_append(&m->buf, p, n);
    if (m->buf.len >= WRITE_AT)
        write_out(m);
}

uint64_t sink_written(const struct sink_message *m)
{
    return m->written;
}

/* ---- finishing */

static void drop(struct sink_message *m)
{
    struct sink *s = m->sink;

    buf_append(&s->drops, &m->slot, sizeof m->slot);
    message_free(m);
}

void sink_abort(struct sink_message **mp)
{
    if (*mp)
        drop(*mp);
    *mp = NULL;
}

void sink_commit(struct sink_message *m)
{
    struct sink *s = m->sink;

    write_out(m);
    close(m->fd);
    m->fd = -1;
    m->committed = true;
    s->in_flight++;
    if (m->error || s->gone)
        return; /* store_client_flush() answers: never from inside a call of the session's */
    store_commit_add(&s->commits, m->slot, m->written, m->mailboxes, m->count);
}

void sink_forget(struct sink *s, void *session)
{
    for (unsigned i = 0; i < STORE_SLOTS; i++)
        if (s->by_slot[i] && s->by_slot[i]->session == session)
            s->by_slot[i]->session = NULL;
}

static void answer(struct sink_message *m, const struct sink_answer *a)
{
    struct sink *s = m->sink;
    void *session = m->session;

    s->in_flight--;
    message_free(m);
    if (session)
        s->events->committed(session, a);
}

/* Messages whose writes failed never reach the store. */
static void answer_failed_writes(struct sink *s)
{
    for (unsigned i = 0; i < STORE_SLOTS && s->in_flight; i++) {
        struct sink_message *m = s->by_slot[i];
        struct sink_answer a = {.mailbox = UINT32_MAX};

        if (!m || !m->committed || (!m->error && !s->gone))
            continue;
        a.error = m->error ? m->error : EPIPE;
        a.result = store_result_of(a.error);
        if (!s->gone)
            buf_append(&s->drops, &m->slot, sizeof m->slot);
        answer(m, &a);
    }
}

/* Whole records, as many as one datagram takes. */
static size_t one_datagram(const struct buf *b)
{
    const uint8_t *p = (const uint8_t *)buf_data(b);
    size_t left = b->len, used = 0;
    struct store_commit c;

    while (store_commit_next(&p, &left, &c) == 1) {
        if (used && used + store_commit_size(c.count) > CHAN_MAX)
            break;
        used += store_commit_size(c.count);
    }
    return used;
}

static void failed_write_check(struct sink *s)
{
    bool any = s->gone;

    for (unsigned i = 0; i < STORE_SLOTS && !any; i++)
        any = s->by_slot[i] && s->by_slot[i]->committed && s->by_slot[i]->error;
    if (any)
        answer_failed_writes(s);
}

void store_client_flush(struct sink *s)
{
    s->blocked = false;
    if (s->in_flight)
        failed_write_check(s);
    while (s->commits.len && !s->gone) {
        size_t n = one_datagram(&s->commits);

        if (chan_send(s->fd, STORE_COMMIT, buf_data(&s->commits), n, NULL, 0, NULL) != 1) {
            s->blocked = true;
            return;
        }
        buf_consume(&s->commits, n);
    }
    while (s->drops.len && !s->gone) {
        size_t n = s->drops.len < 4096 ? s->drops.len : 4096;

        if (chan_send(s->fd, STORE_DROP, buf_data(&s->drops), n, NULL, 0, NULL) != 1) {
            s->blocked = true;
            return;
        }
        buf_consume(&s->drops, n);
    }
}

bool store_client_wants_write(const struct sink *s)
{
    return s->blocked && !s->gone;
}

unsigned store_client_in_flight(const struct sink *s)
{
    return s->in_flight;
}

/* ---- what the store says */

static void give_to_waiters(struct sink *s, uint32_t delivery)
{
    while (s->pools[delivery].count) {
        struct waiting *w = take_waiting(s, NULL, delivery);
        struct sink_answer ok = {SINK_OK, 0, UINT32_MAX};
        struct sink_message *m;

        if (!w)
            return;
        m = open_with(s, w->session, w->mailboxes, w->count, delivery);
        s->events->opened(w->session, m, &ok);
        waiting_free(w);
    }
}

static void take_files(struct sink *s, struct chan_msg *m)
{
    size_t n = m->len / sizeof(struct store_file);

    for (size_t i = 0; i < n && i < m->nfds; i++) {
        struct store_file f;
        struct pool *p;

        memcpy(&f, (const char *)m->data + i * sizeof f, sizeof f);
        if (f.slot >= STORE_SLOTS || f.delivery >= s->conf->delivery_count)
            continue;
        p = &s->pools[f.delivery];
        if (p->count == STORE_SLOTS)
            continue;
        p->file[p->count++] = (struct pooled){f.slot, chan_msg_take(m, (unsigned)i)};
        p->asked -= p->asked > 0;
    }
    for (uint32_t d = 0; d < s->conf->delivery_count; d++)
        give_to_waiters(s, d);
}

static void take_answers(struct sink *s, const struct chan_msg *m)
{
    size_t n = m->len / sizeof(struct store_answer);

    for (size_t i = 0; i < n; i++) {
        struct store_answer sa;
        struct sink_answer a;

        memcpy(&sa, (const char *)m->data + i * sizeof sa, sizeof sa);
        if (sa.slot >= STORE_SLOTS || !s->by_slot[sa.slot] || !s->by_slot[sa.slot]->committed)
            continue;
        a = (struct sink_answer){sa.result > SINK_FAILED ? SINK_FAILED : (enum sink_result)sa.result, sa.error,
                                 sa.mailbox};
        answer(s->by_slot[sa.slot], &a);
    }
}

static void take_no_files(struct sink *s, const struct chan_msg *m)
{
    struct store_no_files nf;
    struct waiting *w;

    if (m->len != sizeof nf)
        return;
    memcpy(&nf, m->data, sizeof nf);
    if (nf.delivery >= s->conf->delivery_count)
        return;
    s->pools[nf.delivery].asked = 0;
    while ((w = take_waiting(s, NULL, nf.delivery))) {
        struct sink_answer a = {store_result_of(nf.error), nf.error, UINT32_MAX};

        s->events->opened(w->session, NULL, &a);
        waiting_free(w);
    }
}

static void store_gone(struct sink *s)
{
    struct waiting *w;

    s->gone = true;
    buf_clear(&s->commits);
    buf_clear(&s->drops);
    answer_failed_writes(s);
    while ((w = s->first)) {
        struct sink_answer a = {SINK_FAILED, EPIPE, UINT32_MAX};

        s->first = w->next;
        if (!s->first)
            s->last = &s->first;
        s->events->opened(w->session, NULL, &a);
        waiting_free(w);
    }
}

int store_client_readable(struct sink *s)
{
    while (!s->gone) {
        struct chan_msg m;
        int r = chan_recv(s->fd, s->room, sizeof s->room, &m, NULL);

        if (r == 0)
            return 0;
        if (r < 0) {
            store_gone(s);
            return -1;
        }
        if (m.type == STORE_FILES)
            take_files(s, &m);
        else if (m.type == STORE_ANSWERS)
            take_answers(s, &m);
        else if (m.type == STORE_NO_FILES)
            take_no_files(s, &m);
        chan_msg_close(&m);
    }
    return -1;
}
