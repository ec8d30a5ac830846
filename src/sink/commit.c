#include "sink/commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "sink/fsops.h"

#define GROUP_MOST 256u  /* messages */
#define GROUP_NAMES 256u /* ... and names together, unless one message alone has more */
#define LANES 64u

unsigned commit_threads = COMMIT_THREADS;

/* One per worker: groups take from all in turn, so that one that floods keeps nobody else waiting long. */
struct lane {
    uint32_t worker;
    struct work *first, **last;
};

struct committer {
    struct maildirs *dirs;
    struct flusher *flusher;
    char host[NAMES_HOST_MOST];
    int procfd, notify_fd;
    struct delivery *queue;
    pthread_t threads[FLUSH_THREADS];
    unsigned thread_count;
    pthread_mutex_t lock;
    pthread_cond_t go;
    struct lane lanes[LANES];
    unsigned lane_count, turn, waiting, running;
    struct work *done;
    bool stop;
};

struct work *work_new(uint32_t count)
{
    struct work *w = mem_alloc(sizeof *w + sizeof(uint32_t) * count);

    w->message.mailboxes = w->mailboxes;
    w->message.count = count;
    w->message.mailbox = UINT32_MAX;
    w->message.fd = w->message.queued.fd = -1;
    w->file.fd = w->queue_file.fd = -1;
    w->queue_slot = UINT32_MAX;
    return w;
}

/* ---- gathering; the lock is held */

static struct lane *lane_of(struct committer *c, uint32_t worker)
{
    struct lane *l;

    for (unsigned i = 0; i < c->lane_count; i++)
        if (c->lanes[i].worker == worker)
            return &c->lanes[i];
    if (c->lane_count == LANES) /* workers that died with work left may hold some: share the last one */
        return &c->lanes[LANES - 1];
    l = &c->lanes[c->lane_count++];
    *l = (struct lane){.worker = worker};
    l->last = &l->first;
    return l;
}

static struct work *take_from(struct committer *c, unsigned at)
{
    struct lane *l = &c->lanes[at];
    struct work *w = l->first;

    l->first = w->next;
    w->next = NULL;
    c->waiting--;
    if (!l->first)
        *l = c->lanes[--c->lane_count];
    return w;
}

static struct work *take_group(struct committer *c, unsigned *count)
{
    struct work *group = NULL, **last = &group;
    uint64_t names = 0;

    for (*count = 0; c->lane_count && *count < GROUP_MOST; ++*count) {
        unsigned at = c->turn++ % c->lane_count;
        uint32_t more = c->lanes[at].first->message.count;

        if (*count && names + more > GROUP_NAMES)
            break;
        names += more;
        *last = take_from(c, at);
        last = &(*last)->next;
    }
    return group;
}

/* ---- a group */

static bool flush_one(struct message *m, int fd, struct flush_item *item)
{
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0) {
        message_fail(m, errno, UINT32_MAX);
        return false;
    }
    if (fd == m->fd)
        m->dev = st.st_dev;
    *item = (struct flush_item){.fd = fd, .dev = st.st_dev, .user = m};
    return true;
}

/* How long the content is was not known when the envelope was written: queue_file.h. */
static void write_size(struct message *m)
{
    char digits[QUEUE_FILE_SIZE_DIGITS + 1];

    if (m->queued.fd < 0)
        return;
    queue_file_size_text(digits, m->queued.size - m->queued.head);
    if (pwrite(m->queued.fd, digits, QUEUE_FILE_SIZE_DIGITS, QUEUE_FILE_SIZE_AT) != QUEUE_FILE_SIZE_DIGITS)
        message_fail(m, errno, UINT32_MAX);
}

static void flush_data(struct committer *c, struct work *group, unsigned count)
{
    struct flush_item *items = mem_alloc(sizeof *items * count * 2);
    unsigned n = 0;

    for (struct work *w = group; w; w = w->next) {
        write_size(&w->message);
        n += flush_one(&w->message, w->message.fd, &items[n]);
        n += flush_one(&w->message, w->message.queued.fd, &items[n]);
    }
    flusher_run(c->flusher, items, n, FLUSH_DATA);
    for (unsigned i = 0; i < n; i++)
        if (items[i].error)
            message_fail(items[i].user, items[i].error, UINT32_MAX);
    free(items);
}

/* A worker is not trusted: what is in the file counts, and it must be what was said. */
static void check_size(struct message *m, int fd, uint64_t size)
{
    struct stat st;

    if (fd < 0 || m->error)
        return;
    if (fstat(fd, &st) < 0)
        message_fail(m, errno, UINT32_MAX);
    else if ((uint64_t)st.st_size != size)
        message_fail(m, EPROTO, UINT32_MAX);
}

static void commit_group(struct committer *c, struct publish *p, struct work *group, unsigned count)
{
    fsops_step("group");
    flush_data(c, group, count);
    fsops_step("data-flushed");
    for (struct work *w = group; w; w = w->next) {
        check_size(&w->message, w->message.fd, w->message.size);
        check_size(&w->message, w->message.queued.fd, w->message.queued.size);
        if (!w->message.error)
            publish_message(p, &w->message);
    }
    fsops_step("published");
    publish_end(p);
    fsops_step("names-flushed");
    for (struct work *w = group; w; w = w->next) {
        if (w->file.fd >= 0)
            pool_release(w->delivery, &w->file);
        if (w->queue_file.fd >= 0)
            pool_release(c->queue, &w->queue_file);
    }
}

/* ---- threads */

static void hand_back(struct committer *c, struct work *group)
{
    struct work *last = group;
    uint64_t one = 1;

    while (last->next)
        last = last->next;
    last->next = c->done;
    c->done = group;
    (void)!write(c->notify_fd, &one, sizeof one);
}

static void *commit_thread(void *arg)
{
    struct committer *c = arg;
    struct publish *p = publish_new(c->dirs, c->flusher, c->host, c->procfd, c->queue);

    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct work *group;
        unsigned count;

        while (!c->lane_count && !c->stop)
            pthread_cond_wait(&c->go, &c->lock);
        if (!c->lane_count)
            break;
        group = take_group(c, &count);
        c->running++;
        pthread_mutex_unlock(&c->lock);
        commit_group(c, p, group, count);
        pthread_mutex_lock(&c->lock);
        c->running--;
        hand_back(c, group);
    }
    pthread_mutex_unlock(&c->lock);
    publish_free(&p);
    return NULL;
}

int committer_new(struct committer **out, struct maildirs *m, struct flusher *f, const char *host, int procfd,
                  struct delivery *queue, int notify_fd, struct err *e)
{
    struct committer *c = mem_alloc(sizeof *c);
    int r = 0;

    *c = (struct committer){.dirs = m, .flusher = f, .procfd = procfd, .queue = queue, .notify_fd = notify_fd};
    names_host(c->host, host);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->go, NULL);
    while (c->thread_count < commit_threads && r == 0) {
        r = pthread_create(&c->threads[c->thread_count], NULL, commit_thread, c);
        c->thread_count += r == 0;
    }
    *out = c;
    if (r == 0)
        return 0;
    committer_free(out);
    return err_set(e, "commit threads: %s", strerror(r));
}

void committer_free(struct committer **cp)
{
    struct committer *c = *cp;
    struct work *w;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->go);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->thread_count; i++)
        pthread_join(c->threads[i], NULL);
    while ((w = c->done)) {
        c->done = w->next;
        free(w);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->go);
    free(c);
    *cp = NULL;
}

void committer_add(struct committer *c, struct work *w)
{
    struct lane *l;

    w->next = NULL;
    pthread_mutex_lock(&c->lock);
    l = lane_of(c, w->worker);
    *l->last = w;
    l->last = &w->next;
    c->waiting++;
    pthread_mutex_unlock(&c->lock);
}

void committer_go(struct committer *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->lane_count)
        pthread_cond_signal(&c->go);
    pthread_mutex_unlock(&c->lock);
}

struct work *committer_done(struct committer *c)
{
    struct work *list;

    pthread_mutex_lock(&c->lock);
    list = c->done;
    c->done = NULL;
    pthread_mutex_unlock(&c->lock);
    return list;
}

bool committer_is_idle(struct committer *c)
{
    bool idle;

    pthread_mutex_lock(&c->lock);
    idle = !c->lane_count && !c->running && !c->done;
    pthread_mutex_unlock(&c->lock);
    return idle;
}
