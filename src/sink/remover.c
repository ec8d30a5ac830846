#include "sink/remover.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "sink/fsops.h"

#define THREADS 4u
#define STACK ((size_t)128 * 1024)

struct item {
    struct item *next;
    void *what;
    int error;
    char name[];
};

struct remover {
    int dir, wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct item *todo, **last, *done;
    bool stop;
    unsigned thread_count;
    pthread_t threads[THREADS];
};

static void remove_one(const struct remover *r, struct item *i)
{
    fsops_step("remove");
    i->error = fsops->unlink(r->dir, i->name) < 0 && errno != ENOENT ? errno : 0;
    fsops_step("removed");
}

static void *remover_thread(void *arg)
{
    struct remover *r = arg;
    uint64_t one = 1;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        struct item *i;
        bool first;

        while (!r->todo && !r->stop)
            pthread_cond_wait(&r->work, &r->lock);
        i = r->todo;
        if (!i)
            break;
        r->todo = i->next;
        if (!r->todo)
            r->last = &r->todo;
        pthread_mutex_unlock(&r->lock);
        remove_one(r, i);
        pthread_mutex_lock(&r->lock);
        first = !r->done; /* else the owner was woken already, and has not looked */
        i->next = r->done;
        r->done = i;
        if (first)
            (void)!write(r->wake_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int remover_new(struct remover **out, int dir, int wake_fd, struct err *e)
{
    struct remover *r = mem_alloc(sizeof *r);
    pthread_attr_t attr;
    int error = 0;

    r->dir = dir;
    r->wake_fd = wake_fd;
    r->last = &r->todo;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    while (r->thread_count < THREADS && error == 0) {
        error = pthread_create(&r->threads[r->thread_count], &attr, remover_thread, r);
        r->thread_count += error == 0;
    }
    pthread_attr_destroy(&attr);
    *out = r;
    if (error == 0)
        return 0;
    remover_free(out);
    return err_set(e, "threads that remove: %s", strerror(error));
}

void remover_add(struct remover *r, const char *name, void *what)
{
    size_t n = strlen(name) + 1;
    struct item *i = mem_alloc(sizeof *i + n);

    i->what = what;
    memcpy(i->name, name, n);
    pthread_mutex_lock(&r->lock);
    *r->last = i;
    r->last = &i->next;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
}

void *remover_take(struct remover *r, int *error)
{
    struct item *i;
    void *what;

    pthread_mutex_lock(&r->lock);
    i = r->done;
    if (i)
        r->done = i->next;
    pthread_mutex_unlock(&r->lock);
    if (!i)
        return NULL;
    *error = i->error;
    what = i->what;
    free(i);
    return what;
}

void remover_free(struct remover **rp)
{
    struct remover *r = *rp;
    struct item *i;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->lock);
    for (unsigned k = 0; k < r->thread_count; k++)
        pthread_join(r->threads[k], NULL);
    while ((i = r->done)) {
        r->done = i->next;
        free(i);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    free(r);
    *rp = NULL;
}
