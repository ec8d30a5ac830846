#include "sink/flush.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "sink/fsops.h"

#define WHOLE_FROM 3u /* below: nothing to gain */
#define SLOW_US 20000 /* a syncfs this long is compared with the other way */
#define HOLD_FIRST_US INT64_C(1000000)
#define HOLD_MOST_US INT64_C(60000000)
#define FILE_SYSTEMS 16
#define STACK ((size_t)128 * 1024)

int flush_force = -1;

/* ---- the choice */

bool flush_whole_is_better(const struct flush_history *h, unsigned n, int64_t now_us)
{
    if (n < WHOLE_FROM || now_us < h->again_us)
        return false;
    /* slow, and the other way is not known yet: it gets one group to show what it takes */
    return h->whole_us <= SLOW_US || h->each_us != 0;
}

static void average(int64_t *avg, int64_t us)
{
    *avg = *avg ? *avg + (us - *avg) / 4 : us;
}

/* A syncfs also waits for what others have dirty: while it takes long, and flushing each file does not, it is left
 * alone, at first for a second, then longer. Somebody else's failed file fails it, too. */
void flush_learn(struct flush_history *h, bool whole, unsigned n, int64_t took_us, int64_t now_us, bool error)
{
    if (n < WHOLE_FROM)
        return;
    took_us = took_us > 0 ? took_us : 1;
    average(whole ? &h->whole_us : &h->each_us, took_us);
    if (!whole)
        return;
    if (error || (took_us > SLOW_US && h->each_us && took_us > 2 * h->each_us)) {
        h->hold_us = h->hold_us ? h->hold_us * 2 : HOLD_FIRST_US;
        if (h->hold_us > HOLD_MOST_US)
            h->hold_us = HOLD_MOST_US;
        h->again_us = now_us + h->hold_us;
        h->whole_us = took_us;
    } else if (took_us <= SLOW_US) {
        h->hold_us = 0;
        h->whole_us = h->whole_us > SLOW_US ? took_us : h->whole_us;
    }
}

/* ---- threads */

struct task { /* on the stack of whoever waits for it */
    struct flush_item *items;
    unsigned n, next, left;
    enum flush_kind kind;
    struct task *later;
};

struct flusher {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct task *first;
    bool stop;
    pthread_t threads[FLUSH_THREADS];
    unsigned thread_count;
    struct file_system {
        dev_t dev;
        struct flush_history history;
    } fs[FILE_SYSTEMS];
    unsigned fs_count;
};

static void flush_one(struct flush_item *i, enum flush_kind kind)
{
    int r = kind == FLUSH_DATA ? fsops->flush_data(i->fd) : fsops->flush_dir(i->fd);

    i->error = r < 0 ? errno : 0;
}

/* Takes one item off the task and flushes it; the lock is held on both sides of the call. */
static void help(struct flusher *f, struct task *t)
{
    struct flush_item *i = &t->items[t->next++];

    if (t->next == t->n) /* nothing left to take */
        for (struct task **at = &f->first; *at; at = &(*at)->later)
            if (*at == t) {
                *at = t->later;
                break;
            }
    pthread_mutex_unlock(&f->lock);
    flush_one(i, t->kind);
    pthread_mutex_lock(&f->lock);
    if (--t->left == 0)
        pthread_cond_broadcast(&f->done);
}

static void *flush_thread(void *arg)
{
    struct flusher *f = arg;

    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->first && !f->stop)
            pthread_cond_wait(&f->work, &f->lock);
        if (!f->first)
            break;
        help(f, f->first);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void flush_each(struct flusher *f, struct flush_item *items, unsigned n, enum flush_kind kind)
{
    struct task t = {.items = items, .n = n, .left = n, .kind = kind};

    if (kind == FLUSH_DATA &&
        n > 1) /* the disk gets all of it at once, then each is waited for; errors come with the flush */
        for (unsigned i = 0; i < n; i++)
            (void)fsops->flush_start(items[i].fd);
    if (n < WHOLE_FROM) { /* the first mostly takes the second along: not worth waking a thread */
        for (unsigned i = 0; i < n; i++)
            flush_one(&items[i], kind);
        return;
    }
    pthread_mutex_lock(&f->lock);
    t.later = f->first;
    f->first = &t;
    for (unsigned i = 1; i < n && i < FLUSH_THREADS; i++)
        pthread_cond_signal(&f->work);
    while (t.next < t.n)
        help(f, &t);
    while (t.left)
        pthread_cond_wait(&f->done, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

/* syncfs(2) tells an error once per open file and maybe to somebody else first; so each file is asked for its own. */
static bool flush_whole(struct flush_item *items, unsigned n, enum flush_kind kind)
{
    int error = fsops->flush_fs(items[0].fd) < 0 ? errno : 0;
    bool any = error != 0;

    for (unsigned i = 0; i < n; i++) {
        items[i].error = error;
        if (!error && kind == FLUSH_DATA && fsops->flush_check(items[i].fd) < 0) {
            items[i].error = errno;
            any = true;
        }
    }
    return any;
}

/* ---- */

static struct file_system *file_system(struct flusher *f, dev_t dev)
{
    for (unsigned i = 0; i < f->fs_count; i++)
        if (f->fs[i].dev == dev)
            return &f->fs[i];
    if (f->fs_count == FILE_SYSTEMS)
        return NULL; /* then each file is flushed by itself */
    f->fs[f->fs_count].dev = dev;
    return &f->fs[f->fs_count++];
}

static void flush_same(struct flusher *f, struct flush_item *items, unsigned n, enum flush_kind kind)
{
    int64_t before = clock_now().mono_us, after;
    struct file_system *fs;
    bool whole, error = false;

    pthread_mutex_lock(&f->lock);
    fs = file_system(f, items->dev);
    whole = fs && flush_whole_is_better(&fs->history, n, before);
    pthread_mutex_unlock(&f->lock);
    if (flush_force >= 0)
        whole = flush_force;
    if (whole)
        error = flush_whole(items, n, kind);
    else
        flush_each(f, items, n, kind);
    if (!fs)
        return;
    after = clock_now().mono_us;
    pthread_mutex_lock(&f->lock);
    flush_learn(&fs->history, whole, n, after - before, after, error);
    pthread_mutex_unlock(&f->lock);
}

static int by_device(const void *a, const void *b)
{
    const struct flush_item *x = a, *y = b;

    return x->dev < y->dev ? -1 : x->dev > y->dev;
}

void flusher_run(struct flusher *f, struct flush_item *items, unsigned n, enum flush_kind kind)
{
    qsort(items, n, sizeof *items, by_device);
    for (unsigned i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && items[end].dev == items[i].dev; end++)
            ;
        flush_same(f, items + i, end - i, kind);
    }
}

int flusher_new(struct flusher **out, struct err *e)
{
    struct flusher *f = mem_alloc(sizeof *f);
    pthread_attr_t attr;
    int r = 0;

    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->done, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    /* whoever asks is the sixteenth */
    while (f->thread_count < FLUSH_THREADS - 1 && r == 0) {
        r = pthread_create(&f->threads[f->thread_count], &attr, flush_thread, f);
        f->thread_count += r == 0;
    }
    pthread_attr_destroy(&attr);
    *out = f;
    if (r == 0)
        return 0;
    flusher_free(out);
    return err_set(e, "flush threads: %s", strerror(r));
}

void flusher_free(struct flusher **fp)
{
    struct flusher *f = *fp;

    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->thread_count; i++)
        pthread_join(f->threads[i], NULL);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->done);
    pthread_mutex_destroy(&f->lock);
    free(f);
    *fp = NULL;
}
