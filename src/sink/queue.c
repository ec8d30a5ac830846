#include "sink/queue_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define ASK_AGAIN_MS 200   /* for the lock */
#define SCAN_PER_TURN 500u /* files; transfers go on between */
#define STARTS_PER_TURN 200u
#define LONGEST_MS 60000             /* the wall clock may be set */
#define SET_BACK_US INT64_C(5000000) /* less is not worth it */
#define COLLECT_MS 1
#define REMOVED_US INT64_C(100000)
#define WATCHED (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM)

const struct queue_limits queue_limits_default = {
    .transfers = 100,
    .per_destination = 20,
    .retry = {.first_gap_us = INT64_C(60) * 1000000,
              .most_gap_us = INT64_C(10800) * 1000000,
              .notice_us = INT64_C(14400) * 1000000,
              .max_age_us = INT64_C(432000) * 1000000},
};

/* ---- before rights are dropped */

static int open_directory(const char *path, uid_t uid, gid_t gid)
{
    int fd;
    bool made = mkdir(path, 0700) == 0;

    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && made && geteuid() == 0 && fchown(fd, uid, gid) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_lock(const struct queue *q, uid_t uid, gid_t gid)
{
    int fd = openat(q->disk.dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 && geteuid() == 0 && fchown(fd, uid, gid) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int queue_open(struct queue **out, const char *state_dir, const char *hostname, uid_t uid, gid_t gid, struct err *e)
{
    struct queue *q = mem_alloc(sizeof *q);
    char *path = mem_printf("%s/queue", state_dir);

    *out = q;
    pthread_mutex_init(&q->lock, NULL);
    q->hostname = mem_str(hostname);
    q->idle = true;
    q->lock_fd = q->inotify_fd = q->wake_fd = q->disk.procfd = -1;
    for (unsigned i = 0; i < QUEUE_RELAYS; i++)
        q->relays[i].fd = -1;
    q->disk.dir = open_directory(path, uid, gid);
    if (q->disk.dir >= 0)
        q->lock_fd = open_lock(q, uid, gid);
    if (q->lock_fd >= 0)
        q->disk.procfd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (q->disk.procfd >= 0)
        q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->wake_fd >= 0)
        q->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (q->inotify_fd < 0 || inotify_add_watch(q->inotify_fd, path, WATCHED | IN_ONLYDIR) < 0) {
        err_set(e, "%s: %s", path, strerror(errno));
        free(path);
        queue_free(out);
        return -1;
    }
    free(path);
    return 0;
}

/* ---- messages */

void queue_touch(struct queue *q, struct queue_message *m)
{
    if (m->dirty)
        return;
    if (q->dirty_count == q->dirty_cap) {
        q->dirty_cap = q->dirty_cap ? q->dirty_cap * 2 : 64;
        q->dirty = mem_grow(q->dirty, q->dirty_cap * sizeof(struct queue_message *));
    }
    m->dirty = true;
    q->dirty[q->dirty_count++] = m;
}

static void say_damaged(struct queue *q, const char *id, const struct err *e)
{
    struct log_line l;

    q->damaged++;
    log_begin(&l, LOG_LEVEL_ERROR, "queue.damaged");
    log_str(&l, "id", id);
    log_str(&l, "details", e->text);
    log_str(&l, "hint",
            "The file stays where it is, and nothing is done with it until the next start: mend it or move it away.");
    log_end(&l);
}

void queue_forget(struct queue *q, struct queue_message *m)
{
    queue_answer_forget(q, m);
    queue_table_drop(&q->table, m);
}

int queue_need_file(struct queue *q, struct queue_message *m)
{
    struct err e = {""};
    int r = m->file ? 1 : queue_disk_load(&q->disk, m->id, &m->file, &e);

    if (r > 0)
        return 0;
    if (r < 0)
        say_damaged(q, m->id, &e);
    m->gone = true;
    if (!m->running && !m->dirty)
        queue_forget(q, m);
    return -1;
}

static bool has_somebody_here(const struct queue *q, const struct queue_head *h)
{
    for (uint32_t i = 0; i < h->rcpt_count; i++)
        if (q->hooks.is_here(q->hooks.arg, h->rcpts[i].route.p))
            return true;
    return false;
}

void queue_look_at(struct queue *q, const char *name)
{
    struct queue_loaded *l;
    struct err e = {""};
    int r;

    if (!queue_file_is_id(span_str(name)) || queue_table_find(&q->table, span_str(name)))
        return;
    r = queue_disk_load(&q->disk, name, &l, &e);
    if (r < 0)
        say_damaged(q, name, &e);
    if (r > 0)
        queue_table_add(&q->table, l, q->now_us);
    if (r > 0 && has_somebody_here(q, l->head))
        queue_touch(q, queue_table_find(&q->table, span_str(name)));
    queue_loaded_free(&l);
}

/* Somebody removed the file: an operator, or the store, which took a name back. */
static void look_away(struct queue *q, const char *name)
{
    struct queue_message *m = queue_table_find(&q->table, span_str(name));

    if (!m)
        return;
    m->gone = true;
    queue_touch(q, m);
}

/* ---- taking over and letting go */

static void start_scan(struct queue *q)
{
    int fd = openat(q->disk.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (q->scan)
        closedir(q->scan);
    q->scan = fd >= 0 ? fdopendir(fd) : NULL;
    if (!q->scan) {
        log_event(LOG_LEVEL_ERROR, "queue.scan-failed", "%s", strerror(errno));
        if (fd >= 0)
            close(fd);
    }
}

static void take_over(struct queue *q)
{
    if (flock(q->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return;
    q->scheduling = true;
    q->table.since_us = q->now_us;
    q->damaged = 0;
    queue_table_init(&q->table);
    start_scan(q);
    pthread_mutex_lock(&q->lock);
    q->idle = false;
    pthread_mutex_unlock(&q->lock);
}

static void let_go(struct queue *q)
{
    if (q->scan)
        closedir(q->scan);
    q->scan = NULL;
    queue_answer_cut(q);
    queue_table_clear(&q->table);
    queue_disk_flush(&q->disk);
    q->scheduling = false;
    flock(q->lock_fd, LOCK_UN);
    log_event(LOG_LEVEL_INFO, "queue.let-go", "all transfers are reported");
    pthread_mutex_lock(&q->lock);
    q->idle = true;
    pthread_mutex_unlock(&q->lock);
}

static void say_taken_over(const struct queue *q)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "queue.taken-over");
    log_int(&l, "messages", q->table.count);
    log_int(&l, "bytes", (int64_t)q->table.bytes);
    log_int(&l, "damaged", (int64_t)q->damaged);
    log_int(&l, "elapsed", (clock_now().real_us - q->table.since_us) / 1000);
    log_end(&l);
}

static void go_on_scanning(struct queue *q)
{
    for (unsigned i = 0; i < SCAN_PER_TURN; i++) {
        const struct dirent *de = readdir(q->scan);

        if (!de) {
            closedir(q->scan);
            q->scan = NULL;
            queue_table_sort(&q->table);
            say_taken_over(q);
            return;
        }
        if (strncmp(de->d_name, ".new-", 5) == 0) /* a report that was being made when its maker died */
            (void)unlinkat(q->disk.dir, de->d_name, 0);
        else
            queue_look_at(q, de->d_name);
    }
}

static void read_inotify(struct queue *q)
{
    _Alignas(struct inotify_event) char room[65536];
    ssize_t n;

    while ((n = read(q->inotify_fd, room, sizeof room)) > 0) {
        for (char *p = room; p < room + n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)p;

            if (ev->mask & IN_Q_OVERFLOW)
                start_scan(q);
            else if (ev->len && ev->mask & (IN_CREATE | IN_MOVED_TO))
                queue_look_at(q, ev->name);
            else if (ev->len)
                look_away(q, ev->name);
            p += sizeof *ev + ev->len;
        }
    }
}

/* ---- the thread */

static void take_inbox(struct queue *q)
{
    struct queue_question *ask, *next;
    int relays[QUEUE_RELAYS];
    unsigned n;

    pthread_mutex_lock(&q->lock);
    ask = q->questions;
    q->questions = NULL;
    n = q->new_relay_count;
    memcpy(relays, q->new_relays, sizeof relays);
    q->new_relay_count = 0;
    q->draining |= q->drain;
    pthread_mutex_unlock(&q->lock);
    for (unsigned i = 0; i < n; i++)
        queue_run_relay(q, relays[i]);
    for (; ask; ask = next) {
        next = ask->next;
        queue_answer_begin(q, (struct span){ask->text, ask->n}, ask->fd);
        free(ask);
    }
}

static void settle_all(struct queue *q)
{
    /* the list grows while it is worked on: a report is a message, too */
    for (unsigned i = 0; i < q->dirty_count; i++) {
        q->dirty[i]->dirty = false;
        queue_settle(q, q->dirty[i]);
    }
    q->dirty_count = 0;
}

/* Names that went are made sure of together, some times a second: a flush for each turn would be what the queue spends
 * its time with. What a power cut in between brings back is sent once more, as it is after one in the moment between
 * a server's reply and any flush. */
static void flush_removed(struct queue *q)
{
    if (!q->disk.unflushed) {
        q->flush_us = QUEUE_NEVER;
        return;
    }
    if (q->flush_us == QUEUE_NEVER || q->flush_us > q->now_us + REMOVED_US) /* the clock was set back */
        q->flush_us = q->now_us + REMOVED_US;
    if (q->now_us < q->flush_us)
        return;
    queue_disk_flush(&q->disk);
    q->flush_us = QUEUE_NEVER;
}

static void look_after(struct queue *q)
{
    struct queue_message *m;

    for (unsigned i = 0; i < STARTS_PER_TURN && (m = queue_table_attention(&q->table, q->now_us)); i++) {
        heap_drop(&q->table.attention, &m->node);
        queue_touch(q, m);
    }
}

static void schedule(struct queue *q)
{
    queue_settle_removed(q);
    read_inotify(q);
    if (q->scan)
        go_on_scanning(q);
    settle_all(q);
    if (q->draining) {
        queue_run_drain(q);
        if (!q->table.running && !q->leaving)
            let_go(q);
        return;
    }
    look_after(q);
    settle_all(q);
    queue_run_start(q);
    settle_all(q);
    flush_removed(q);
}

static int schedule_ms(const struct queue *q)
{
    int64_t us;

    if (!q->scheduling)
        return q->draining ? -1 : ASK_AGAIN_MS;
    if (q->scan)
        return 0;
    us = queue_table_next_us(&q->table);
    us = (us < q->flush_us ? us : q->flush_us) - q->now_us;
    /* what is due and was not started waits for a relay, or for one that has room */
    if (us <= 0)
        us = q->table.attention.count && q->table.attention.node[0]->key <= q->now_us ? 0 : 1000000;
    return us > LONGEST_MS * INT64_C(1000) ? LONGEST_MS : (int)((us + 999) / 1000);
}

/* While much happens a turn takes what came in a moment, not each thing alone: waking up is dear beside what is to be
 * done. What comes after a quiet time is done at once. */
static void collect(const struct queue *q)
{
    if (q->table.running && !q->scan && clock_now().mono_us - q->turn_us < COLLECT_MS * INT64_C(1000))
        poll(NULL, 0, COLLECT_MS);
}

/* Times to come are those of the wall clock, since they outlive the process. What it says over the monotonic one grows in
 * a suspended machine, and gets less only when somebody sets it. */
static void look_at_clock(struct queue *q)
{
    struct now now = clock_now();
    int64_t ahead_us = now.real_us - now.mono_us;

    if (q->scheduling && ahead_us < q->ahead_us - SET_BACK_US) {
        log_event(LOG_LEVEL_WARN, "queue.clock-set-back", "by %lld s: all that waits is looked at again",
                  (long long)((q->ahead_us - ahead_us) / 1000000));
        queue_table_clock_back(&q->table, now.real_us);
    }
    q->ahead_us = ahead_us;
    q->now_us = now.real_us;
    q->turn_us = now.mono_us;
}

static void wait_for_something(struct queue *q)
{
    struct pollfd p[QUEUE_RELAYS + 2 + QUEUE_TALKS];
    unsigned talks = queue_answer_poll(q, p + QUEUE_RELAYS + 2);
    uint64_t count;

    p[0] = (struct pollfd){.fd = q->wake_fd, .events = POLLIN};
    p[1] = (struct pollfd){.fd = q->scheduling ? q->inotify_fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < QUEUE_RELAYS; i++)
        p[i + 2] =
            (struct pollfd){.fd = q->relays[i].fd, .events = (short)(q->relays[i].blocked ? POLLIN | POLLOUT : POLLIN)};
    collect(q);
    (void)poll(p, QUEUE_RELAYS + 2 + talks, queue_answer_patience_ms(q, schedule_ms(q)));
    (void)!read(q->wake_fd, &count, sizeof count);
    look_at_clock(q);
    queue_answer_polled(q, p + QUEUE_RELAYS + 2, talks);
    for (unsigned i = 0; i < QUEUE_RELAYS; i++) {
        if (p[i + 2].revents & POLLOUT)
            q->relays[i].blocked = false;
        if (p[i + 2].revents & (POLLIN | POLLHUP | POLLERR) && q->relays[i].fd == p[i + 2].fd)
            queue_run_readable(q, &q->relays[i]);
    }
}

static bool is_stopped(struct queue *q)
{
    bool stop;

    pthread_mutex_lock(&q->lock);
    stop = q->stop;
    pthread_mutex_unlock(&q->lock);
    return stop;
}

static void *queue_thread(void *arg)
{
    struct queue *q = arg;

    look_at_clock(q);
    q->flush_us = QUEUE_NEVER;
    while (!is_stopped(q)) {
        take_inbox(q);
        queue_answer_go(q);
        if (!q->scheduling && !q->draining)
            take_over(q);
        if (q->scheduling)
            schedule(q);
        else if (q->draining)
            queue_run_drain(q);
        if (!is_stopped(q))
            wait_for_something(q);
    }
    return NULL;
}

/* ---- the store's side */

static void wake(const struct queue *q)
{
    uint64_t one = 1;

    (void)!write(q->wake_fd, &one, sizeof one);
}

int queue_start(struct queue *q, const struct queue_limits *l, const struct queue_hooks *h, struct err *e)
{
    sigset_t all, before;
    int r;

    q->limits = *l;
    q->hooks = *h;
    q->table.per_destination = l->per_destination;
    q->table.retry = l->retry;
    q->table.by_domain = h->by_domain;
    q->table.arg = h->arg;
    if (getrandom(&q->table.random, sizeof q->table.random, GRND_NONBLOCK) < 0)
        q->table.random = (uint64_t)clock_now().mono_us;
    sigfillset(&all); /* signals are for the store's loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = remover_new(&q->remover, q->disk.dir, q->wake_fd, e);
    if (r == 0)
        r = pthread_create(&q->thread, NULL, queue_thread, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    q->started = r == 0;
    if (r < 0)
        return -1;
    return r ? err_set(e, "the queue's thread: %s", strerror(r)) : 0;
}

void queue_add_relay(struct queue *q, int fd)
{
    pthread_mutex_lock(&q->lock);
    if (q->new_relay_count < QUEUE_RELAYS) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        q->new_relays[q->new_relay_count++] = fd;
        fd = -1;
    }
    pthread_mutex_unlock(&q->lock);
    if (fd >= 0)
        close(fd);
    wake(q);
}

void queue_drain(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->drain = true;
    pthread_mutex_unlock(&q->lock);
    wake(q);
}

bool queue_is_idle(struct queue *q)
{
    bool idle;

    pthread_mutex_lock(&q->lock);
    idle = q->idle;
    pthread_mutex_unlock(&q->lock);
    return idle;
}

void queue_ask(struct queue *q, struct span request, int fd)
{
    struct queue_question *ask = mem_alloc(sizeof *ask + request.n + 1), **last = &q->questions;
    unsigned others = 0;

    ask->fd = fd;
    ask->n = request.n;
    memcpy(ask->text, request.p, request.n);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    pthread_mutex_lock(&q->lock);
    for (; *last; last = &(*last)->next)
        others++;
    if (others < QUEUE_QUESTIONS) {
        *last = ask;
        ask = NULL;
    }
    pthread_mutex_unlock(&q->lock);
    wake(q);
    if (ask)
        close(fd);
    free(ask);
}

static void close_all(struct queue *q)
{
    const int fd[] = {q->wake_fd, q->inotify_fd, q->disk.procfd, q->lock_fd, q->disk.dir};

    for (unsigned i = 0; i < sizeof fd / sizeof *fd; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    for (unsigned i = 0; i < q->new_relay_count; i++)
        close(q->new_relays[i]);
}

void queue_free(struct queue **qp)
{
    struct queue *q = *qp;
    struct queue_question *ask;

    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_mutex_unlock(&q->lock);
    if (q->started) {
        wake(q);
        pthread_join(q->thread, NULL);
    }
    for (unsigned i = 0; i < QUEUE_RELAYS; i++)
        queue_run_end(q, &q->relays[i]);
    if (q->remover) {
        remover_free(&q->remover);
        q->disk.unflushed |= q->leaving > 0;
        queue_disk_flush(&q->disk);
        for (struct queue_message *m = q->scheduling ? q->table.oldest : NULL; m; m = m->newer)
            m->running -= m->leaving;
    }
    if (q->scan)
        closedir(q->scan);
    queue_answer_free(q);
    if (q->scheduling)
        queue_table_clear(&q->table);
    while ((ask = q->questions)) {
        q->questions = ask->next;
        close(ask->fd);
        free(ask);
    }
    close_all(q);
    pthread_mutex_destroy(&q->lock);
    free(q->dirty);
    free(q->hostname);
    free(q);
    *qp = NULL;
}
