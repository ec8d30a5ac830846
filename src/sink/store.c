#include "sink/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/complain.h"
#include "sink/queue.h"
#include "sink/store_home.h"
#include "sink/store_worker.h"

#define WORKERS_MOST 64u
#define END_US INT64_C(1800000)         /* store.h promises two seconds */
#define HEADER_ROOM (UINT64_C(1) << 20) /* what our header fields may add to the largest message */
#define SPARE_DESCRIPTORS 64u

#define DRAIN_LOOK_MS 100

struct store {
    const struct conf *conf;
    struct delivery *deliveries; /* and the queue behind them, as one more, where there is one */
    unsigned delivery_count;
    struct conf_delivery queue_conf;
    struct queue *queue; /* NULL: no queue */
    struct store_home home;
    bool draining, let_go; /* the queue */
    int *directories;      /* for Landlock */
    int procfd;
    struct maildirs *maildirs;
    struct flusher *flusher;
    struct committer *committer;
    struct pool *pool;
    int pool_fd, done_fd; /* eventfds: files are made, commits are done */
    struct store_rooms rooms;
    struct store_worker *workers[WORKERS_MOST];
    unsigned worker_count;
    uint32_t next_worker;
    char room[CHAN_MAX + 4];
};

/* ---- before rights are dropped */

/* Who the store will be: as proc/rights.c decides it. */
static void future_identity(const struct conf *c, uid_t *uid, gid_t *gid)
{
    const struct passwd *p = geteuid() == 0 ? getpwnam(c->user ? c->user : "postern") : NULL;
    const struct group *g = p && c->group ? getgrnam(c->group) : NULL;

    *uid = p ? p->pw_uid : geteuid();
    *gid = g ? g->gr_gid : p ? p->pw_gid : getegid();
}

bool store_has_queue(const struct conf *c)
{
    for (unsigned i = 0; i < c->delivery_count; i++)
        if (c->deliveries[i].type != CONF_DELIVERY_MAILDIR)
            return true;
    return false;
}

/* To the workers and to the commit it is a delivery like the others, with one directory. */
static int open_queue(struct store *s, uid_t uid, gid_t gid, struct err *e)
{
    unsigned number = s->conf->delivery_count;

    if (!store_has_queue(s->conf))
        return 0;
    if (queue_open(&s->queue, s->conf->state_dir, s->conf->hostname, uid, gid, e) < 0)
        return -1;
    s->queue_conf = (struct conf_delivery){
        .title = "queue",
        .type = CONF_DELIVERY_MAILDIR,
        .path = mem_printf("%s/queue", s->conf->state_dir),
        .file_mode = 0600,
        .dir_mode = 0700,
    };
    delivery_open(&s->deliveries[number], &s->queue_conf, number, uid, gid);
    s->directories[number] = s->deliveries[number].fd;
    s->delivery_count++;
    return 0;
}

int store_open(struct store **out, const struct conf *c, struct err *e)
{
    struct store *s = mem_alloc(sizeof *s);
    uid_t uid;
    gid_t gid;

    s->conf = c;
    s->procfd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->procfd < 0) {
        err_set(e, "/proc/self/fd: %s (the store needs /proc)", strerror(errno));
        free(s);
        return -1;
    }
    umask(0); /* modes are exactly those of the configuration */
    future_identity(c, &uid, &gid);
    s->deliveries = mem_alloc(sizeof *s->deliveries * (c->delivery_count + 1));
    s->directories = mem_alloc(sizeof *s->directories * (c->delivery_count + 1));
    for (unsigned i = 0; i < c->delivery_count; i++) {
        delivery_open(&s->deliveries[i], &c->deliveries[i], i, uid, gid);
        s->directories[i] = s->deliveries[i].fd;
        if (s->deliveries[i].error && c->deliveries[i].type == CONF_DELIVERY_MAILDIR)
            complain(c, i, UINT32_MAX, geteuid(), s->deliveries[i].error, clock_now().mono_us);
    }
    s->delivery_count = c->delivery_count;
    *out = s;
    return open_queue(s, uid, gid, e);
}

unsigned store_directories(const struct store *s, const int **fds)
{
    *fds = s->directories;
    return s->delivery_count;
}

bool store_needs_fsuid(const struct store *s)
{
    for (unsigned i = 0; i < s->conf->delivery_count; i++)
        if (s->deliveries[i].other)
            return true;
    return false;
}

/* ---- workers */

static void add_worker(struct store *s, int fd)
{
    if (fd < 0)
        return;
    if (s->worker_count == WORKERS_MOST) {
        log_event(LOG_LEVEL_ERROR, "store.worker-refused", "more than %u workers", WORKERS_MOST);
        close(fd);
        return;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s->workers[s->worker_count++] = store_worker_new(&s->rooms, fd, ++s->next_worker);
}

static struct store_worker *find_worker(const struct store *s, uint32_t number)
{
    for (unsigned i = 0; i < s->worker_count; i++)
        if (store_worker_number(s->workers[i]) == number)
            return s->workers[i];
    return NULL;
}

static void ask_queue(struct store *s, const struct chan_msg *m, int fd)
{
    if (fd < 0)
        return;
    if (s->queue)
        queue_ask(s->queue, (struct span){m->data, m->len}, fd);
    else
        close(fd);
}

static void take_order(struct store *s, struct chan_msg *m)
{
    switch (m->type) {
    case STORE_ADD_WORKER:
        add_worker(s, chan_msg_take(m, 0));
        break;
    case STORE_ADD_RELAY:
        if (s->queue && m->nfds)
            queue_add_relay(s->queue, chan_msg_take(m, 0));
        break;
    case STORE_QUEUE_DRAIN:
        s->draining = true;
        if (s->queue)
            queue_drain(s->queue);
        break;
    case STORE_QUEUE_ASK:
        ask_queue(s, m, chan_msg_take(m, 0));
        break;
    }
}

static void tell_let_go(struct store *s, int leader_fd)
{
    if (!s->draining || s->let_go || (s->queue && !queue_is_idle(s->queue)))
        return;
    s->let_go = chan_send(leader_fd, STORE_QUEUE_LET_GO, NULL, 0, NULL, 0, NULL) != 0;
}

static bool from_leader(struct store *s, int leader_fd)
{
    for (;;) {
        struct chan_msg m;
        int r = chan_recv(leader_fd, s->room, sizeof s->room, &m, NULL);

        if (r <= 0)
            return r == 0;
        take_order(s, &m);
        chan_msg_close(&m);
    }
}

/* ---- what the threads have done */

static void take_files(struct store *s)
{
    struct pool_batch *b;

    while ((b = pool_done(s->pool))) {
        struct store_worker *w = find_worker(s, b->worker);

        if (b->error)
            complain(s->conf, b->delivery, UINT32_MAX, s->deliveries[b->delivery].uid, b->error, clock_now().mono_us);
        if (w)
            store_worker_files(w, b);
        else
            pool_batch_free(s->deliveries, b);
    }
}

static void say_failed(const struct store *s, const struct message *m)
{
    unsigned at = m->mailbox == UINT32_MAX ? m->delivery->number : s->conf->mailboxes[m->mailbox].delivery;

    complain(s->conf, at, m->mailbox, s->deliveries[at].uid, m->error, clock_now().mono_us);
}

static void take_commits(struct store *s)
{
    struct work *w = committer_done(s->committer), *next;

    for (; w; w = next) {
        struct store_worker *to = find_worker(s, w->worker);

        next = w->next;
        if (w->message.error)
            say_failed(s, &w->message);
        if (to)
            store_worker_answer(to, w);
        free(w);
    }
}

/* ---- the loop */

static void drain_eventfd(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof count);
}

static void turn(struct store *s, const struct pollfd *p, unsigned polled)
{
    drain_eventfd(s->pool_fd);
    drain_eventfd(s->done_fd);
    take_commits(s);
    take_files(s);
    for (unsigned i = polled; i-- > 0;) {
        if (p[i].revents & (POLLIN | POLLHUP | POLLERR) && store_worker_readable(s->workers[i]) < 0) {
            store_worker_free(&s->workers[i]);
            s->workers[i] = s->workers[--s->worker_count];
        }
    }
    committer_go(s->committer);
    for (unsigned i = 0; i < s->worker_count; i++)
        store_worker_push(s->workers[i]);
}

static struct pollfd poll_worker(const struct store_worker *w)
{
    short events = store_worker_events(w);

    return (struct pollfd){.fd = events ? store_worker_fd(w) : -1, .events = events};
}

static bool is_idle(const struct store *s)
{
    return committer_is_idle(s->committer) && pool_is_idle(s->pool);
}

static int patience_ms(const struct store *s, int64_t end_us)
{
    return end_us ? 20 : s->draining && !s->let_go ? DRAIN_LOOK_MS : -1;
}

/* True: all is done. False: time is over and a thread still waits for a disk. */
static bool serve(struct store *s, int leader_fd)
{
    int64_t end_us = 0;

    for (;;) {
        struct pollfd p[WORKERS_MOST + 3];
        unsigned n = s->worker_count;

        for (unsigned i = 0; i < n; i++)
            p[i] = poll_worker(s->workers[i]);
        p[n] = (struct pollfd){.fd = s->pool_fd, .events = POLLIN};
        p[n + 1] = (struct pollfd){.fd = s->done_fd, .events = POLLIN};
        p[n + 2] = (struct pollfd){.fd = end_us ? -1 : leader_fd, .events = POLLIN};
        if (poll(p, n + 3, patience_ms(s, end_us)) < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        turn(s, p, n);
        if (p[n + 2].revents && !from_leader(s, leader_fd))
            end_us = clock_now().mono_us + END_US; /* workers see it, too, and end */
        if (!end_us)
            tell_let_go(s, leader_fd);
        if (end_us && !s->worker_count && is_idle(s))
            return true;
        if (end_us && clock_now().mono_us > end_us)
            return is_idle(s);
    }
}

/* ---- behind the sandbox */

/* Every worker may hold its share of what is left beside directories, and at least a few. */
static void share_descriptors(struct store *s)
{
    unsigned workers = s->conf->workers ? s->conf->workers : 1, all = 1024, dirs, spare;
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0)
        all = r.rlim_cur > 1u << 20 ? 1u << 20 : (unsigned)r.rlim_cur;
    dirs = all / 4 > 1024 ? 1024 : all / 4;
    spare = SPARE_DESCRIPTORS + WORKERS_MOST + s->delivery_count * 2 + s->conf->queue.transfers + 32;
    s->rooms.slots = all > dirs + spare ? (all - dirs - spare) / workers : 0;
    if (s->rooms.slots > STORE_SLOTS)
        s->rooms.slots = STORE_SLOTS;
    if (s->rooms.slots < 16)
        s->rooms.slots = 16;
    s->maildirs = maildirs_new(s->conf, s->deliveries, dirs);
}

static uint64_t most_bytes(uint64_t limit)
{
    return limit == 0 || limit > (uint64_t)INT64_MAX - HEADER_ROOM ? (uint64_t)INT64_MAX : limit + HEADER_ROOM;
}

static int start_queue(struct store *s, struct err *e)
{
    const struct conf_queue *c = &s->conf->queue;
    struct queue_hooks hooks;
    struct queue_limits l = {
        .transfers = c->transfers,
        .per_destination = c->per_destination,
        .retry = {.first_gap_us = c->first_retry * INT64_C(1000000),
                  .most_gap_us = c->longest_retry * INT64_C(1000000),
                  .notice_us = c->delay_notice * INT64_C(1000000),
                  .max_age_us = c->max_age * INT64_C(1000000)},
    };

    s->home = (struct store_home){.conf = s->conf, .maildirs = s->maildirs, .flusher = s->flusher, .procfd = s->procfd};
    store_home_hooks(&hooks, &s->home);
    return queue_start(s->queue, &l, &hooks, e);
}

static int start(struct store *s, struct err *e)
{
    for (unsigned i = 0; i < s->delivery_count; i++) {
        struct delivery *d = &s->deliveries[i];

        d->other = d->uid != geteuid() || d->gid != getegid();
    }
    share_descriptors(s);
    s->pool_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->pool_fd < 0 || s->done_fd < 0)
        return err_set(e, "eventfd: %s", strerror(errno));
    if (flusher_new(&s->flusher, e) < 0 ||
        committer_new(&s->committer, s->maildirs, s->flusher, s->conf->hostname, s->procfd,
                      s->queue ? &s->deliveries[s->conf->delivery_count] : NULL, s->done_fd, e) < 0 ||
        pool_new(&s->pool, s->conf, s->deliveries, s->maildirs, s->pool_fd, e) < 0)
        return -1;
    s->rooms.conf = s->conf;
    s->rooms.deliveries = s->deliveries;
    s->rooms.pool = s->pool;
    s->rooms.committer = s->committer;
    s->rooms.room = s->room;
    s->rooms.bounds = (struct store_bounds){
        .deliveries = s->delivery_count,
        .queue = s->queue != NULL,
        .mailboxes = s->conf->mailbox_count,
        .size = most_bytes(s->conf->limits.max_message_size),
    };
    s->rooms.queue = s->queue ? &s->deliveries[s->conf->delivery_count] : NULL;
    return s->queue ? start_queue(s, e) : 0;
}

static void end(struct store *s)
{
    while (s->worker_count)
        store_worker_free(&s->workers[--s->worker_count]);
    queue_free(&s->queue);
    store_home_end(&s->home);
    pool_free(&s->pool);
    committer_free(&s->committer);
    flusher_free(&s->flusher);
    maildirs_free(&s->maildirs);
    for (unsigned i = 0; i < s->delivery_count; i++)
        delivery_close(&s->deliveries[i]);
    free((void *)(uintptr_t)s->queue_conf.path);
    close(s->procfd);
    close(s->pool_fd);
    close(s->done_fd);
    free(s->deliveries);
    free(s->directories);
    free(s);
}

int store_run(struct store *s, int leader_fd)
{
    sigset_t all, before;
    bool ended;
    struct err e;
    int rc;

    sigfillset(&all); /* signals are for the loop, not for threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = start(s, &e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "store: %s", e.text);
        return 70;
    }
    if (chan_send_wait(leader_fd, 5000, STORE_READY, NULL, 0, NULL, 0, &e) != 1)
        return 70;
    ended = serve(s, leader_fd);
    if (ended)
        end(s); /* otherwise a thread still holds all of it: the end of the process ends it */
    return 0;
}
