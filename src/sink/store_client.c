#include "sink/store_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/client_pool.h"
#include "sink/complain.h"
#include "sink/fsops.h"
#include "sink/store_msg.h"

#define WRITE_AT ((size_t)64 * 1024) /* a message is written in pieces of this, a small one at once */
#define HOLD_MOST ((size_t)1 << 20)  /* kept in memory while the store owes us a file */
/* Files that messages on their way leave to those that are whole, less than what makes the pool ask for more: or as many
 * clients as the store has slots, each with 64 KiB and then silent, would keep everybody's mail out. */
#define FOR_COMMITS 3u

/* A message takes its file when it has something to write: at 64 KiB or at the commit. So thousands of clients that
 * dribble hold bytes, not files. */
struct sink_message {
    struct sink *sink;
    void *session; /* NULL: it died, nobody waits for the answer */
    uint32_t delivery;
    struct client_file file; /* .fd -1: none yet, or written and closed; .slot CLIENT_NO_SLOT: none yet */
    int error;               /* errno of what failed first */
    uint64_t written;
    struct buf buf;
    uint32_t *mailboxes;
    uint32_t count;
    bool committed;
    /* A file for the queue: .id is its name, .head the bytes of its envelope. Beside mailboxes it is the twin of the
     * message with these; the twin is in no list, is written and committed with it, and dies with it. */
    bool is_twin;
    struct sink_message *twin;
    char *id; /* NULL: not for the queue */
    size_t head;
    struct sink_message *next, **at; /* in a list of the sink, or at == NULL */
};

struct list {
    struct sink_message *first, **last;
};

struct waiting { /* a session that wants a file */
    void *session;
    uint32_t *mailboxes;
    uint32_t count, delivery;
    char *id, *head; /* for the queue, too, or NULL */
    size_t head_size;
    struct waiting *next;
};

struct sink {
    int fd;
    bool gone; /* the store */
    bool blocked;
    const struct conf *conf;
    const struct sink_events *events;
    struct client_pool *pools;  /* one per delivery, and one for the queue */
    uint32_t queue, pool_count; /* the queue's number; pools asked for: without it until it is needed */
    struct sink_message *by_slot[STORE_SLOTS];
    struct list open;   /* not committed */
    struct list queued; /* committed, waiting for a file */
    struct list failed; /* committed, answered by the next flush: never from inside a call of the session's */
    struct waiting *first, **last;
    struct buf commits, drops;
    unsigned in_flight;
    char room[CHAN_MAX + 4];
};

/* ---- lists */

static void list_add(struct list *l, struct sink_message *m)
{
    assert(!m->at);
    m->next = NULL;
    m->at = l->last;
    *l->last = m;
    l->last = &m->next;
}

static void list_remove(struct list *l, struct sink_message *m)
{
    *m->at = m->next;
    if (m->next)
        m->next->at = m->at;
    else
        l->last = m->at;
    m->at = NULL;
}

struct sink *store_client_new(int fd, const struct conf *conf, const struct sink_events *events)
{
    struct sink *s = mem_alloc(sizeof *s);

    s->fd = fd;
    s->conf = conf;
    s->events = events;
    s->pools = mem_alloc(sizeof *s->pools * (conf->delivery_count + 1));
    s->queue = s->pool_count = conf->delivery_count;
    s->last = &s->first;
    s->open.last = &s->open.first;
    s->queued.last = &s->queued.first;
    s->failed.last = &s->failed.first;
    return s;
}

static void message_free(struct sink_message *m)
{
    assert(!m->at);
    if (m->twin)
        message_free(m->twin);
    free(m->id);
    if (m->file.fd >= 0)
        close(m->file.fd);
    if (m->file.slot != CLIENT_NO_SLOT)
        m->sink->by_slot[m->file.slot] = NULL;
    buf_clear(&m->buf);
    free(m->mailboxes);
    free(m);
}

static void list_free(struct list *l)
{
    while (l->first) {
        struct sink_message *m = l->first;

        list_remove(l, m);
        message_free(m);
    }
}

static void waiting_free(struct waiting *w)
{
    free(w->id);
    free(w->head);
    free(w->mailboxes);
    free(w);
}

void store_client_free(struct sink **sp)
{
    struct sink *s = *sp;

    if (!s)
        return;
    list_free(&s->open);
    list_free(&s->queued);
    list_free(&s->failed);
    for (unsigned i = 0; i < STORE_SLOTS; i++)
        if (s->by_slot[i] && !s->by_slot[i]->is_twin)
            message_free(s->by_slot[i]);
    for (unsigned d = 0; d < s->pool_count; d++)
        client_pool_clear(&s->pools[d]);
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

static uint32_t *copy_numbers(const uint32_t *from, uint32_t count)
{
    uint32_t *to = mem_alloc(sizeof *to * count);

    if (count)
        memcpy(to, from, sizeof *to * count);
    return to;
}

static struct sink_message *file_new(struct sink *s, uint32_t delivery)
{
    struct sink_message *m = mem_alloc(sizeof *m);

    m->sink = s;
    m->delivery = delivery;
    m->file = (struct client_file){.fd = -1, .slot = CLIENT_NO_SLOT};
    s->pools[delivery].needed++;
    return m;
}

static void make_queued(struct sink_message *m, struct waiting *w)
{
    m->id = w->id;
    w->id = NULL;
    m->head = w->head_size;
    m->written = w->head_size;
    buf_append(&m->buf, w->head, w->head_size);
}

/* The mailboxes are the message's from now on, and w is gone. */
static struct sink_message *message_new(struct sink *s, struct waiting *w)
{
    struct sink_message *m = file_new(s, w->delivery);

    m->session = w->session;
    m->mailboxes = w->mailboxes;
    m->count = w->count;
    w->mailboxes = NULL;
    if (w->id && w->count) {
        m->twin = file_new(s, s->queue);
        m->twin->is_twin = true;
        make_queued(m->twin, w);
    } else if (w->id) {
        make_queued(m, w);
    }
    list_add(&s->open, m);
    waiting_free(w);
    return m;
}

struct sink_message *sink_open(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count, int *pending,
                               struct sink_answer *a)
{
    return sink_open_queued(s, session, mailboxes, count, NULL, pending, a);
}

struct sink_message *sink_open_queued(struct sink *s, void *session, const uint32_t *mailboxes, uint32_t count,
                                      const struct sink_queue *queue, int *pending, struct sink_answer *a)
{
    struct waiting *w;

    *pending = 0;
    assert(count ? mailboxes[0] < s->conf->mailbox_count : queue != NULL);
    if (s->gone || count > STORE_RCPTS) {
        *a = (struct sink_answer){SINK_FAILED, s->gone ? EPIPE : EMLINK, UINT32_MAX};
        return NULL;
    }
    w = mem_alloc(sizeof *w);
    *w = (struct waiting){.session = session, .delivery = s->queue, .count = count};
    if (count)
        w->delivery = s->conf->mailboxes[mailboxes[0]].delivery;
    w->mailboxes = copy_numbers(mailboxes, count);
    if (queue) {
        s->pool_count = s->queue + 1;
        w->id = mem_str(queue->id);
        w->head = mem_strn(queue->head, queue->head_size);
        w->head_size = queue->head_size;
    }
    if (s->pools[w->delivery].count)
        return message_new(s, w);
    *s->last = w;
    s->last = &w->next;
    s->pools[w->delivery].needed++;
    *pending = 1;
    return NULL;
}

/* Takes the first waiter of `session`, or of `delivery` where session is NULL, out of the queue. */
static struct waiting *take_waiting(struct sink *s, const void *session, uint32_t delivery)
{
    for (struct waiting **at = &s->first; *at; at = &(*at)->next) {
        struct waiting *w = *at;

        if (session ? w->session != session : w->delivery != delivery)
            continue;
        *at = w->next;
        if (!*at)
            s->last = at;
        s->pools[w->delivery].needed--;
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

static bool take_file(struct sink_message *m)
{
    struct client_pool *p = &m->sink->pools[m->delivery];

    if (m->file.slot != CLIENT_NO_SLOT)
        return true;
    if (!m->committed && p->count <= FOR_COMMITS)
        return false;
    if (!client_pool_take(p, &m->file))
        return false;
    p->needed--;
    m->sink->by_slot[m->file.slot] = m;
    return true;
}

static void write_out(struct sink_message *m)
{
    while (m->buf.len && !m->error) {
        ssize_t n = fsops->write(m->file.fd, buf_data(&m->buf), m->buf.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            m->error = n < 0 ? errno : EIO;
        else
            buf_consume(&m->buf, (size_t)n);
    }
    buf_clear(&m->buf);
}

static void write_file(struct sink_message *m, const void *data, size_t n)
{
    const char *p = data;

    m->written += n;
    while (n && !m->error) { /* what failed is known, and said at commit */
        size_t room = m->buf.len < WRITE_AT ? WRITE_AT - m->buf.len : n, part = n < room ? n : room;

        buf_append(&m->buf, p, part);
        p += part;
        n -= part;
        if (m->buf.len < WRITE_AT)
            break;
        if (take_file(m)) {
            write_out(m);
        } else if (m->buf.len > HOLD_MOST) {
            m->error = ENFILE; /* the store is that far behind: the sender may try again */
            buf_clear(&m->buf);
        }
    }
}

void sink_write(struct sink_message *m, const void *p, size_t n)
{
    write_file(m, p, n);
    if (m->twin)
        write_file(m->twin, p, n);
}

void sink_write_local(struct sink_message *m, const void *p, size_t n)
{
    if (!m->id)
        write_file(m, p, n);
}

uint64_t sink_written(const struct sink_message *m)
{
    return m->written - m->head;
}

/* ---- finishing */

/* The message needs no file any more: what it has goes back. */
static void give_up_file(struct sink_message *m)
{
    struct sink *s = m->sink;

    if (m->twin)
        give_up_file(m->twin);
    if (m->file.slot == CLIENT_NO_SLOT) {
        s->pools[m->delivery].needed--;
        return;
    }
    if (!s->gone)
        buf_append(&s->drops, &m->file.slot, sizeof m->file.slot);
    if (m->file.fd >= 0)
        close(m->file.fd);
    s->by_slot[m->file.slot] = NULL;
    m->file = (struct client_file){.fd = -1, .slot = CLIENT_NO_SLOT};
}

void sink_abort(struct sink_message **mp)
{
    struct sink_message *m = *mp;

    if (!m)
        return;
    give_up_file(m);
    list_remove(&m->sink->open, m);
    message_free(m);
    *mp = NULL;
}

static void fail(struct sink_message *m, int error)
{
    if (!m->error)
        m->error = error;
    give_up_file(m);
    list_add(&m->sink->failed, m);
}

static void write_the_rest(struct sink_message *m)
{
    write_out(m);
    close(m->file.fd);
    m->file.fd = -1;
}

static void add_commit(struct sink *s, const struct sink_message *m)
{
    const struct sink_message *queued = m->id ? m : m->twin;
    struct store_commit_queue q = {0};

    if (!queued) {
        store_commit_add(&s->commits, m->file.slot, m->written, m->mailboxes, m->count);
        return;
    }
    q.slot = queued->file.slot;
    q.head = (uint32_t)queued->head;
    q.size = queued->written;
    memcpy(q.id, queued->id, strlen(queued->id));
    if (m->id)
        store_commit_add_queued(&s->commits, STORE_NO_SLOT, 0, NULL, 0, &q);
    else
        store_commit_add_queued(&s->commits, m->file.slot, m->written, m->mailboxes, m->count, &q);
}

/* A committed message in no list: into the batch, or among those that wait for a file. */
static void hand_over(struct sink_message *m)
{
    struct sink *s = m->sink;

    if (m->twin && !m->error)
        m->error = m->twin->error;
    if (s->gone || m->error) {
        fail(m, EPIPE);
        return;
    }
    if (!take_file(m) || (m->twin && !take_file(m->twin))) {
        list_add(&s->queued, m);
        return;
    }
    write_the_rest(m);
    if (m->twin)
        write_the_rest(m->twin);
    if (m->twin && !m->error)
        m->error = m->twin->error;
    if (m->error) {
        fail(m, m->error);
        return;
    }
    add_commit(s, m);
}

void sink_commit(struct sink_message *m)
{
    m->committed = true;
    if (m->twin)
        m->twin->committed = true; /* for take_file(); answers come by the message's own slot */
    m->sink->in_flight++;
    list_remove(&m->sink->open, m);
    hand_over(m);
}

static void forget_in(struct sink_message *m, const void *session)
{
    for (; m; m = m->next)
        if (m->session == session)
            m->session = NULL;
}

void sink_forget(struct sink *s, void *session)
{
    forget_in(s->queued.first, session);
    forget_in(s->failed.first, session);
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

static void answer_failed(struct sink *s)
{
    while (s->failed.first) {
        struct sink_message *m = s->failed.first;
        struct sink_answer a = {store_result_of(m->error), m->error, UINT32_MAX};

        if (!s->gone) /* the store knows nothing of it */
            complain(s->conf, m->delivery, UINT32_MAX, geteuid(), m->error, clock_now().mono_us);
        list_remove(&s->failed, m);
        answer(m, &a);
    }
}

/* ---- sending */

static bool send_commits(struct sink *s)
{
    while (s->commits.len) {
        size_t n = store_commit_datagram(&s->commits);

        if (chan_send(s->fd, STORE_COMMIT, buf_data(&s->commits), n, NULL, 0, NULL) != 1)
            return false;
        buf_consume(&s->commits, n);
    }
    return true;
}

static bool send_drops(struct sink *s)
{
    const size_t most = sizeof(uint32_t) * STORE_SLOTS;

    for (uint32_t d = 0; d < s->pool_count; d++)
        client_pool_trim(&s->pools[d], &s->drops);
    while (s->drops.len) {
        size_t n = s->drops.len < most ? s->drops.len : most;

        if (chan_send(s->fd, STORE_DROP, buf_data(&s->drops), n, NULL, 0, NULL) != 1)
            return false;
        buf_consume(&s->drops, n);
    }
    return true;
}

/* A delivery that is no Maildir has no files of its own: its mail is the queue's. */
static bool has_files(const struct sink *s, uint32_t delivery)
{
    return delivery == s->queue || s->conf->deliveries[delivery].type == CONF_DELIVERY_MAILDIR;
}

static bool send_wants(struct sink *s)
{
    for (uint32_t d = 0; d < s->pool_count; d++) {
        struct store_want w = {.delivery = d, .count = client_pool_short(&s->pools[d])};

        if (!w.count || !has_files(s, d))
            continue;
        if (chan_send(s->fd, STORE_WANT, &w, sizeof w, NULL, 0, NULL) != 1)
            return false;
        s->pools[d].asked += w.count;
    }
    return true;
}

void store_client_flush(struct sink *s)
{
    answer_failed(s);
    s->blocked = !s->gone && !(send_commits(s) && send_drops(s) && send_wants(s));
}

bool store_client_wants_write(const struct sink *s)
{
    return s->blocked && !s->gone;
}

unsigned store_client_in_flight(const struct sink *s)
{
    return s->in_flight;
}

/* ---- what the store says; false: what no store of ours says */

/* It, or its twin, still needs a file of this delivery. */
static bool waits_for(const struct sink_message *m, uint32_t delivery)
{
    return (m->delivery == delivery && m->file.slot == CLIENT_NO_SLOT) || (m->twin && waits_for(m->twin, delivery));
}

static void use_files(struct sink *s, uint32_t delivery)
{
    for (struct sink_message *m = s->queued.first, *next; m && s->pools[delivery].count; m = next) {
        next = m->next;
        if (!waits_for(m, delivery))
            continue;
        list_remove(&s->queued, m);
        hand_over(m);
    }
    while (s->pools[delivery].count) {
        struct waiting *w = take_waiting(s, NULL, delivery);
        struct sink_answer ok = {SINK_OK, 0, UINT32_MAX};
        void *session;

        if (!w)
            return;
        session = w->session;
        /* the array changes hands */
        s->events->opened(session, message_new(s, w), &ok);
    }
}

static bool take_files(struct sink *s, struct chan_msg *m)
{
    int n = store_files_count(m->len, m->nfds);
    uint64_t came = 0;

    for (int i = 0; i < n; i++) {
        struct store_file f;

        if (store_file_decode(m->data, i, s->pool_count, &f) < 0 || s->by_slot[f.slot])
            return false;
        client_pool_add(&s->pools[f.delivery], f.slot, chan_msg_take(m, (unsigned)i));
        came |= UINT64_C(1) << (f.delivery % 64);
    }
    for (uint32_t d = 0; d < s->pool_count; d++)
        if (came & UINT64_C(1) << (d % 64))
            use_files(s, d);
    return n > 0;
}

static bool take_answers(struct sink *s, const struct chan_msg *m)
{
    int n = store_answers_count(m->len);

    for (int i = 0; i < n; i++) {
        struct store_answer sa;
        struct sink_message *of;
        struct sink_answer a;

        if (store_answer_decode(m->data, i, &sa) < 0)
            return false;
        of = s->by_slot[sa.slot];
        if (!of || !of->committed || of->is_twin)
            return false;
        a = (struct sink_answer){(enum sink_result)sa.result, sa.error, sa.mailbox};
        answer(of, &a);
    }
    return n > 0;
}

/* Those who wait for a file of this delivery are told why there is none. */
static void refuse(struct sink *s, uint32_t delivery, int error)
{
    struct sink_answer a = {store_result_of(error), error, UINT32_MAX};
    struct waiting *w;

    for (struct sink_message *m = s->queued.first, *next; m; m = next) {
        next = m->next;
        if (!waits_for(m, delivery))
            continue;
        list_remove(&s->queued, m);
        fail(m, error);
    }
    while ((w = take_waiting(s, NULL, delivery))) {
        void *session = w->session;

        waiting_free(w);
        s->events->opened(session, NULL, &a);
    }
}

static bool take_no_files(struct sink *s, const struct chan_msg *m)
{
    struct store_no_files nf;

    if (store_no_files_decode(m->data, m->len, s->pool_count, &nf) < 0)
        return false;
    s->pools[nf.delivery].asked = 0;
    refuse(s, nf.delivery, nf.error ? nf.error : EIO);
    return true;
}

static void store_gone(struct sink *s)
{
    s->gone = true;
    buf_clear(&s->commits);
    buf_clear(&s->drops);
    for (unsigned i = 0; i < STORE_SLOTS; i++) {
        struct sink_message *m = s->by_slot[i];

        if (m && m->committed && !m->is_twin && !m->at)
            fail(m, EPIPE);
    }
    for (uint32_t d = 0; d < s->pool_count; d++)
        refuse(s, d, EPIPE);
    answer_failed(s);
}

static bool take(struct sink *s, struct chan_msg *m)
{
    switch (m->type) {
    case STORE_FILES:
        return take_files(s, m);
    case STORE_ANSWERS:
        return take_answers(s, m);
    case STORE_NO_FILES:
        return take_no_files(s, m);
    default:
        return false;
    }
}

int store_client_readable(struct sink *s)
{
    while (!s->gone) {
        struct chan_msg m;
        int r = chan_recv(s->fd, s->room, sizeof s->room, &m, NULL);

        if (r == 0)
            return 0;
        if (r > 0) {
            bool ok = take(s, &m);

            chan_msg_close(&m);
            if (ok)
                continue;
            log_event(LOG_LEVEL_ERROR, "store.refused", "a message of type %u from the store is not well-formed",
                      m.type);
        }
        store_gone(s);
    }
    return -1;
}
