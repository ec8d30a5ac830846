#include "sink/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "sink/fsops.h"

#define HIDDEN ".postern-tmp"
#define TEMP_NAME 32
#define MAILBOXES_TRIED 16u

unsigned pool_place_files = 2048;

struct pool {
    const struct conf *conf;
    struct delivery *deliveries;
    struct maildirs *dirs;
    int notify_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct pool_batch *asked, **asked_last, *done, **done_last;
    bool stop, busy;
};

static void temp_name(char dst[TEMP_NAME], uint64_t number)
{
    snprintf(dst, TEMP_NAME, "%d.%llu", (int)getpid(), (unsigned long long)number);
}

/* ---- the hidden directory: one below it for each running store, locked by it */

static void empty_dir(int fd)
{
    int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = again >= 0 ? fdopendir(again) : NULL;
    const struct dirent *de;

    if (!d && again >= 0)
        close(again);
    while (d && (de = readdir(d)))
        if (de->d_name[0] != '.')
            (void)unlinkat(fd, de->d_name, 0);
    if (d)
        closedir(d);
}

/* Whose lock can be had is dead: nobody was told 250 for what it left. */
static void remove_leftovers(int hidden)
{
    int again = fcntl(hidden, F_DUPFD_CLOEXEC, 0);
    DIR *d = again >= 0 ? fdopendir(again) : NULL;
    const struct dirent *de;

    if (!d && again >= 0)
        close(again);
    while (d && (de = readdir(d))) {
        int fd = de->d_name[0] == '.' ? -1 : fsops->open_dir(hidden, de->d_name);

        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            empty_dir(fd);
            (void)unlinkat(hidden, de->d_name, AT_REMOVEDIR);
        }
        close(fd);
    }
    if (d)
        closedir(d);
}

/* ext4 puts files near their directory, and there it looks at every inode that was freed in the last minutes before it
 * takes one: where much mail is read and removed, a new file then costs ten times as much. Directories in one marked as
 * the top of unrelated ones (chattr(1), T) are spread over the disk: another directory from time to time means other
 * inodes. Other file systems do not know the mark, and need none. */
static void spread_children(int hidden)
{
    int flags;

    if (ioctl(hidden, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
        flags |= FS_TOPDIR_FL;
        (void)ioctl(hidden, FS_IOC_SETFLAGS, &flags);
    }
}

static int open_hidden(int base)
{
    char own[48];
    int hidden, fd = -1, error;

    if (fsops->mkdir(base, HIDDEN, 0700) < 0 && errno != EEXIST)
        return -1;
    hidden = fsops->open_dir(base, HIDDEN);
    if (hidden < 0)
        return -1;
    spread_children(hidden);
    snprintf(own, sizeof own, "%d.%lld", (int)getpid(), (long long)clock_now().real_us);
    if (fsops->mkdir(hidden, own, 0700) == 0)
        fd = fsops->open_dir(hidden, own);
    error = errno;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_leftovers(hidden);
    close(hidden);
    errno = error;
    return fd;
}

/* ---- where a delivery's files are made */

static void forget_place(struct delivery *d)
{
    pthread_mutex_lock(&d->lock); /* pool_release() may be using it */
    if (d->pool_owned)
        close(d->pool_fd);
    d->pool_fd = -1;
    d->pool_owned = d->pool_named = false;
    pthread_mutex_unlock(&d->lock);
}

static void adopt(struct delivery *d, int dir, bool owned, bool named)
{
    pthread_mutex_lock(&d->lock);
    d->pool_fd = dir;
    d->pool_made = 0;
    d->pool_owned = owned;
    d->pool_named = named;
    pthread_mutex_unlock(&d->lock);
}

static int try_nameless(const struct delivery *d, int dir)
{
    int fd = fsops->create(dir, d->conf->file_mode);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

/* open(2): EOPNOTSUPP from the file system, EISDIR from an old kernel; some FUSE say EINVAL. */
static bool lacks_nameless(int error)
{
    return error == EOPNOTSUPP || error == EISDIR || error == EINVAL;
}

static int place_in_base(struct delivery *d)
{
    int base = delivery_base(d), fd;
    bool named;

    if (base < 0)
        return -1;
    named = try_nameless(d, base) < 0;
    if (named && !lacks_nameless(errno))
        return -1;
    fd = open_hidden(base);
    if (fd >= 0)
        adopt(d, fd, true, named);
    else if (!named)
        adopt(d, base, false, false);
    else
        return -1;
    return 0;
}

static int place_in_mailbox(struct pool *p, struct delivery *d, uint32_t mailbox)
{
    int fd = maildir_open_part(p->dirs, mailbox, "new"), rc;
    bool named = false;

    if (fd < 0)
        return -1;
    delivery_act_as(d);
    rc = try_nameless(d, fd);
    delivery_act_as(NULL);
    if (rc < 0) {
        named = lacks_nameless(errno);
        close(fd);
        fd = named ? maildir_open_part(p->dirs, mailbox, "tmp") : -1;
    }
    if (fd >= 0)
        adopt(d, fd, true, named);
    return fd < 0 ? -1 : 0;
}

/* The base may be one in which only the mailboxes are ours (/home): then in the first of them that lets us. */
static int find_place(struct pool *p, struct delivery *d)
{
    unsigned tried = 0;
    int rc, error;

    delivery_act_as(d);
    rc = place_in_base(d);
    error = errno;
    delivery_act_as(NULL);
    if (rc == 0 || (error != EACCES && error != EPERM && error != EROFS))
        return rc;
    for (uint32_t i = 0; i < p->conf->mailbox_count && tried < MAILBOXES_TRIED; i++) {
        if (p->conf->mailboxes[i].delivery != d->number)
            continue;
        if (place_in_mailbox(p, d, i) == 0)
            return 0;
        tried++;
    }
    errno = error;
    return -1;
}

/* ---- making */

static _Atomic uint64_t temp_number;

static int make_file(const struct delivery *d, struct pool_file *f)
{
    char name[TEMP_NAME];

    *f = (struct pool_file){.fd = -1};
    if (!d->pool_named) {
        f->fd = fsops->create(d->pool_fd, d->conf->file_mode);
    } else {
        f->temp = ++temp_number;
        temp_name(name, f->temp);
        f->fd = fsops->create_named(d->pool_fd, name, d->conf->file_mode);
    }
    return f->fd;
}

/* Errors that another place would not help against. */
static bool is_final(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE;
}

static void make_batch(struct pool *p, struct pool_batch *b)
{
    struct delivery *d = &p->deliveries[b->delivery];
    bool fresh = false;

    if (delivery_base(d) < 0) {
        b->error = errno;
        return;
    }
    if (d->pool_fd >= 0 && !d->pool_named && d->pool_made >= pool_place_files)
        forget_place(d);
    while (b->count < b->wanted) {
        if (d->pool_fd < 0) {
            if (find_place(p, d) < 0)
                break;
            fresh = true;
        }
        delivery_act_as(d);
        if (make_file(d, &b->file[b->count]) >= 0) {
            b->count++;
            d->pool_made++;
            continue;
        }
        if (is_final(errno) || fresh)
            break;
        forget_place(d); /* removed, or its rights were changed: once more from the beginning */
    }
    b->error = b->count < b->wanted ? errno : 0;
    delivery_act_as(NULL);
}

void pool_release(struct delivery *d, struct pool_file *f)
{
    char name[TEMP_NAME];

    if (f->temp) {
        temp_name(name, f->temp);
        delivery_act_as(d);
        pthread_mutex_lock(&d->lock);
        (void)fsops->unlink(d->pool_fd, name); /* its place may be gone: then it is a leftover, removed one day */
        pthread_mutex_unlock(&d->lock);
        delivery_act_as(NULL);
    }
    if (f->fd >= 0)
        close(f->fd);
    *f = (struct pool_file){.fd = -1};
}

void pool_batch_free(struct delivery *deliveries, struct pool_batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        pool_release(&deliveries[b->delivery], &b->file[i]);
    free(b);
}

/* ---- the thread */

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    uint64_t one = 1;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct pool_batch *b;

        while (!p->asked && !p->stop)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->stop)
            break;
        b = p->asked;
        p->asked = b->next;
        if (!p->asked)
            p->asked_last = &p->asked;
        p->busy = true;
        pthread_mutex_unlock(&p->lock);
        make_batch(p, b);
        b->next = NULL;
        pthread_mutex_lock(&p->lock);
        p->busy = false;
        *p->done_last = b;
        p->done_last = &b->next;
        (void)!write(p->notify_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_new(struct pool **out, const struct conf *c, struct delivery *deliveries, struct maildirs *m, int notify_fd,
             struct err *e)
{
    struct pool *p = mem_alloc(sizeof *p);
    int r;

    *p = (struct pool){.conf = c, .deliveries = deliveries, .dirs = m, .notify_fd = notify_fd};
    p->asked_last = &p->asked;
    p->done_last = &p->done;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    r = pthread_create(&p->thread, NULL, pool_thread, p);
    if (r) {
        free(p);
        return err_set(e, "the thread that makes files: %s", strerror(r));
    }
    *out = p;
    return 0;
}

static void free_list(struct pool *p, struct pool_batch *b)
{
    while (b) {
        struct pool_batch *next = b->next;

        pool_batch_free(p->deliveries, b);
        b = next;
    }
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    free_list(p, p->asked);
    free_list(p, p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pp = NULL;
}

void pool_ask(struct pool *p, struct pool_batch *b)
{
    pthread_mutex_lock(&p->lock);
    b->next = NULL;
    *p->asked_last = b;
    p->asked_last = &b->next;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

struct pool_batch *pool_done(struct pool *p)
{
    struct pool_batch *b;

    pthread_mutex_lock(&p->lock);
    b = p->done;
    if (b)
        p->done = b->next;
    if (!p->done)
        p->done_last = &p->done;
    pthread_mutex_unlock(&p->lock);
    return b;
}

bool pool_is_idle(struct pool *p)
{
    bool idle;

    pthread_mutex_lock(&p->lock);
    idle = !p->busy && !p->asked;
    pthread_mutex_unlock(&p->lock);
    return idle;
}
